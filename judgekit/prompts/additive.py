"""The additive 5-point judge of Self-Rewarding (arXiv 2401.10020, figure 2): reasons, then ``Score: <total points>``.

Criteria, their order and the output format are the paper's; the wording is ours. Meta-Rewarding uses the same judge.
Whole points are asked for, but judges come to write 4.5 or 4.75 too, so decimals are read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from judgekit.prompts.base import PROMPTS, PromptConfig, ScoreReading, fill
from judgekit.prompts.replies import Quotations
from judgekit.prompts.scores import NUMBER, one_score, stated
from judgekit.rows import Message, Response
from judgekit.schema.fields import setting

RUBRIC = (
    "Award points one by one; each is added to those before it:\n"
    "- 1 point if the response is relevant and says something about what was asked, even if it is incomplete or partly "
    "beside the point.\n"
    "- 1 more point if it deals with a substantial part of the question, without settling all of it.\n"
    "- 1 more point if it answers the basic elements of the question in a useful way, whoever or whatever seems to "
    "have written it.\n"
    "- 1 more point if it is clearly written as an AI assistant for this user, direct, complete and well organised, "
    "with small things to improve at most.\n"
    "- 1 more point if it is impeccable: made for this question by an expert, without anything superfluous."
)
"""The five cumulative criteria, which the meta-judge is shown too."""

TASK = {
    "full": (
        "Review the assistant's response to the user's question below on a scale of 0 to 5 points.\n"
        f"{RUBRIC}\n\n"
        "{question}\n\n"
        "First justify the points in at most 100 words. Then end with the sum, in exactly this form: "
        '"Score: <total points>".'
    ),
    "brief": "Score the response from 0 to 5.\n{question}",
}
QUESTION = "User: {instruction}\n<response>{response}</response>"

_SCORE = re.compile(rf"\bscore\b[^\w+-]{{0,6}}(?={NUMBER})", re.IGNORECASE)


@dataclass(frozen=True)
class AdditivePrompt(PromptConfig):
    """``prompt=additive``: five cumulative points, the judge of Self-Rewarding and Meta-Rewarding."""

    name: Literal["additive"] = setting("additive", "protocol")
    style: Literal["full", "brief"] = setting("full", "wording; slots and output format are the same")


@PROMPTS.protocol(AdditivePrompt)
@dataclass(frozen=True, slots=True)
class Additive:
    """Prompt and parser."""

    config: AdditivePrompt

    scale: ClassVar[tuple[float, float]] = (0.0, 5.0)

    def score_prompt(self, row: Response) -> tuple[Message, ...]:
        """The prompt for a response."""
        question = fill(QUESTION, instruction=row.instruction, response=row.response)
        return ({"role": "user", "content": fill(TASK[self.config.style], question=question)},)

    def stitch_score(self, plan: str, execution: str, score: float) -> str:
        """A worked judgment as this protocol writes it."""
        return f"{plan}\n{execution.strip()}\nScore: {score:g}"

    def read_score(self, text: str, truncated: bool) -> ScoreReading:
        """The one score a reply states outside quotations, after the word score.

        :param truncated: the reply hit its token limit; it then has no score, because the score comes last
        """
        if truncated:
            return ScoreReading(None, "truncated")
        low, high = self.scale
        quotations = Quotations(text)
        heads = [head for head in _SCORE.finditer(text) if not quotations.hold(head.start(), head.end() + 1)]
        ends = [*(head.start() for head in heads), len(text)][1:]
        said = (text[head.end() : end].partition("\n") for head, end in zip(heads, ends, strict=False))
        return one_score((stated(line, high, after) for line, _, after in said), low, high)
