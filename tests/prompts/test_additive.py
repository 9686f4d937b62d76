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
        ("Score: five", "missing"),
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
