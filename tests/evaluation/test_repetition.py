from __future__ import annotations

import pytest

from judgekit.evaluation.repetition import flip_rate
from judgekit.rows import Verdict
from judgekit.verdict_rows import VerdictRow


def row(pair: int, verdict: Verdict | None, order: str = "ab", sample: int = 0) -> VerdictRow:
    invalid = None if verdict else "missing"
    return VerdictRow(f"p{pair}", "ab" if order == "ab" else "ba", sample, verdict, invalid, "")


def test_flips_are_verdicts_that_differ_and_none_is_one_of_them() -> None:
    first = [row(0, "A"), row(1, "B"), row(2, None), row(3, None), row(3, "A", "ba"), row(4, "B")]
    again = [row(0, "A", sample=1), row(1, "A", sample=1), row(2, None, sample=1), row(3, "B", sample=1)]
    rate, (low, high), count = flip_rate(first, again)
    assert (rate, count) == (0.5, 4)
    assert 0.0 <= low < 0.5 < high <= 1.0


def test_nothing_flips_without_certainty() -> None:
    rows = [row(pair, "A") for pair in range(20)]
    rate, (low, high), count = flip_rate(rows, rows)
    assert (rate, low, count) == (0.0, 0.0, 20) and 0.05 < high < 0.3


def test_what_was_not_judged_before_cannot_be_compared() -> None:
    for again in ([], [row(0, "A", "ba")]):
        with pytest.raises(ValueError, match="judged before"):
            flip_rate([row(0, "A")], again)
