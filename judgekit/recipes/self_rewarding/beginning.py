"""How the self-rewarding recipes begin: data, the seed, its warm start and its seed data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from judgekit.errors import ConfigError, Problem
from judgekit.prompts.base import PointProtocol
from judgekit.prompts.meta_judge import MetaJudgePrompt
from judgekit.recipes.self_rewarding.config import RewardingConfig
from judgekit.recipes.self_rewarding.seed_data import read_rankings, tune_on_seed_data
from judgekit.stages.data import make_splits
from judgekit.stages.lab import Lab
from judgekit.stages.measuring import Measured
from judgekit.stages.models import Judge
from judgekit.stages.stage import Made
from judgekit.stages.training import ConsistentAccuracy, Validation
from judgekit.stages.warm_start import WorkedScores, warm_judge


@dataclass(frozen=True)
class Beginning:
    """What the iterations start from.

    :param model: actor and judge of the first iteration
    :param validation: scores checkpoints; None: the last one is taken
    """

    splits: Made[Any]
    measured: Measured
    model: Judge
    validation: Validation | None


def begin(lab: Lab, name: str, with_meta_judge: MetaJudgePrompt | None = None) -> Beginning:
    """Everything before the first iteration.

    :param name: of the model that SFT on the seed data makes
    :param with_meta_judge: the warm start shows comparisons of judgments too
    """
    recipe = lab.recipe(RewardingConfig)
    if not isinstance(lab.protocol, PointProtocol):
        message = (
            f"recipe {lab.config.recipe.name} scores single responses, and '{lab.config.prompt.name}' compares two"
        )
        raise ConfigError([Problem("prompt.name", message, "Use prompt=additive")])
    start = recipe.warm_start
    splits = make_splits(lab, start.examples if start.enabled else 0, start.categories, second_round=False)
    accuracy = ConsistentAccuracy(splits)
    validation = accuracy if recipe.validate else None
    rankings = read_rankings(lab, splits)
    measured = Measured(lab, splits, rankings if recipe.rankings != 0 else None)

    model = measured.add(lab.seed)
    if start.enabled:
        worked = lab.make(WorkedScores(splits=splits, every=start.plan_every, meta=with_meta_judge))
        model = measured.add(warm_judge(lab, worked, model, start, accuracy))
    tuned = tune_on_seed_data(lab, name, rankings, model, validation)
    if tuned is not model:
        model = measured.add(tuned)
    return Beginning(splits, measured, model, validation)
