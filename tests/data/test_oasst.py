"""Ranked conversation trees as a source: pairs of best and worst, and the rankings behind them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from judgekit.data.sources import load_rankings, load_source
from judgekit.rows import ResponsePair
from judgekit.schema.data import SourceConfig


def test_the_released_trees_give_pairs_and_their_rankings(shared_data: Callable[[str], Path]) -> None:
    path = next(shared_data("oasst").rglob("en_100_tree.jsonl"))
    source = SourceConfig(kind="oasst", pairs="given", path=str(path))
    pairs = [row for row in load_source(source, seed=2) if isinstance(row, ResponsePair)]
    rankings = load_rankings(source, pairs[:20])
    groups = {row.group for row in rankings}
    assert groups == {pair.group for pair in pairs[:20]} and len(rankings) > 40
    labels = [pair.label for pair in pairs]
    assert 0.3 < labels.count("A") / len(labels) < 0.7
    for pair in pairs[:20]:
        ranked = {row.response: row.score for row in rankings if row.group == pair.group}
        better, worse = (pair.response_a, pair.response_b) if pair.label == "A" else (pair.response_b, pair.response_a)
        assert ranked[better] == max(ranked.values()) and ranked[worse] == min(ranked.values())


def test_labelled_pairs_are_rankings_of_two() -> None:
    pairs = [ResponsePair(f"p{i}", "ask", "a", "b", label, group=f"p{i}") for i, label in enumerate(("A", "B", None))]
    rows = load_rankings(SourceConfig(kind="constraints", pairs="written", count=1), pairs)
    assert [(row.id, row.group, row.score) for row in rows] == [
        ("p0/a", "p0", 1.0), ("p0/b", "p0", 0.0), ("p1/a", "p1", 0.0), ("p1/b", "p1", 1.0),
    ]  # fmt: skip
