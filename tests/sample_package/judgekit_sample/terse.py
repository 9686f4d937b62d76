"""``prompt=terse``: a verdict and nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from judgekit.errors import Problem
from judgekit.prompts.base import PROMPTS, VERDICT, Ending, PromptConfig, Reading, shown
from judgekit.rows import Message, Order, ResponsePair
from judgekit.schema.fields import setting


@dataclass(frozen=True)
class TersePrompt(PromptConfig):
    """``prompt=terse``."""

    name: Literal["terse"] = setting("terse", "protocol")
    question: str = setting("Which is better?", "what is asked")

    ending: ClassVar[Ending] = Ending("`[[A]]` or `[[B]]`. Anything else is invalid", "", VERDICT)

    def problems(self) -> list[Problem]:
        """A question that asks nothing."""
        return [] if self.question.endswith("?") else [Problem("question", "asks nothing", "End it in a question mark")]


@PROMPTS.protocol(TersePrompt)
@dataclass(frozen=True, slots=True)
class Terse:
    """Prompt and parser."""

    config: TersePrompt

    verdict_tokens: ClassVar[tuple[str, ...]] = ("[[A]]", "[[B]]")
    verdict_lead: ClassVar[str] = ""
    verdict_stops: ClassVar[tuple[str, ...]] = ()

    def judge_prompt(self, pair: ResponsePair, order: Order) -> tuple[Message, ...]:
        """The prompt for a pair in one order."""
        first, second = shown(pair, order)
        return ({"role": "user", "content": f"{pair.instruction}\nA: {first}\nB: {second}\n{self.config.question}"},)

    def read(self, text: str, truncated: bool) -> Reading:
        """The one verdict of a reply."""
        found = set(re.findall(VERDICT, text))
        if len(found) != 1:
            return Reading(None, "ambiguous" if found else "missing")
        return Reading("A" if found == {"A"} else "B", None)
