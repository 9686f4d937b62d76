"""``recipe=self_taught``, in its paper's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from judgekit.papers import Paper
from judgekit.recipes.base import RECIPES, RecipeConfig
from judgekit.schema.fields import setting
from judgekit.schema.optim import OptimConfig
from judgekit.schema.warm_start import WarmStartConfig


@dataclass(frozen=True)
class SelectionConfig:
    """Optional first stage: the seed classifies instructions, and a balanced part of them is used."""

    enabled: bool = setting(False, "classify instructions and select among them")
    categories: tuple[str, ...] = setting(
        (
            "coding", "mathematics", "reasoning", "advice", "brainstorming", "classification", "creative writing",
            "extraction", "factual question", "rewriting", "role play", "summarization", "other",
        ),
        "categories the classifier chooses among. The paper's list is not documented",
    )  # fmt: skip
    keep: tuple[str, ...] | None = setting(None, "categories whose instructions are used; null: all")
    per_category: int | None = setting(None, "instructions of each category, at most, drawn at random; null: all", ge=1)
    complexity_min: int = setting(1, "least complexity used, on the classifier's scale of 1 to 5", ge=1, le=5)
    complexity_max: int = setting(5, "greatest complexity used", ge=1, le=5)
    tokens: int = setting(64, "longest classification, tokens", ge=1)


@RECIPES.register
@dataclass(frozen=True)
class SelfTaughtConfig(RecipeConfig):
    """``recipe=self_taught`` (Self-Taught Evaluators, arXiv 2408.02666)."""

    function: ClassVar[str] = "judgekit.recipes.self_taught.recipe:self_taught"
    paper: ClassVar[Paper] = Paper(
        "Self-Taught Evaluators", "2408.02666",
        "Self-Taught Evaluators", "Wang, Tianlu and others",
    )  # fmt: skip
    name: Literal["self_taught"] = setting("self_taught", "recipe")
    iterations: int = setting(5, "iterations; each trains the seed anew on judgments of the judge before it", ge=1)
    judgments: int = setting(15, "N: judgments sampled per example and order; per order is unstated", ge=1)
    sft_per_order: bool = setting(
        True, "SFT on one correct judgment per order (a prompt, as the release counts) instead of per example"
    )
    majority_fraction: float | None = setting(
        None, "use a prompt only where at least this share of its judgments is correct; null: any", gt=0.0, le=1.0
    )
    preference_rounds: Literal["last", "every"] = setting(
        "last", "iterations that preference training follows, from the judge SFT made; none with loss=sft. Unstated"
    )
    num_pairs: int | None = setting(1, "DPO pairs of one prompt, at most, drawn at random; null: all", ge=1)
    wrong_as_negative: bool = setting(True, "DPO: judgments that name the other response may be rejected ones")
    tie_as_negative: bool = setting(True, "DPO: likewise judgments that call a tie")
    invalid_as_negative: bool = setting(True, "DPO: likewise judgments without a verdict")
    negative_temperature: float | None = setting(
        None, "DPO: sample N more judgments at this temperature, of which only incorrect ones are used; null: none",
        gt=0.0, le=2.0,
    )  # fmt: skip
    votes: int = setting(
        0, "judge benchmarks once more by majority over so many samples, as a row of its own; 0: greedy only", ge=0
    )
    selection: SelectionConfig = setting(SelectionConfig, "optional classification and selection of instructions")
    warm_start: WarmStartConfig = setting(
        WarmStartConfig, "optional SFT on worked judgments before everything; what it makes then stands for the seed"
    )
    sft: OptimConfig = setting(OptimConfig, "SFT of each iteration")
    dpo: OptimConfig = setting(OptimConfig, "preference training")
    validate: bool = setting(True, "choose checkpoints by judging the validation split; otherwise take the last")
