"""How the self-rewarding recipes begin: data, the seed, its warm start and its seed data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from judgekit.errors import ConfigError, Problem
from judgekit.prompts.base import PointProtocol, WorkedPointProtocol
from judgekit.prompts.meta_judge import MetaJudge, MetaJudgePrompt
from judgekit.recipes.lab import Handle, Judge, Lab
from judgekit.recipes.measuring import Measured, validation
from judgekit.recipes.seed_data import read_rankings, tune_on_seed_data
from judgekit.recipes.stages import make_splits
from judgekit.recipes.training import train_judge
from judgekit.recipes.warm_start import worked_scores
from judgekit.schema.rewarding import RewardingConfig
from judgekit.weights import Weights


@dataclass(frozen=True)
class Beginning:
    """What the iterations start from.

    :param model: actor and judge of the first iteration
    :param validate: score of a checkpoint; None: the last checkpoint is taken
    """

    splits: Handle
    protocol: PointProtocol
    measured: Measured
    model: Judge
    validate: Callable[[Weights], float] | None


def begin(lab: Lab, name: str, with_meta_judge: MetaJudgePrompt | None = None) -> Beginning:
    """Everything before the first iteration.

    :param name: of the model that SFT on the seed data makes
    :param with_meta_judge: the warm start shows comparisons of judgments too
    """
    recipe, protocol = lab.recipe(RewardingConfig), lab.config.prompt.protocol
    if not isinstance(protocol, PointProtocol):
        message = (
            f"recipe {lab.config.recipe.name} scores single responses, and '{lab.config.prompt.name}' compares two"
        )
        raise ConfigError([Problem("prompt.name", message, "Use prompt=additive")])
    start = recipe.warm_start
    splits = make_splits(lab, start.examples if start.enabled else 0, start.categories, second_round=False)
    score = validation(lab, splits, protocol)
    validate = score if recipe.validate else None
    rankings = read_rankings(lab, splits)
    measured = Measured(lab, splits, protocol, rankings if recipe.rankings != 0 else None)

    model = measured.add(Judge("seed", None))
    if start.enabled:
        assert isinstance(protocol, WorkedPointProtocol)
        meta = MetaJudge(with_meta_judge) if with_meta_judge is not None else None
        worked = worked_scores(lab, splits, protocol, start.plan_every, meta)
        early = score if start.stop_accuracy is not None else None
        warm = train_judge(lab, "warm", "sft", worked, model, start.optim, early, [splits], start.stop_accuracy)
        model = measured.add(warm)
    tuned = tune_on_seed_data(lab, name, rankings, splits, model, protocol, validate)
    if tuned is not model:
        model = measured.add(tuned)
    return Beginning(splits, protocol, measured, model, validate)
