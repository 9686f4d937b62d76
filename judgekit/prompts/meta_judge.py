"""The meta-judge of Meta-Rewarding (arXiv 2407.19594 §2.3): which of two judgments of one response is better.

Fields, the repeated rubric and the output format are the paper's; the wording is ours. It shows "Judgment A" and asks
for "Judgement A", so both spellings are read. A comparison is a ``ResponsePair`` whose instruction is
``judged(question, response)`` and whose responses are the two judgments.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from judgekit.prompts.additive import RUBRIC
from judgekit.prompts.base import Reading, fill, shown
from judgekit.prompts.thoughts import of_answer
from judgekit.rows import Message, Order, ResponsePair
from judgekit.schema.fields import setting

TASK = {
    "full": (
        "Below are a user's question, an assistant's response to it, and two judgments of that response. Both judges "
        f"were told:\n{RUBRIC}\n\n"
        "Decide which judgment is better. Weigh how closely it keeps to these criteria, whether what it says of the "
        "response is right, and whether its score follows from its reasons. Neither the order in which the judgments "
        "are shown nor their length may sway you.\n\n"
        "{judged}\n\n[Judgment A]\n{first}\n[End of Judgment A]\n\n[Judgment B]\n{second}\n[End of Judgment B]\n\n"
        "Explain your decision first. Then end with a line in exactly this form: "
        '"Winner: [Judgement A | Judgement B]", naming one of them.'
    ),
    "brief": "Which judgment is right?\n{judged}\n[Judgment A]\n{first}\n[Judgment B]\n{second}",
}
JUDGED = "[Question]\n{instruction}\n[End of Question]\n\n[Response]\n{response}\n[End of Response]"

_LINE = re.compile(r"\bwinner\b\W*(.*)", re.IGNORECASE)
_NAMED = re.compile(r"\bjudge?ment\W*([AB])\b", re.IGNORECASE)
_ALONE = re.compile(r"\W*([AB])\W*", re.IGNORECASE)


def judged(instruction: str, response: str) -> str:
    """Question and response as the meta-judge is shown them."""
    return fill(JUDGED, instruction=instruction, response=response)


@dataclass(frozen=True)
class MetaJudgePrompt:
    """How the meta-judge of Meta-Rewarding is asked: which of two judgments of a response is better."""

    style: Literal["full", "brief"] = setting("full", "wording; slots and output format are the same")


@dataclass(frozen=True, slots=True)
class MetaJudge:
    """Prompt and parser."""

    config: MetaJudgePrompt

    verdict_tokens: ClassVar[tuple[str, ...]] = ("Winner: Judgement A", "Winner: Judgement B")
    verdict_lead: ClassVar[str] = "\n"
    verdict_stops: ClassVar[tuple[str, ...]] = ("Winner:",)

    def judge_prompt(self, pair: ResponsePair, order: Order) -> tuple[Message, ...]:
        """The prompt for two judgments in one order."""
        first, second = shown(pair, order)
        text = fill(TASK[self.config.style], judged=pair.instruction, first=first, second=second)
        return ({"role": "user", "content": text},)

    def stitch(self, plan: str, execution: str, position: str) -> str:
        """A worked comparison as this protocol writes it."""
        return f"{plan}\n{execution.strip()}{self.verdict_lead}Winner: Judgement {position}"

    @of_answer(Reading)
    def read(self, text: str, truncated: bool) -> Reading:
        """The one judgment that the lines with a winner name.

        :param truncated: the reply hit its token limit; it then has no winner, because the winner comes last
        """
        if truncated:
            return Reading(None, "truncated")
        lines = [match[1] for match in _LINE.finditer(text)]
        if not lines:
            return Reading(None, "missing")
        named: set[str] = set()
        for line in lines:
            alone = _ALONE.fullmatch(line)
            named |= {alone[1].upper()} if alone else {name.upper() for name in _NAMED.findall(line)}
        if len(named) > 1:
            return Reading(None, "ambiguous")
        if not named:
            return Reading(None, "neither named")
        return Reading("A" if named == {"A"} else "B", None)
