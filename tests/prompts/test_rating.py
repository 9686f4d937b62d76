"""Scoring one response."""

from __future__ import annotations

import pytest

from judgekit.errors import ConfigError
from judgekit.prompts.base import PairProtocol, PointProtocol, ScoreReading, pair_protocol
from judgekit.prompts.rating import Rating, RatingPrompt
from judgekit.rows import Response

ROW = Response("r", "why {low}?", "so {high}", reference="ref", criterion="Is it {coherent}?")
TEN = Rating(RatingPrompt())
HALVES = Rating(RatingPrompt(low=-1.0, high=1.0, reasoning=False))


def test_the_prompt_shows_scale_criterion_and_reference() -> None:
    system, user = TEN.score_prompt(ROW)
    assert "Is it {coherent}?" in system["content"] and "from 1 (worst) to 10 (best)" in system["content"]
    assert user["content"] == (
        "[Question]\nwhy {low}?\n\n[The Start of Reference Answer]\nref\n[The End of Reference Answer]\n\n"
        "[The Start of Assistant's Answer]\nso {high}\n[The End of Assistant's Answer]"
    )
    assert "correctness" in HALVES.score_prompt(Response("r", "q", "a"))[0]["content"]


@pytest.mark.parametrize(
    ("text", "truncated", "ten", "halves"),
    [
        ("Good. Rating: [[7]]", False, 7.0, "out of range"),
        ("[[ 0.5 ]]", False, "out of range", 0.5),
        ("Rating: 8/10", False, 8.0, "out of range"),
        ("**Rating:** 1", False, 1.0, 1.0),
        ("rating: -0.25", False, "out of range", -0.25),
        ("Rating: 3, no: [[4]]", False, 4.0, "out of range"),
        ("[[3]] or [[4]]", False, "ambiguous", "ambiguous"),
        ("[[3]] [[3.0]]", False, 3.0, "out of range"),
        ("I give it a seven.", False, "missing", "missing"),
        ("[[ten]] [[1e400]] [[nan]]", False, "ambiguous", "ambiguous"),
        ("[[1e400]]", False, "not a number", "not a number"),
        ("[[nan]]", False, "missing", "missing"),
        ("Rating: [[1 + 1 + 1 = 3]]", False, 3.0, "out of range"),
        ("Rating: [[1 + 1 + 1]]", False, "not a number", "not a number"),
        ("Rating: [[1 + 1", False, "not a number", "not a number"),
        ("Rating: [[3½]]", False, 3.5, "out of range"),
        ("Rating: [[7/10]]", False, 7.0, "out of range"),
        ("Rating: [[7]] out of 10", False, 7.0, "out of range"),
        ("Rating: [[7]]/20", False, "out of range", "out of range"),
        ("Rating: 7 out of 10", False, 7.0, "out of range"),
        ("Rating: [[seven]]", False, 7.0, "out of range"),
        ("Rating: [[3-4]]", False, "ambiguous", "ambiguous"),
        ("Rating: [[4,5]]", False, "not a number", "not a number"),
        ("Rating: [[1]]. No, 0.5", False, "ambiguous", "ambiguous"),
        ("Rating: [[1]] for its 3 mistakes", False, 1.0, 1.0),
        ("Rating: [[1]] bec", True, "truncated", 1.0),
        ("", True, "truncated", "truncated"),
    ],
)
def test_replies_are_read(text: str, truncated: bool, ten: float | str, halves: float | str) -> None:
    for protocol, said in ((TEN, ten), (HALVES, halves)):
        expected = ScoreReading(None, said) if isinstance(said, str) else ScoreReading(said, None)
        assert protocol.read_score(text, truncated) == expected


def test_it_is_no_protocol_for_pairs() -> None:
    assert isinstance(TEN, PointProtocol) and not isinstance(TEN, PairProtocol)
    assert RatingPrompt().protocol == TEN
    with pytest.raises(ConfigError, match="Use prompt=pairwise"):
        pair_protocol(RatingPrompt())
