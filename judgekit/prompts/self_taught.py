"""The Self-Taught Evaluator protocol: a judge reasons about two answers and ends with ``[[A]]`` or ``[[B]]``.

Slots, tags and output format are those of arXiv 2408.02666 and its release; the wording is ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from judgekit.prompts.base import PROMPTS, VERDICT, Ending, PromptConfig, Reading, fill, shown
from judgekit.prompts.replies import decide
from judgekit.rows import Message, Order, ResponsePair
from judgekit.schema.fields import setting

VERDICT_TOKENS = ("[[A]]", "[[B]]")

_IMPARTIAL = (
    "You are an impartial judge. Two AI assistants have answered the same user, and you decide which of them did what "
    "the user asked for, and did it better. Neither the order of the answers nor their length nor the assistants' "
    "names may sway you. "
)
_FORM = "Close with your verdict, in exactly this form: [[A]] if assistant A answered better, [[B]] if assistant B did."

SYSTEM = {
    "full": (
        f"{_IMPARTIAL}Begin by comparing the answers in a short explanation: are they helpful, relevant, correct, deep "
        f"enough, and as detailed as the question needs? {_FORM}"
    ),
    "criteria": (
        f"{_IMPARTIAL}Proceed in this order. First look for errors in each answer. Then name between one and five "
        "criteria that matter for this particular question. Then check both answers against each criterion in turn. "
        f"{_FORM}"
    ),
    "brief": "You judge two answers.",
}

ANSWERS = (
    "[User Question]\n{instruction}\n"
    "[The Start of Assistant A's Answer]\n{response_a}\n[The End of Assistant A's Answer]\n"
    "[The Start of Assistant B's Answer]\n{response_b}\n[The End of Assistant B's Answer]"
)

_VERDICT = re.compile(r"\[\[([ABC])\]\]")


@dataclass(frozen=True)
class SelfTaughtPrompt(PromptConfig):
    """``prompt=self_taught``: reason about two answers, then ``[[A]]`` or ``[[B]]``."""

    name: Literal["self_taught"] = setting("self_taught", "protocol")
    style: Literal["full", "criteria", "brief"] = setting(
        "full",
        "wording; slots and output format are the same. full: explain and decide; criteria: look for errors, name "
        "criteria, check each, decide, as the released eval_plan prompt; brief: for small models",
    )
    parser: Literal["strict", "release"] = setting(
        "strict",
        "how replies are read. strict: one decision outside quotations, none in a reply that was cut; release: [[A]] "
        "or [[B]] anywhere but not both, [[C]] alone a tie",
    )

    ending: ClassVar[Ending] = Ending(
        "reasons and `[[A]]` or `[[B]]` for the answer shown as A or B. A reply with neither or both is invalid",
        "",
        VERDICT,
    )


@PROMPTS.protocol(SelfTaughtPrompt)
@dataclass(frozen=True, slots=True)
class SelfTaught:
    """Prompts and parser."""

    config: SelfTaughtPrompt

    verdict_tokens: ClassVar[tuple[str, ...]] = VERDICT_TOKENS
    verdict_lead: ClassVar[str] = "\n"
    verdict_stops: ClassVar[tuple[str, ...]] = VERDICT_TOKENS

    def judge_prompt(self, pair: ResponsePair, order: Order) -> tuple[Message, ...]:
        """The prompt of sampling, training and evaluation alike."""
        first, second = shown(pair, order)
        text = fill(ANSWERS, instruction=pair.instruction, response_a=first, response_b=second)
        return ({"role": "system", "content": SYSTEM[self.config.style]}, {"role": "user", "content": text})

    def stitch(self, plan: str, execution: str, position: str) -> str:
        """A worked judgment as this protocol writes it: what is asked for, what each answer is, the verdict."""
        return f"{plan}\n{execution.strip()}{self.verdict_lead}[[{position}]]"

    def read(self, text: str, truncated: bool) -> Reading:
        """The one verdict an answer decides for, ``[[C]]`` being a tie, or with ``parser=release`` as the release does.

        :param truncated: the reply hit its token limit; it then decided nothing, because the verdict comes last
        """
        if self.config.parser == "strict":
            return decide(text, truncated, ties=True)
        found = set(_VERDICT.findall(text))
        if {"A", "B"} <= found:
            return Reading(None, "ambiguous")
        named = found - {"C"}
        if named:
            return Reading("A" if named == {"A"} else "B", None)
        return Reading("tie", None) if found else Reading(None, "missing")
