"""``prompt``: one dataclass per protocol (how to ask and how to read the reply)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from judgekit.schema.fields import setting


@dataclass(frozen=True)
class EvalPlannerPrompt:
    """``prompt=evalplanner``: plan, execute, decide."""

    name: Literal["evalplanner"] = setting("evalplanner", "protocol")
    style: Literal["full", "brief"] = setting("full", "wording; slots, tags and output format are the same")
    plan_style: Literal["unconstrained", "criteria", "questions"] = setting(
        "unconstrained", "what the plan prompt asks for (EvalPlanner §5, plan types)"
    )


@dataclass(frozen=True)
class PairwisePrompt:
    """``prompt=pairwise``: compare two responses in the format of MT-Bench (arXiv 2306.05685)."""

    name: Literal["pairwise"] = setting("pairwise", "protocol")
    reasoning: bool = setting(True, "the judge explains first; false: it is asked for the verdict alone")
    ties: bool = setting(False, "[[C]] is a verdict too: a tie")
    reference: bool = setting(True, "show the reference answer of pairs that have one")


@dataclass(frozen=True)
class RatingPrompt:
    """``prompt=rating``: score one response on a scale, in the format of MT-Bench (arXiv 2306.05685)."""

    name: Literal["rating"] = setting("rating", "protocol")
    low: float = setting(1.0, "worst score")
    high: float = setting(10.0, "best score")
    reasoning: bool = setting(True, "the judge explains first; false: it is asked for the score alone")
    criterion: str | None = setting(None, "what is scored, where the data does not say; null: overall quality")
    reference: bool = setting(True, "show the reference answer of responses that have one")


@dataclass(frozen=True)
class SelfTaughtPrompt:
    """``prompt=self_taught``: reason about two answers, then ``[[A]]`` or ``[[B]]``."""

    name: Literal["self_taught"] = setting("self_taught", "protocol")
    style: Literal["full", "criteria", "brief"] = setting(
        "full",
        "wording; slots and output format are the same. full: explain and decide; criteria: look for errors, name "
        "criteria, check each, decide, as the released eval_plan prompt; brief: for small models",
    )


@dataclass(frozen=True)
class AdditivePrompt:
    """``prompt=additive``: five cumulative points, the judge of Self-Rewarding and Meta-Rewarding."""

    name: Literal["additive"] = setting("additive", "protocol")
    style: Literal["full", "brief"] = setting("full", "wording; slots and output format are the same")


@dataclass(frozen=True)
class MetaJudgePrompt:
    """How the meta-judge of Meta-Rewarding is asked: which of two judgments of a response is better."""

    style: Literal["full", "brief"] = setting("full", "wording; slots and output format are the same")


PromptConfig = AdditivePrompt | EvalPlannerPrompt | PairwisePrompt | RatingPrompt | SelfTaughtPrompt
"""Union of the protocols' dataclasses; ``prompt.name`` says which one a configuration holds."""

PROMPTS: dict[str, type[PromptConfig]] = {
    "additive": AdditivePrompt,
    "evalplanner": EvalPlannerPrompt,
    "pairwise": PairwisePrompt,
    "rating": RatingPrompt,
    "self_taught": SelfTaughtPrompt,
}
