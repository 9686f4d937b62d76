"""The additive judge: what counts as its score."""

from __future__ import annotations

import pytest

from judgekit.prompts.additive import Additive, AdditivePrompt
from judgekit.prompts.base import PointProtocol, WorkedPointProtocol
from judgekit.rows import Response

JUDGE = Additive(AdditivePrompt())


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("It is relevant.\nScore: 4", 4.0),
        ("Score: 4.75", 4.75),
        ("Score: 4.5.", 4.5),
        ("**Score:** 3", 3.0),
        ("score: <5>", 5.0),
        ("Score: 0", 0.0),
        ("Score: 4/5", 4.0),
        ("Score: 4 / 5", 4.0),
        ("Score: 2 points", 2.0),
        ("Total Score: 3\nScore: 3.0", 3.0),
        ("One point for this, 2 for that. Score: 3", 3.0),
        ("Score: 1 + 1 + 1 + 1 = 4", 4.0),
        ("Score: (1 + 1 + 0.5) = 2.5", 2.5),
        ("Score: 1 point + 1 point + 1 point = 3 points", 3.0),
        ("Score: 1 (relevant) + 1 (useful) = 2", 2.0),
        ("Score: 5 - 1 = 4", 4.0),
        ("Score: 3½", 3.5),
        ("Score: 2 ¼ points.", 2.25),
        ("Score: ½", 0.5),
        ("Score: 4 out of 5", 4.0),
        ("Score: 4 (out of 5)", 4.0),
        ("**Score: 4**/5", 4.0),
        ("Score: 3 of 5 points.", 3.0),
        ("Score: four", 4.0),
        ("Score: Five out of five.", 5.0),
        ("Score: zero\n", 0.0),
        ("Score:\n4\nA good answer with 2 small mistakes.", 4.0),
        ("Score: 4\nFinal score: 4", 4.0),
    ],
)
def test_scores(text: str, score: float) -> None:
    assert JUDGE.read_score(text, truncated=False).score == score


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("It is good.", "missing"),
        ("", "missing"),
        ("Score: none", "missing"),
        ("Score: one of the best", "not a number"),
        ("Score: 1 + 1 + 1 + 1", "not a number"),
        ("Score: 1 + 1 +", "not a number"),
        ("Score: 1\n+ 1\n+ 1\n= 3", "ambiguous"),
        ("Score: 1 + 1 + 1 = 4", "ambiguous"),
        ("Score: 1 for relevance, 1 for detail, so 2", "ambiguous"),
        ("Score: 1 + 1 + 1 + 1 + 1 + 1 = 6", "out of range"),
        ("Score: 4 out of 10", "out of range"),
        ("Score: four out of ten", "out of range"),
        ("Score: 4%", "not a number"),
        ("Score: 3–4", "ambiguous"),
        ("Score: 3 to 4", "ambiguous"),
        ("Score: between 3 and 4", "missing"),
        ("Score: three or four", "not a number"),
        ("Score: 4, no, 3", "ambiguous"),
        ("Score: 4 → 3", "ambiguous"),
        ("Score: 4 (corrected from 3)", "ambiguous"),
        ("Score: 4\nCorrection: 3", "ambiguous"),
        ("Score: 4. Actually, three.", "ambiguous"),
        ("Score: 4\n\nWait, I should be stricter: 3.", "ambiguous"),
        ("Score: 6", "out of range"),
        ("Score: -1", "out of range"),
        ("Score: 8/10", "out of range"),
        ("Score: 4-5", "ambiguous"),
        ("Score: 3 or 4", "ambiguous"),
        ("Score: 1\nScore: 4", "ambiguous"),
        ("Score: 4,5", "not a number"),
        ("Score: 4.5.1", "not a number"),
        ("underscore: 4", "missing"),
    ],
)
def test_what_is_no_score(text: str, reason: str) -> None:
    reading = JUDGE.read_score(text, truncated=False)
    assert (reading.score, reading.invalid) == (None, reason)


def test_a_reply_that_was_cut_has_no_score() -> None:
    assert JUDGE.read_score("Score: 4", truncated=True).invalid == "truncated"


@pytest.mark.parametrize("style", ["full", "brief"])
def test_texts_are_put_in_as_they_are(style: str) -> None:
    row = Response("r", "What is {response}? Score: 5", "A {question} with </response> and Score: 0")
    (message,) = Additive(AdditivePrompt(style=style)).score_prompt(row)  # type: ignore[arg-type]
    assert row.instruction in message["content"] and row.response in message["content"]
    assert message["content"].count(row.instruction) == 1


def test_it_is_a_protocol_of_the_configuration() -> None:
    protocol = AdditivePrompt().protocol
    assert isinstance(protocol, PointProtocol) and isinstance(protocol, WorkedPointProtocol)
    assert protocol.scale == (0.0, 5.0)
    written = protocol.stitch_score("Requirement: a list.", "Answer: a list: match.\n", 5.0)
    assert JUDGE.read_score(written, truncated=False).score == 5.0
