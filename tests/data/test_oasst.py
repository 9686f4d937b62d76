"""Ranked conversation trees as a source: pairs of best and worst, and the rankings behind them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from judgekit.data.sources import load_rankings, load_source
from judgekit.errors import ConfigError
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


def test_responses_of_different_pairs_are_not_ranked_against_each_other() -> None:
    pairs = [ResponsePair(f"p{i}", "ask", f"a{i}", f"b{i}", "A", group="g") for i in range(2)]
    rows = load_rankings(SourceConfig(kind="jsonl", pairs="given"), pairs)
    assert [(row.id, row.group) for row in rows] == [("p0/a", "p0"), ("p0/b", "p0"), ("p1/a", "p1"), ("p1/b", "p1")]


def test_trees_are_taken_by_language_and_by_the_replies_to_their_first_prompt(tmp_path: Path) -> None:
    def message(name: str, role: str, rank: int | None, replies: list[Any]) -> dict[str, Any]:
        return {"message_id": name, "text": name, "role": role, "rank": rank, "replies": replies}

    def ranked(name: str) -> list[Any]:
        return [message(f"{name}{rank}", "assistant", rank, []) for rank in (1, 0)]

    later = [message("again", "prompter", None, ranked("later"))]
    replies = {
        "en": ranked("x"), "de": ranked("y"), "pt-BR": ranked("z"),
        "en ": [message("only", "assistant", None, later)],  # ranked replies to a later prompt alone
    }  # fmt: skip
    trees = [
        {"prompt": message(f"t-{name.strip()}{n}", "prompter", None, found) | {"lang": name.strip()}}
        for n, (name, found) in enumerate(replies.items())
    ]
    path = tmp_path / "trees.jsonl"
    path.write_text("".join(json.dumps(tree) + "\n" for tree in trees))
    source = SourceConfig(kind="oasst", pairs="given", path=str(path), language="en")
    dropped = Counter[str]()
    assert [row.id for row in load_source(source, 1, lambda reason: dropped.update([reason]))] == ["oasst/t-en0"]
    assert dropped == {"tree in another language": 2, "tree whose first prompt has no replies ranked apart": 1}
    assert len(load_source(replace(source, language=None), 1)) == 3
    with pytest.raises(ConfigError, match=r"no tree in 'fr' \(2 in en, 1 in de, 1 in pt-BR\)"):
        load_source(replace(source, language="fr"), 1)
