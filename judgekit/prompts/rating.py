"""Scoring one response on a scale: reasons, then ``[[N]]`` or ``Rating: N``.

Slots and output format are those of MT-Bench's single-answer judge (arXiv 2306.05685, appendix A); the wording, the
criterion and the free scale are ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from judgekit.errors import Problem
from judgekit.prompts.base import PROMPTS, PromptConfig, ScoreReading, fill, no_room
from judgekit.prompts.replies import Quotations
from judgekit.prompts.scores import NUMBER, one_score, stated
from judgekit.rows import Message, Response
from judgekit.schema.fields import setting

SYSTEM = (
    "You are an impartial judge of the answer that an AI assistant gave to the user's question below. {criterion} "
    "The answer's length and style alone must not influence you.{reference} {reasoning} on a scale from {low} (worst) "
    'to {high} (best) in exactly this form: "Rating: [[number]]", for example "Rating: [[{example}]]".'
)
OVERALL = "Look at correctness, helpfulness, relevance, depth and level of detail."
CRITERION = "Score it by this criterion only: {criterion}"
REASONING = {
    True: "Explain briefly what is good and bad about the answer first. Then rate it",
    False: "Give no explanation; only rate the answer",
}
REFERENCE = " A reference answer is given: find the mistakes of the assistant by comparing with it."

QUESTION = "[Question]\n{instruction}\n\n"
REFERENCE_ANSWER = "[The Start of Reference Answer]\n{reference}\n[The End of Reference Answer]\n\n"
ANSWER = "[The Start of Assistant's Answer]\n{response}\n[The End of Assistant's Answer]"

_BRACKETS = re.compile(r"\[\[([^\[\]]*)\]\](\s*(?:/|out of)\s*\d+)?")
_WORDS = re.compile(rf"\brating[^\w+-]{{0,4}}(?={NUMBER})([^\n]*)", re.IGNORECASE)


@dataclass(frozen=True)
class RatingPrompt(PromptConfig):
    """``prompt=rating``: score one response on a scale, in the format of MT-Bench (arXiv 2306.05685)."""

    name: Literal["rating"] = setting("rating", "protocol")
    low: float = setting(1.0, "worst score")
    high: float = setting(10.0, "best score")
    reasoning: bool = setting(True, "the judge explains first; false: it is asked for the score alone")
    criterion: str | None = setting(None, "what is scored, where the data does not say; null: overall quality")
    reference: bool = setting(True, "show the reference answer of responses that have one")

    def problems(self) -> list[Problem]:
        """A scale without room."""
        return no_room(self.low, self.high)


@PROMPTS.protocol(RatingPrompt)
@dataclass(frozen=True, slots=True)
class Rating:
    """Prompt and parser."""

    config: RatingPrompt

    @property
    def scale(self) -> tuple[float, float]:
        """Worst and best score."""
        return self.config.low, self.config.high

    def score_prompt(self, row: Response) -> tuple[Message, ...]:
        """The prompt for a response; a criterion of the data goes before the configured one."""
        config = self.config
        reference = row.reference if config.reference else None
        criterion = row.criterion or config.criterion
        system = fill(
            SYSTEM,
            criterion=fill(CRITERION, criterion=criterion) if criterion else OVERALL,
            reference=REFERENCE if reference else "",
            reasoning=REASONING[config.reasoning],
            low=f"{config.low:g}",
            high=f"{config.high:g}",
            example=f"{(config.low + config.high) // 2:g}",
        )
        text = fill(QUESTION, instruction=row.instruction)
        text += fill(REFERENCE_ANSWER, reference=reference) if reference else ""
        text += fill(ANSWER, response=row.response)
        return ({"role": "system", "content": system}, {"role": "user", "content": text})

    def read_score(self, text: str, truncated: bool) -> ScoreReading:
        """The one score a reply states outside quotations: in double brackets, or else after the word rating.

        A reply cut off while it still explains has none.

        :param truncated: the reply hit its token limit
        """
        if truncated and self.config.reasoning:
            return ScoreReading(None, "truncated")
        low, high = self.scale
        quotations = Quotations(text)
        for pattern in (_BRACKETS, _WORDS):
            heads = [head for head in pattern.finditer(text) if not quotations.hold(head.start(), head.start(1) + 1)]
            said = (stated("".join(head.groups("")), high, text[head.end() :]) for head in heads)
            found = one_score(said, low, high)
            if found.invalid != "missing":
                return found
        return ScoreReading(None, "truncated" if truncated else "missing")
