"""Auto-J (arXiv 2310.05470): a comparison in prose that ends in ``final decision is Response 1 / Response 2 / Tie``.

Slots and output format are those of the release, Llama 2's chat markers included; the wording is ours and can be
replaced by the release's own template.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from judgekit.errors import ConfigError, Problem
from judgekit.prompts.base import PROMPTS, Reading, fill, shown
from judgekit.prompts.chat import PLAIN
from judgekit.prompts.wording import WordedPrompt
from judgekit.rows import Message, Order, ResponsePair, Verdict
from judgekit.schema.fields import setting

TEMPLATE = (
    "Two responses to a user's query are given. Find out which one is better, or whether they are equally good.\n\n"
    "[BEGIN DATA]\n***\n[Query]: {prompt}\n***\n[Response 1]: {response}\n***\n[Response 2]: {response_another}\n***\n"
    "[END DATA]\n\n"
    "First work out what tells the two responses apart. Then decide, in agreement with your comparison, in a sentence "
    'that begins with "So, the final decision is Response 1 / Response 2 / Tie".'
)
SLOTS = ("prompt", "response", "response_another")
DECISION = "final decision is "
_SAID: dict[str, Verdict] = {"response 1": "A", "response 2": "B", "tie": "tie"}


@dataclass(frozen=True)
class AutoJPrompt(WordedPrompt):
    """``prompt=autoj``: a comparison that ends in a final decision (Auto-J, arXiv 2310.05470); plain text."""

    release: ClassVar[str] = "autoj"
    sentences: ClassVar[Mapping[str, str]] = {"template": "pair"}
    name: Literal["autoj"] = setting("autoj", "protocol")
    template: str | None = setting(
        None, "file with a template in place of ours; slots {prompt}, {response}, {response_another}", path=True
    )


@PROMPTS.protocol(AutoJPrompt)
@dataclass(frozen=True, slots=True)
class AutoJ:
    """Prompt and parser."""

    config: AutoJPrompt

    verdict_tokens: ClassVar[tuple[str, ...]] = ("Response 1", "Response 2", "Tie")
    verdict_lead: ClassVar[str] = f"\nSo, the {DECISION}"
    verdict_stops: ClassVar[tuple[str, ...]] = ("So, the final decision",)

    def judge_prompt(self, pair: ResponsePair, order: Order) -> tuple[Message, ...]:
        """The prompt for a pair in one order, in plain text."""
        first, second = shown(pair, order)
        text = fill(self._template(), prompt=pair.instruction, response=first, response_another=second)
        return ({"role": PLAIN, "content": f"[INST] {text} [/INST]"},)

    def read(self, text: str, truncated: bool) -> Reading:
        """What follows the last ``final decision is``.

        :param truncated: the reply hit its token limit; the decision may stand before that
        """
        _, decision, said = text.rpartition(DECISION)
        if not decision:
            return Reading(None, "truncated" if truncated else "missing")
        found = (verdict for name, verdict in _SAID.items() if said.strip().lower().startswith(name))
        verdict = next(found, None)
        return Reading(verdict, None) if verdict else Reading(None, "unknown decision")

    def _template(self) -> str:
        if self.config.template is None:
            return self.config.sentence("template", TEMPLATE)
        text = Path(self.config.template).read_text(encoding="utf-8")
        missing = [name for name in SLOTS if f"{{{name}}}" not in text]
        if missing:
            message = f"{self.config.template} has no slot {{{missing[0]}}}"
            raise ConfigError([Problem("prompt.template", message, f"Slots: {', '.join(SLOTS)}")])
        return text
