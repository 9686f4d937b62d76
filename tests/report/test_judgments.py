"""Which judgments are shown and how they are summed up."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from judgekit.evaluation.verdicts import VerdictRow, write_verdicts
from judgekit.report.judgments import Outcome, outcome, sample_cards
from judgekit.rows import Order, ResponsePair, Verdict, write_rows


def row(pair: str, order: Order, verdict: Verdict | None, sample: int = 0) -> VerdictRow:
    return VerdictRow(pair, order, sample, verdict, None if verdict else "missing verdict", f"{pair} {order} {sample}")


@pytest.mark.parametrize(
    ("label", "ab", "ba", "expected"),
    [
        ("A", "A", "A", "right"),
        ("A", "B", "B", "wrong"),
        ("A", "A", "B", "inconsistent"),
        ("A", "tie", "A", "inconsistent"),
        ("A", None, "A", "invalid"),
        ("tie", "tie", "tie", "right"),
        (None, "A", "A", "unlabelled"),
        (None, "A", "B", "inconsistent"),
    ],
)
def test_outcomes(label: Verdict | None, ab: Verdict | None, ba: Verdict | None, expected: Outcome) -> None:
    assert outcome(label, [row("p", "ab", ab), row("p", "ba", ba)]) == expected


def make(run_dir: Path, right: int, wrong: int, invalid: int) -> None:
    (run_dir / "pairs").mkdir()
    (run_dir / "verdicts").mkdir()
    counts: dict[Verdict | None, int] = {"A": right, "B": wrong, None: invalid}
    named = [verdict for verdict, count in counts.items() for _ in range(count)]
    pairs = [ResponsePair(f"p{n}", "do it", "yes", "no", "A") for n in range(len(named))]
    write_rows(run_dir / "pairs" / "b.jsonl", pairs)
    rows = [row(f"p{n}", order, verdict) for n, verdict in enumerate(named) for order in ("ba", "ab")]
    write_verdicts(run_dir / "verdicts" / "last.b.jsonl", rows)
    write_verdicts(run_dir / "verdicts" / "first.b.jsonl", [row(f"p{n}", "ab", "B") for n in range(len(named))])


def test_the_sample_mixes_outcomes_of_the_last_judge_and_is_always_the_same(tmp_path: Path) -> None:
    make(tmp_path, right=50, wrong=2, invalid=9)
    cards = sample_cards(tmp_path, "b", ["first", "last"], 12)
    assert Counter(card.judged[-1].outcome for card in cards) == {"right": 5, "wrong": 2, "invalid": 5}
    assert cards == sample_cards(tmp_path, "b", ["first", "last"], 12)
    assert [judged.judge for judged in cards[0].judged] == ["first", "last"]
    assert [verdict.order for verdict in cards[0].judged[-1].verdicts] == ["ab", "ba"]


def test_the_first_sample_of_each_order_is_shown(tmp_path: Path) -> None:
    make(tmp_path, right=1, wrong=0, invalid=0)
    rows = [row("p0", "ab", "B", sample=1), row("p0", "ab", "A", sample=0), row("p0", "ba", "A", sample=3)]
    write_verdicts(tmp_path / "verdicts" / "last.b.jsonl", rows)
    (card,) = sample_cards(tmp_path, "b", ["last"], 5)
    assert [verdict.sample for verdict in card.judged[0].verdicts] == [0, 3]
    assert card.judged[0].outcome == "right"


def test_nothing_is_shown_where_nothing_was_judged(tmp_path: Path) -> None:
    assert sample_cards(tmp_path, "b", ["last"], 5) == []
    make(tmp_path, right=1, wrong=0, invalid=0)
    assert sample_cards(tmp_path, "b", ["other"], 5) == []
    assert sample_cards(tmp_path, "b", ["last"], 0) == []
