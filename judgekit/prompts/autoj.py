"""Auto-J (arXiv 2310.05470): a comparison in prose that ends in ``final decision is Response 1 / Response 2 / Tie``,
and a critique of a single response that ends in ``Rating: [[N]]``.

Slots and output format are those of the release, Llama 2's chat markers included; the wording is ours and can be
replaced by the release's own templates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from judgekit.errors import ConfigError, Problem
from judgekit.prompts.base import PROMPTS, Reading, ScoreReading, fill, shown
from judgekit.prompts.chat import PLAIN
from judgekit.prompts.replies import Quotations, decided
from judgekit.prompts.wording import WordedPrompt
from judgekit.rows import Message, Order, Response, ResponsePair, Verdict
from judgekit.schema.fields import setting

TEMPLATE = (
    "Two responses to a user's query are given. Find out which one is better, or whether they are equally good.\n\n"
    "[BEGIN DATA]\n***\n[Query]: {prompt}\n***\n[Response 1]: {response}\n***\n[Response 2]: {response_another}\n***\n"
    "[END DATA]\n\n"
    "First work out what tells the two responses apart. Then decide, in agreement with your comparison, in a sentence "
    'that begins with "So, the final decision is Response 1 / Response 2 / Tie".'
)
DECISION = "final decision is "
SINGLE = (
    "A response to a user's query is given. Criticise it and grade it.\n\n"
    "[BEGIN DATA]\n***\n[Query]: {prompt}\n***\n[Response]: {response}\n***\n[END DATA]\n\n"
    "First say what is good and what is bad about the response. Then grade it with a number from 1 to 10 in exactly "
    'this form: "Rating: [[number]]", for example "Rating: [[5]]".'
)
RATING = "Rating: [["
_DECIDED = re.compile(r"final decision is[ \t]*:?[ \t]*(?=([^\n]{0,80}))", re.IGNORECASE)
_DECISION = re.compile(r"[*_\[(]*((?:response[ \t]+[12]|tie))(?![\w'])[*_\])]*(?!\s*(?:/|or\b|and\b)).*", re.IGNORECASE)
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
    parser: Literal["strict", "release"] = setting(
        "strict",
        "how replies are read. strict: one whole decision outside quotations, none in a reply that was cut; release: "
        "what the text after the last 'final decision is' begins with",
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
        return _asked(self.config, TEMPLATE, prompt=pair.instruction, response=first, response_another=second)

    def read(self, text: str, truncated: bool) -> Reading:
        """The one decision outside quotations, or with ``parser=release`` what follows the last ``final decision is``.

        :param truncated: the reply hit its token limit; it then decided nothing, because the decision comes last
        """
        if self.config.parser == "strict":
            if truncated:
                return Reading(None, "truncated")
            quotations = Quotations(text)
            said = {
                found[1] for found in _DECIDED.finditer(text) if not quotations.hold(found.start(), found.end() + 1)
            }
            names = {_DECISION.fullmatch(one.strip()) for one in said}
            if None in names:
                return Reading(None, "unknown decision")
            return decided({_SAID[" ".join(name[1].lower().split())] for name in names if name}, ties=True)
        _, decision, rest = text.rpartition(DECISION)
        if not decision:
            return Reading(None, "truncated" if truncated else "missing")
        told = (verdict for name, verdict in _SAID.items() if rest.strip().lower().startswith(name))
        verdict = next(told, None)
        return Reading(verdict, None) if verdict else Reading(None, "unknown decision")


@dataclass(frozen=True)
class AutoJSinglePrompt(WordedPrompt):
    """``prompt=autoj_single``: a critique of one response and a rating from 1 to 10 (Auto-J, arXiv 2310.05470)."""

    release: ClassVar[str] = "autoj"
    sentences: ClassVar[Mapping[str, str]] = {"template": "single"}
    name: Literal["autoj_single"] = setting("autoj_single", "protocol")
    template: str | None = setting(None, "file with a template in place of ours; slots {prompt}, {response}", path=True)


@PROMPTS.protocol(AutoJSinglePrompt)
@dataclass(frozen=True, slots=True)
class AutoJSingle:
    """Prompt and parser."""

    config: AutoJSinglePrompt

    scale: ClassVar[tuple[float, float]] = (1.0, 10.0)

    def score_prompt(self, row: Response) -> tuple[Message, ...]:
        """The prompt for a response, in plain text; the protocol has no place for references."""
        return _asked(self.config, SINGLE, prompt=row.instruction, response=row.response)

    def read_score(self, text: str, truncated: bool) -> ScoreReading:
        """What stands in the last ``Rating: [[...]]``. Where there is none the release takes 0; here there is no score.

        :param truncated: the reply hit its token limit; the rating may stand before that
        """
        _, rating, rest = text.rpartition(RATING)
        number, closed, _ = rest.partition("]]")
        if not rating or not closed:
            return ScoreReading(None, "truncated" if truncated else "missing")
        try:
            score = float(number)
        except ValueError:
            return ScoreReading(None, "not a score")
        low, high = self.scale
        return ScoreReading(score, None) if low <= score <= high else ScoreReading(None, "out of range")


def _asked(config: AutoJPrompt | AutoJSinglePrompt, ours: str, **texts: str) -> tuple[Message, ...]:
    """The template with its slots filled, between the chat markers of Llama 2.

    :raises ConfigError: the file of a template lacks a slot
    """
    template = config.sentence("template", ours)
    if config.template is not None:
        # The line end that editors put behind the last line is none of the prompt's.
        template = Path(config.template).read_text(encoding="utf-8").removesuffix("\n")
        if missing := [name for name in texts if f"{{{name}}}" not in template]:
            message = f"{config.template} has no slot {{{missing[0]}}}"
            raise ConfigError([Problem("prompt.template", message, f"Slots: {', '.join(texts)}")])
    return ({"role": PLAIN, "content": f"[INST] {fill(template, **texts)} [/INST]"},)
