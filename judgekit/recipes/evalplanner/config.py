"""``recipe=evalplanner``, in its paper's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from judgekit.papers import Paper
from judgekit.recipes.base import RECIPES, RecipeConfig
from judgekit.schema.fields import setting
from judgekit.schema.optim import OptimConfig
from judgekit.schema.warm_start import WarmStartConfig


@RECIPES.register
@dataclass(frozen=True)
class EvalPlannerConfig(RecipeConfig):
    """``recipe=evalplanner`` (EvalPlanner, arXiv 2501.18099)."""

    function: ClassVar[str] = "judgekit.recipes.evalplanner.recipe:evalplanner"
    paper: ClassVar[Paper] = Paper(
        "EvalPlanner", "2501.18099",
        "Learning to Plan & Reason for Evaluation with Thinking-LLM-as-a-Judge", "Saha, Swarnadeep and others",
    )  # fmt: skip
    name: Literal["evalplanner"] = setting("evalplanner", "recipe")
    plans: int = setting(5, "|P|: plans per instruction (§3)", ge=1)
    executions: int = setting(4, "|E|: executions per plan and order (§3: 8 per plan, 4 per response order)", ge=1)
    rounds: int = setting(2, "DPO rounds: 1 stops after DPO(D1), 2 resamples and trains on D2", ge=1, le=2)
    pairs_per_instruction: int | None = setting(
        None, "cap on DPO pairs of one instruction, drawn at random; null: all. Unstated in the paper", ge=1
    )
    sft_per_order: bool = setting(
        False, "SFT on one correct chain per order instead of per instruction. Unstated in the paper"
    )
    invalid_as_negative: bool = setting(
        False, "use chains without a valid verdict as rejected. Unstated in the paper; Self-Taught Evaluator does"
    )
    learn: Literal["chain", "verdict"] = setting(
        "chain", "what training imitates and prefers: whole chains, or their verdicts alone, as an ablation"
    )
    first_plans: Literal["prompt", "chain"] = setting(
        "prompt", "round 1: plans from the plan prompt, or the beginnings of whole chains"
    )
    first_execution: Literal["prompt", "prefill"] = setting(
        "prompt", "round 1: executions from the execution prompt, or by continuing the judge prompt after the plan"
    )
    second_execution: Literal["prompt", "prefill"] = setting(
        "prefill", "round 2: likewise. Unstated in the paper, which strips plans from chains and samples executions"
    )
    second_plans: Literal["prompt", "chain"] = setting(
        "chain", "round 2: plans from the plan prompt, or stripped from whole chains as the paper does"
    )
    warm_start: WarmStartConfig = setting(WarmStartConfig, "optional SFT on worked judgments before everything")
    sft: OptimConfig = setting(OptimConfig, "SFT(D1)")
    dpo: OptimConfig = setting(OptimConfig, "DPO(D1) and DPO(D2)")
    validate: bool = setting(True, "choose checkpoints by judging the validation split; otherwise take the last")
