"""``recipe``: one dataclass per recipe, in its paper's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from judgekit.papers import Paper
from judgekit.recipes.register import RECIPES, RecipeConfig
from judgekit.schema.candidates import CandidateConfig, TuningConfig
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


@RECIPES.register
@dataclass(frozen=True)
class JudgeLMConfig(RecipeConfig):
    """``recipe=judgelm`` (JudgeLM, arXiv 2310.17631)."""

    function: ClassVar[str] = "judgekit.recipes.judgelm.recipe:judgelm"
    paper: ClassVar[Paper] = Paper(
        "JudgeLM", "2310.17631",
        "JudgeLM: Fine-tuned Large Language Models are Scalable Judges", "Zhu, Lianghui and others",
    )  # fmt: skip
    name: Literal["judgelm"] = setting("judgelm", "recipe")
    reviews: str | None = setting(
        None, "released training rows (judgelm_train_100k.jsonl) in place of data and teacher; null: ask the teacher",
        path=True,
    )  # fmt: skip
    candidates: dict[str, CandidateConfig] = setting(
        {}, "models whose responses are compared, by name, one random pair a seed; none: pairs as the data makes them"
    )
    references: Literal["given", "teacher", "none"] = setting(
        "given", "reference answers: those that rows bring, also written by the teacher where there is none, or unused"
    )
    reference_tokens: int = setting(512, "longest reference answer that the teacher writes, tokens", ge=1)
    swap_rate: float = setting(0.5, "swap augmentation: probability of showing response_b first", ge=0.0, le=1.0)
    swap_ordinals: bool = setting(
        True, 'also exchange "first assistant" and "second answer" in swapped reasons; the release does not'
    )
    reference_rate: float = setting(
        0.5, "reference support: probability of showing the reference; reference drop is the rest", ge=0.0, le=1.0
    )
    warm_start: WarmStartConfig = setting(
        WarmStartConfig, "optional SFT of the seed on worked reviews; what it makes teaches where no teacher is named"
    )
    sft: OptimConfig = setting(OptimConfig, "fine-tuning; each epoch draws swaps and references anew")
    validate: bool = setting(False, "choose checkpoints by judging the validation split; otherwise take the last")


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
