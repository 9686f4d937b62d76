"""``recipe=pandalm``, in its paper's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from judgekit.papers import Paper
from judgekit.recipes.base import RECIPES, RecipeConfig
from judgekit.schema.candidates import CandidateConfig, TuningConfig
from judgekit.schema.fields import setting
from judgekit.schema.optim import OptimConfig
from judgekit.schema.warm_start import WarmStartConfig


@RECIPES.register
@dataclass(frozen=True)
class PandaLMConfig(RecipeConfig):
    """``recipe=pandalm`` (PandaLM, arXiv 2306.05087)."""

    function: ClassVar[str] = "judgekit.recipes.pandalm.recipe:pandalm"
    paper: ClassVar[Paper] = Paper(
        "PandaLM", "2306.05087",
        "PandaLM: An Automatic Evaluation Benchmark for LLM Instruction Tuning Optimization", "Wang, Yidong and others",
    )  # fmt: skip
    name: Literal["pandalm"] = setting("pandalm", "recipe")
    candidates: dict[str, CandidateConfig] = setting({}, "models whose responses are compared, by name; null: left out")
    tuning: TuningConfig = setting(TuningConfig, "optional tuning of all candidates alike")
    pairs_per_instruction: int | None = setting(
        None, "pairs of one instruction, drawn at random; null: every two candidates", ge=1
    )
    tie_conflicts: bool = setting(
        True, "with bias.drop_conflicting, a verdict in one order and a tie in the other conflict too; unstated"
    )
    warm_start: WarmStartConfig = setting(
        WarmStartConfig, "optional SFT of the seed on worked judgments; what it makes stands in for the teacher"
    )
    sft: OptimConfig = setting(OptimConfig, "SFT on the teacher's verdicts, reasons and references")
    validate: bool = setting(True, "choose checkpoints by judging the validation split; otherwise take the last")
