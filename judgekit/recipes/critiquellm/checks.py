"""Values that ``recipe=critiquellm`` cannot work with."""

from __future__ import annotations

from judgekit.errors import Problem
from judgekit.prompts.critiquellm import CritiquePairPrompt
from judgekit.recipes.critiquellm.config import CritiqueLLMConfig
from judgekit.schema.config import RunConfig
from judgekit.schema.rules import of_recipe
from judgekit.schema.shared_checks import (
    candidate_models,
)


@of_recipe(CritiqueLLMConfig, "prompt")
def _protocol(config: RunConfig, recipe: CritiqueLLMConfig) -> list[Problem]:
    if isinstance(config.prompt, CritiquePairPrompt):
        return []
    message = (
        f"recipe {recipe.name} trains a judge that writes critiques, and the protocol '{config.prompt.name}' does not"
    )
    return [Problem("prompt.name", message, "Use prompt=critiquellm; the one for single answers goes with it")]


@of_recipe(
    CritiqueLLMConfig, "recipe.pointwise", "recipe.pairwise", "recipe.with_reference", "recipe.without_reference"
)
def _nothing(config: RunConfig, recipe: CritiqueLLMConfig) -> list[Problem]:
    problems = []
    if not (recipe.pointwise or recipe.pairwise):
        problems.append(Problem("recipe.pointwise", "neither critiques nor comparisons are trained on", "Use true"))
    if not (recipe.with_reference or recipe.without_reference):
        message = "neither critiques with nor without a reference are trained on"
        problems.append(Problem("recipe.with_reference", message, "Use true"))
    return problems


@of_recipe(CritiqueLLMConfig, "data.sources", "data.held_out", "recipe.candidates")
def _responses(config: RunConfig, recipe: CritiqueLLMConfig) -> list[Problem]:
    if len(recipe.candidates) == 1:
        return [Problem("recipe.candidates", "one model's responses make no pair", "Give two or more, or none")]
    bare = [name for name, source in config.data.sources.items() if source.pairs == "none"]
    problems = []
    for name in bare:
        key = f"data.sources.{name}.pairs"
        if not recipe.candidates:
            message = "nothing writes responses to this source's instructions"
            problems.append(Problem(key, message, "Add recipe.candidates, or choose how its pairs are made"))
        elif config.data.held_out:
            message = "data.held_out judges labelled pairs, and this source makes none"
            problems.append(Problem(key, message, "Use data.held_out=0, or choose how its pairs are made"))
    return problems


@of_recipe(CritiqueLLMConfig, "recipe.augmentation", "data.sources")
def _new_queries(config: RunConfig, recipe: CritiqueLLMConfig) -> list[Problem]:
    """A query that a teacher wrote has no near miss, checker or given responses."""
    if not recipe.augmentation.enabled:
        return []
    return [
        Problem(
            f"data.sources.{name}.pairs", f"pairs of newly written queries cannot be made as {source.pairs!r}",
            "Use none with recipe.candidates, or noisy_instruction; or recipe.augmentation.enabled=false",
        )
        for name, source in config.data.sources.items()
        if source.pairs not in ("none", "noisy_instruction")
    ]  # fmt: skip


@of_recipe(CritiqueLLMConfig, "recipe.validate", "data.validation")
def _validation(config: RunConfig, recipe: CritiqueLLMConfig) -> list[Problem]:
    if not recipe.validate or config.data.validation > 0:
        return []
    message = "choosing checkpoints needs a validation split, and data.validation is 0"
    return [Problem("recipe.validate", message, "Use recipe.validate=false or raise data.validation")]


@of_recipe(CritiqueLLMConfig, "recipe.votes", "sampler.temperature")
def _votes(config: RunConfig, recipe: CritiqueLLMConfig) -> list[Problem]:
    if not recipe.votes or config.sampler.temperature > 0:
        return []
    return [Problem("recipe.votes", "greedy judgments all vote alike", "Use 0, or raise sampler.temperature")]


@of_recipe(CritiqueLLMConfig, "recipe.stand_in", "prompt", "teacher")
def _stand_in(config: RunConfig, recipe: CritiqueLLMConfig) -> list[Problem]:
    if not recipe.stand_in.enabled:
        return []
    problems = []
    if isinstance(config.prompt, CritiquePairPrompt) and config.prompt.style != "brief":
        message = "the program that writes critiques knows no dimensions"
        problems.append(Problem("recipe.stand_in.enabled", message, "Use prompt.style=brief, or no stand-in"))
    if not config.teacher.is_seed:
        message = "a teacher is configured, so a stand-in would be trained for nothing"
        problems.append(Problem("recipe.stand_in.enabled", message, "Use false, or teacher=seed"))
    return problems


@of_recipe(
    CritiqueLLMConfig, "data.sources", "data.first_round", "data.validation", "data.held_out", "recipe.stand_in",
    "recipe.augmentation",
)  # fmt: skip
def _counts(config: RunConfig, recipe: CritiqueLLMConfig) -> list[Problem]:
    """Whether the sources give fewer instructions than are wanted; how many new queries there will be is not known."""
    data, warm = config.data, recipe.stand_in.examples if recipe.stand_in.enabled else 0
    wanted = (data.first_round or 1) + data.validation + data.held_out + warm
    given = [source.count for source in data.sources.values()]
    counts = [count for count in given if count is not None]
    if recipe.augmentation.enabled or not counts or len(counts) < len(given) or wanted <= sum(counts):
        return []
    message = (
        f"first_round + validation + held_out + recipe.stand_in.examples = {wanted}, but the sources give "
        f"{sum(counts)} instructions"
    )
    return [Problem("data", message, "Ask for fewer, or raise data.sources.NAME.count")]


@of_recipe(CritiqueLLMConfig, "recipe.sft.betas", "recipe.stand_in.optim.betas")
def _betas(config: RunConfig, recipe: CritiqueLLMConfig) -> list[Problem]:
    return [
        Problem(f"recipe.{name}.betas", f"Adam needs 0 <= β < 1, not {list(optim.betas)}")
        for name, optim in {"sft": recipe.sft, "stand_in.optim": recipe.stand_in.optim}.items()
        if not all(0 <= beta < 1 for beta in optim.betas)
    ]


of_recipe(CritiqueLLMConfig, "recipe.candidates")(candidate_models)
