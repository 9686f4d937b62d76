"""``recipe=meta_rewarding``, in its paper's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from judgekit.papers import Paper
from judgekit.prompts.meta_judge import MetaJudgePrompt
from judgekit.recipes.base import RECIPES
from judgekit.recipes.self_rewarding.config import IterationConfig, RewardingConfig
from judgekit.schema.fields import setting


@dataclass(frozen=True)
class CollapseConfig:
    """When the meta-judge is said to have collapsed."""

    higher_score: float = setting(
        0.95, "it prefers the judgment with the higher score this often or more, so that the score decides", ge=0.5,
        le=1.0,
    )  # fmt: skip
    position: float = setting(
        0.85, "on equal scores it prefers one position this often or more, so that the position decides", ge=0.5, le=1.0
    )
    least: int = setting(50, "comparisons with a winner needed to say so", ge=1)
    stop: bool = setting(
        False, "train on no more judge pairs once it has; otherwise only a warning",
        unkeyed="it decides while the run goes on which stages there are",
    )  # fmt: skip


@dataclass(frozen=True)
class MetaConfig:
    """The meta-judge and the judge's pairs."""

    prompt: MetaJudgePrompt = setting(MetaJudgePrompt, "how it is asked")
    tokens: int = setting(1024, "longest comparison, tokens", ge=1)
    prompts: int | None = setting(None, "prompts of an iteration whose judgments are compared; null: all", ge=1)
    elo_penalty: float = setting(
        0.01, "α: Elo maximises the log-likelihood less α Σ ε², ε in log odds, so that an unbeaten judgment is finite",
        gt=0.0,
    )  # fmt: skip
    collapse: CollapseConfig = setting(CollapseConfig, "when it has collapsed, and what follows")


@RECIPES.register
@dataclass(frozen=True)
class MetaRewardingConfig(RewardingConfig):
    """``recipe=meta_rewarding`` (Meta-Rewarding Language Models, arXiv 2407.19594)."""

    function: ClassVar[str] = "judgekit.recipes.meta_rewarding.recipe:meta_rewarding"
    paper: ClassVar[Paper] = Paper(
        "Meta-Rewarding Language Models", "2407.19594",
        "Meta-Rewarding Language Models: Self-Improving Alignment with LLM-as-a-Meta-Judge", "Wu, Tianhao and others",
    )  # fmt: skip
    first_model: ClassVar[str] = "sft"
    meta_judges: ClassVar[bool] = True
    name: Literal["meta_rewarding"] = setting("meta_rewarding", "recipe")
    responses: int = setting(7, "K: responses sampled per prompt", ge=2)
    judgments: int = setting(11, "N: judgments sampled per response", ge=1)
    schedule: dict[str, IterationConfig] = setting(
        {
            "m1": IterationConfig(True, 0.0, 2500, 1100),
            "m2": IterationConfig(True, 0.32, None, 1000),
            "m3": IterationConfig(False, 0.32),
            "m4": IterationConfig(False, 0.4),
        },
        "iterations in order, each by the name of the model it makes; null takes one out",
    )
    meta: MetaConfig = setting(MetaConfig, "the meta-judge and the judge's pairs")
