"""Checks that several recipes share; each recipe's own file says which it takes."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import Any

from judgekit.errors import Problem
from judgekit.schema.config import RunConfig
from judgekit.schema.optim import OptimConfig
from judgekit.schema.warm_start import WarmStartConfig


def too_few(config: RunConfig, splits: tuple[str, ...], warm: WarmStartConfig) -> list[Problem]:
    """Whether the sources give fewer instructions than a recipe's splits and warm start want; null wants one."""
    sizes = [getattr(config.data, split) for split in splits]
    parts = [*(1 if size is None else size for size in sizes), warm.examples if warm.enabled else 0]
    given = [source.count for source in config.data.sources.values()]
    counts = [count for count in given if count is not None]
    if not counts or len(counts) < len(given) or sum(parts) <= sum(counts):
        return []
    message = (
        f"{' + '.join(splits)} + recipe.warm_start.examples = {' + '.join(map(str, parts))} = {sum(parts)}, "
        f"but the sources give {sum(counts)} instructions"
    )
    return [Problem("data", message, "Ask for fewer, or raise data.sources.NAME.count")]


def too_long(config: RunConfig, *keys: str) -> list[Problem]:
    """Replies that leave no room for a prompt, or do not fit into a batch.

    :param keys: fields that hold their length in tokens, which the recipe reads: others cannot be overridden
    """
    context, batch = config.model.max_length, getattr(config.sampler, "batch_tokens", None) or math.inf
    problems, thought = [], config.sampler.thinking_tokens or 0
    for key in keys:
        tokens = operator.attrgetter(key)(config)
        if thought + tokens >= context:
            told = f"{tokens} tokens" + (f" and {thought} of a thought (sampler.thinking_tokens)" if thought else "")
            message = f"{told} leave no room for a prompt in the model's {context} (model.max_length)"
            left = context - thought
            problems.append(Problem(key, message, f"Use less than {left}" if left > 1 else "Raise model.max_length"))
        elif tokens >= batch:
            message = f"{tokens} tokens do not fit into a batch of {batch} (sampler.batch_tokens)"
            problems.append(Problem(key, message, "Raise sampler.batch_tokens"))
    return problems


def wrong_betas(stages: Mapping[str, OptimConfig]) -> list[Problem]:
    """Adam's β out of range.

    :param stages: how they optimise, by their place in the recipe
    """
    return [
        Problem(f"recipe.{name}.betas", f"Adam needs 0 <= β < 1, not {list(optim.betas)}")
        for name, optim in stages.items()
        if not all(0 <= beta < 1 for beta in optim.betas)
    ]


def betas(config: RunConfig, recipe: Any) -> list[Problem]:
    """Those of recipes with SFT, preference training and a warm start."""
    return wrong_betas({"sft": recipe.sft, "dpo": recipe.dpo, "warm_start.optim": recipe.warm_start.optim})


def candidate_models(config: RunConfig, recipe: Any) -> list[Problem]:
    """Candidates whose commit is not given."""
    return [
        Problem(f"recipe.candidates.{name}.model.revision", "not given, so the run could not be repeated",
                f"Add recipe.candidates.{name}.model.revision=COMMIT, or .model.path=FOLDER")
        for name, candidate in recipe.candidates.items()
        if (model := candidate.model) is not None and model.path is None and model.wheel is None
        and (model.hub_id is None or model.revision is None)
    ]  # fmt: skip


def needs_pairs(config: RunConfig, recipe: Any) -> list[Problem]:
    """Sources that make no pairs to train on."""
    return [
        Problem(f"data.sources.{name}.pairs", f"recipe {recipe.name} trains on pairs, and this source makes none")
        for name, source in config.data.sources.items()
        if source.pairs == "none"
    ]


def validation_split(config: RunConfig, recipe: Any) -> list[Problem]:
    """Checkpoints cannot be chosen without a validation split."""
    if not recipe.validate or config.data.validation > 0:
        return []
    message = "choosing checkpoints needs a validation split, and data.validation is 0"
    return [Problem("recipe.validate", message, "Use recipe.validate=false or raise data.validation")]


def warm_stop(config: RunConfig, recipe: Any) -> list[Problem]:
    """Nor can the warm start be stopped by it."""
    warm = recipe.warm_start
    if not warm.enabled or warm.stop_accuracy is None or config.data.validation > 0:
        return []
    message = "stopping the warm start early needs a validation split, and data.validation is 0"
    return [Problem("recipe.warm_start.stop_accuracy", message, "Use null or raise data.validation")]
