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


_STYLE = (
    "wording and labels. zh: Chinese, the released weights' own; en: English; brief: English in few words and an "
    "overall score without dimensions, for small models"
)
_PLAIN = "shown as plain text, as the released weights read it; false: as a user's message"
_ANSWER_TYPE = "what answers to task types the protocol does not know are judged as"


@dataclass(frozen=True)
class CritiquePairPrompt:
    """``prompt=critiquellm``: a comparison of two answers that ends in the better one, as CritiqueLLM's."""

    name: Literal["critiquellm"] = setting("critiquellm", "protocol")
    style: Literal["zh", "en", "brief"] = setting("en", _STYLE)
    answer_type: Literal["factual", "reasoning", "writing", "advice"] = setting("factual", _ANSWER_TYPE)
    reference: bool = setting(True, "show the reference answer of pairs that have one")
    plain: bool = setting(False, _PLAIN)


@dataclass(frozen=True)
class CritiquePointPrompt:
    """``prompt=critiquellm_point``: a critique of one answer with scores from 1 to 10, as CritiqueLLM's."""

    name: Literal["critiquellm_point"] = setting("critiquellm_point", "protocol")
    style: Literal["zh", "en", "brief"] = setting("en", _STYLE)
    answer_type: Literal["factual", "reasoning", "writing", "advice"] = setting("factual", _ANSWER_TYPE)
    reference: bool = setting(True, "show the reference answer of responses that have one")
    plain: bool = setting(False, _PLAIN)


@dataclass(frozen=True)
class JudgeLMPrompt:
    """``prompt=judgelm``: the scores of two or more answers on one line, then the reasons."""

    name: Literal["judgelm"] = setting("judgelm", "protocol")
    style: Literal["full", "brief"] = setting("full", "wording; slots and output format are the same")
    low: float = setting(1.0, "worst score")
    high: float = setting(10.0, "best score")
    margin: float = setting(0.0, "T: scores that differ by no more than this are a tie", ge=0.0)
    reference: bool = setting(True, "show the reference answer of pairs that have one")
    fast: bool = setting(False, "end the reply after the score line")
    at_once: bool = setting(False, "score several responses to one instruction in one reply instead of pair by pair")
    multi_turn: bool = setting(False, "answers are whole conversations; the judge is told to look at every turn")
    score_lines: tuple[str, ...] = setting(
        (), "score lines that constrained decoding chooses among: for the first answer, for the second, tie (optional)"
    )
    parser: Literal["any", "release"] = setting(
        "any", "how scores are read. any: separated by white space and commas, within the scale; release: as its parser"
    )
    plain: bool = setting(False, "ask in plain text, as the released weights read it; otherwise as a chat")
    opening: str | None = setting(None, "first sentence of the prompt; null: ours")
    request: str | None = setting(
        None, "what is asked for, with the slots {number} {assistants} {low} {high} {turns} {reference}; null: ours"
    )


@dataclass(frozen=True)
class JudgeLMSinglePrompt:
    """``prompt=judgelm_single``: one answer scored against a reference, which already has the best score."""

    name: Literal["judgelm_single"] = setting("judgelm_single", "protocol")
    style: Literal["full", "brief"] = setting("full", "wording; slots and output format are the same")
    low: float = setting(1.0, "worst score")
    high: float = setting(10.0, "best score; the reference has it")
    reference: bool = setting(False, "show the reference as reference answer too, not only in the place of Assistant 1")
    fast: bool = setting(False, "end the reply after the score line")
    multi_turn: bool = setting(False, "answers are whole conversations; the judge is told to look at every turn")
    parser: Literal["any", "release"] = setting(
        "any", "how scores are read. any: separated by white space and commas, within the scale; release: as its parser"
    )
    plain: bool = setting(False, "ask in plain text, as the released weights read it; otherwise as a chat")
    opening: str | None = setting(None, "first sentence of the prompt; null: ours")
    request: str | None = setting(
        None, "what is asked for, with the slots {number} {assistants} {low} {high} {turns} {reference}; null: ours"
    )


@dataclass(frozen=True)
class PandaLMPrompt:
    """``prompt=pandalm``: the verdict on the first line, then a reason and a reference (PandaLM, arXiv 2306.05087)."""

    name: Literal["pandalm"] = setting("pandalm", "protocol")
    style: Literal["judge", "teacher", "teacher_brief"] = setting(
        "judge",
        "judge: the format that is trained; teacher: asks a chat model for the same parts with the verdict last; "
        "teacher_brief: likewise for small models",
    )
    chat: bool = setting(
        True, "the judge's prompt is a user's message; false: plain text, as the released weights and base models read"
    )
    task: str | None = setting(None, "first sentence of the judge's prompt in place of ours, as some weights know it")
    task_input: str | None = setting(None, "likewise where the task has an input")


@dataclass(frozen=True)
class AutoJPrompt:
    """``prompt=autoj``: a comparison that ends in a final decision (Auto-J, arXiv 2310.05470); plain text."""

    name: Literal["autoj"] = setting("autoj", "protocol")
    template: str | None = setting(
        None, "file with a template in place of ours; slots {prompt}, {response}, {response_another}", path=True
    )


PromptConfig = (
    AdditivePrompt
    | AutoJPrompt
    | EvalPlannerPrompt
    | JudgeLMPrompt
    | JudgeLMSinglePrompt
    | CritiquePairPrompt
    | CritiquePointPrompt
    | PairwisePrompt
    | PandaLMPrompt
    | RatingPrompt
    | SelfTaughtPrompt
)
"""Union of the protocols' dataclasses; ``prompt.name`` says which one a configuration holds."""

PROMPTS: dict[str, type[PromptConfig]] = {
    "additive": AdditivePrompt,
    "autoj": AutoJPrompt,
    "critiquellm": CritiquePairPrompt,
    "critiquellm_point": CritiquePointPrompt,
    "evalplanner": EvalPlannerPrompt,
    "judgelm": JudgeLMPrompt,
    "judgelm_single": JudgeLMSinglePrompt,
    "pairwise": PairwisePrompt,
    "pandalm": PandaLMPrompt,
    "rating": RatingPrompt,
    "self_taught": SelfTaughtPrompt,
}
