"""Comparing two responses in one reply: reasons, then ``[[A]]``, ``[[B]]`` or, where ties are allowed, ``[[C]]``.

Slots and output format are those of MT-Bench's judge (arXiv 2306.05685, appendix A); the wording is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from judgekit.prompts.base import PROMPTS, PromptConfig, Reading, fill, shown
from judgekit.prompts.replies import decide
from judgekit.rows import Message, Order, ResponsePair, Verdict
from judgekit.schema.fields import setting

POSITIONS: dict[str, Verdict] = {"A": "A", "B": "B", "C": "tie"}

SYSTEM = (
    "You are an impartial judge of answers that two AI assistants gave to the user's question below. Decide which "
    "assistant followed the user's instructions and answered the question better: look at correctness, helpfulness, "
    "relevance, depth and level of detail. The order in which the answers are shown, their length and the assistants' "
    "names must not influence you.{reference} {reasoning} in exactly this form: [[A]] if assistant A is better, [[B]] "
    "if assistant B is better{ties}."
)
REASONING = {
    True: "Compare the two answers in a short explanation first. Then give your final verdict",
    False: "Give no explanation, only your verdict",
}
REFERENCE = " A reference answer is given: find the mistakes of each assistant by comparing with it."
TIES = ", [[C]] for a tie"

QUESTION = "[User Question]\n{instruction}\n\n"
REFERENCE_ANSWER = "[The Start of Reference Answer]\n{reference}\n[The End of Reference Answer]\n\n"
ANSWERS = (
    "[The Start of Assistant A's Answer]\n{response_a}\n[The End of Assistant A's Answer]\n\n"
    "[The Start of Assistant B's Answer]\n{response_b}\n[The End of Assistant B's Answer]"
)


@dataclass(frozen=True)
class PairwisePrompt(PromptConfig):
    """``prompt=pairwise``: compare two responses in the format of MT-Bench (arXiv 2306.05685)."""

    name: Literal["pairwise"] = setting("pairwise", "protocol")
    reasoning: bool = setting(True, "the judge explains first; false: it is asked for the verdict alone")
    ties: bool = setting(False, "[[C]] is a verdict too: a tie")
    parser: Literal["strict", "release"] = setting(
        "strict",
        "how replies are read. strict: one decision outside quotations, none in a reply that was cut; release: the "
        "first of [[A]], [[B]], [[C]] that stands anywhere, as FastChat",
    )
    reference: bool = setting(True, "show the reference answer of pairs that have one")


@PROMPTS.protocol(PairwisePrompt)
@dataclass(frozen=True, slots=True)
class Pairwise:
    """Prompt and parser."""

    config: PairwisePrompt

    @property
    def verdict_tokens(self) -> tuple[str, ...]:
        """``[[A]]``, ``[[B]]`` and, with ties, ``[[C]]``."""
        return ("[[A]]", "[[B]]", "[[C]]") if self.config.ties else ("[[A]]", "[[B]]")

    @property
    def verdict_lead(self) -> str:
        """A line of its own, where there is reasoning before it."""
        return "\n" if self.config.reasoning else ""

    @property
    def verdict_stops(self) -> tuple[str, ...]:
        """Where the explanation ends: at a whole verdict, since ``[[`` also begins matrices and conditions."""
        return self.verdict_tokens if self.config.reasoning else ()

    def judge_prompt(self, pair: ResponsePair, order: Order) -> tuple[Message, ...]:
        """The prompt for a pair in one order."""
        first, second = shown(pair, order)
        reference = pair.reference if self.config.reference else None
        system = fill(
            SYSTEM,
            reference=REFERENCE if reference else "",
            reasoning=REASONING[self.config.reasoning],
            ties=TIES if self.config.ties else "",
        )
        text = fill(QUESTION, instruction=pair.instruction)
        text += fill(REFERENCE_ANSWER, reference=reference) if reference else ""
        text += fill(ANSWERS, response_a=first, response_b=second)
        return ({"role": "system", "content": system}, {"role": "user", "content": text})

    def read(self, text: str, truncated: bool) -> Reading:
        """The one verdict an answer decides for, or with ``parser=release`` as the release reads it.

        :param truncated: the reply hit its token limit; one that does not begin with its verdict decided nothing
        """
        if self.config.parser == "release":
            named = next((name for name in POSITIONS if f"[[{name}]]" in text), None)
            return Reading(POSITIONS[named], None) if named else Reading(None, "missing")
        if truncated and (self.config.reasoning or not text.lstrip(" \n*").startswith("[[")):
            return Reading(None, "truncated")
        return decide(text, ties=self.config.ties)
