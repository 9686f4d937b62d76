"""Comparing two responses in one reply."""

from __future__ import annotations

import pytest

from judgekit.prompts.base import PairProtocol, PointProtocol, Reading
from judgekit.prompts.pairwise import Pairwise, PairwisePrompt
from judgekit.rows import ResponsePair

PAIR = ResponsePair("p", "why {reference}?", "first {ties}", "second [[B]]", "A", reference="because")
PLAIN, TIES = Pairwise(PairwisePrompt()), Pairwise(PairwisePrompt(ties=True))
BARE = Pairwise(PairwisePrompt(reasoning=False))


def test_the_prompt_shows_both_responses_in_order_and_the_reference() -> None:
    system, user = PLAIN.judge_prompt(PAIR, "ba")
    text = user["content"]
    assert text.index("second [[B]]") < text.index("first {ties}")
    assert "why {reference}?" in text and "[The Start of Reference Answer]\nbecause\n" in text
    assert "reference answer" in system["content"]
    hidden = Pairwise(PairwisePrompt(reference=False)).judge_prompt(PAIR, "ab")
    assert "because" not in str(hidden) and "reference" not in hidden[0]["content"].lower()


def test_a_tie_is_offered_where_it_is_allowed_only() -> None:
    assert "[[C]]" in TIES.judge_prompt(PAIR, "ab")[0]["content"]
    assert "[[C]]" not in PLAIN.judge_prompt(PAIR, "ab")[0]["content"]
    assert (PLAIN.verdict_tokens, TIES.verdict_tokens) == (("[[A]]", "[[B]]"), ("[[A]]", "[[B]]", "[[C]]"))


@pytest.mark.parametrize(
    ("text", "truncated", "plain", "ties", "bare"),
    [
        ("A is right. [[A]]", False, "A", "A", "A"),
        ("[[B]]\nB is right. [[B]]", False, "B", "B", "B"),
        ("Equal. [[C]]", False, "out of range", "tie", "out of range"),
        ("[[A]] or [[B]]", False, "ambiguous", "ambiguous", "ambiguous"),
        ("[[A]] or [[C]]", False, "ambiguous", "ambiguous", "ambiguous"),
        ("[A] is better, [[D]], [[A x]]", False, "missing", "missing", "missing"),
        ("", False, "missing", "missing", "missing"),
        ("One could say [[A]], but", True, "truncated", "truncated", "truncated"),
        ("[[A]], because", True, "truncated", "truncated", "A"),
        ("Let me", True, "truncated", "truncated", "truncated"),
    ],
)
def test_replies_are_read(text: str, truncated: bool, plain: str, ties: str, bare: str) -> None:
    for protocol, said in ((PLAIN, plain), (TIES, ties), (BARE, bare)):
        verdict = said if said in ("A", "B", "tie") else None
        assert protocol.read(text, truncated) == Reading(verdict, None if verdict else said)  # type: ignore[arg-type]


def test_it_is_a_protocol_for_pairs() -> None:
    assert isinstance(PLAIN, PairProtocol) and not isinstance(PLAIN, PointProtocol)
