"""Merged verdicts, rankings and tables made of verdicts."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from judgekit.data.inputs import Candidates
from judgekit.errors import DataError
from judgekit.evaluation.merging import merge_orders
from judgekit.evaluation.verdict_tables import (
    MERGED_COLUMNS,
    RANKING_COLUMNS,
    VERDICT_COLUMNS,
    Summary,
    merged_rows,
    ranking_rows,
    write_output,
)
from judgekit.rows import ORDERS
from judgekit.stats.ranking import Battle, rank
from judgekit.verdict_rows import VerdictRow, read_verdicts, verdict_values
from tests.evaluation.judges import both, random_data, row

ROWS = [
    VerdictRow("p1", "ab", 0, "A", None, 'said "A",\n[[A]]', p_a=0.75),
    VerdictRow("p1", "ba", 0, None, "missing", "half \ud83d of it", score_a=1.0, score_b=2.5),
]


def test_merged_verdicts_are_those_of_the_rule() -> None:
    _, rows = random_data(3)
    merged = list(merged_rows(rows, "both_agree"))
    expected = merge_orders(rows, "both_agree")
    assert [one["id"] for one in merged] == list(expected)
    assert all((one["verdict"], one["invalid"]) == (expected[one["id"]].verdict, expected[one["id"]].invalid)
               for one in merged)  # fmt: skip
    votes = [row(0, "ab", said, sample) for sample, said in enumerate(("B", "A", "A"))] + [row(0, "ba", "A")]
    assert list(merged_rows(votes, "panda")) == [{"id": "p0", "verdict": "A", "invalid": None}]


def test_rankings_are_those_of_each_instruction_alone() -> None:
    rows = [Candidates("q1", "ask", ("1", "2", "3"), ("x", "y", "z")), Candidates("q2", "ask", ("1", "2"), ("1", "2"))]
    best = {"q1": "y", "q2": "2"}
    verdicts = [
        VerdictRow(pair.id, order, 0, None if pair.id == "q1#1-3" else "A" if pair.model_a == best[one.id] else "B",
                   "missing" if pair.id == "q1#1-3" else None, "")
        for one in rows for pair in one.pairs for order in ORDERS
    ]  # fmt: skip
    first, second = ranking_rows(rows, verdicts, judgments=2)
    # q1: y beats x twice; y against z was won by z, as its name is not the best's on side A.
    fought = [Battle("x", "y", "B", "q")] * 2 + [Battle("y", "z", "A", "q")] * 2
    expected = rank(fought, ["x", "y", "z"])
    assert first == {
        "id": "q1", "ranking": ["y", "x", "z"], "strengths": list(expected.strengths.values()), "invalid": 2
    }  # fmt: skip
    assert (second["ranking"], second["invalid"]) == (["2", "1"], 0)
    assert second["strengths"][0] == -second["strengths"][1] > 0


def test_csv_and_parquet_hold_what_the_lines_hold(tmp_path: Path) -> None:
    values = [verdict_values(one) for one in ROWS]
    for ending in ("jsonl", "csv", "parquet"):
        write_output(tmp_path / f"out.{ending}", values, VERDICT_COLUMNS)
    assert read_verdicts(tmp_path / "out.jsonl") == ROWS
    shown = [{name: getattr(one, name) for name in VERDICT_COLUMNS} for one in ROWS]
    shown[1]["text"] = "half \\ud83d of it"
    assert pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pylist() == shown
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    assert read == [{name: "" if value is None else str(value) for name, value in one.items()} for one in shown]
    assert not list(tmp_path.glob("*.partial"))


def test_rankings_as_tables(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"id": "q", "ranking": ["b", "a"], "strengths": [0.5, -0.5], "invalid": 1}]
    for ending in ("csv", "parquet"):
        write_output(tmp_path / f"out.{ending}", iter(rows), RANKING_COLUMNS)
    assert pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pylist() == rows
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        (read,) = csv.DictReader(file)
    assert (json.loads(read["ranking"]), json.loads(read["strengths"])) == (["b", "a"], [0.5, -0.5])


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="use .jsonl, .csv, .parquet"):
        write_output(tmp_path / "out.xlsx", [], MERGED_COLUMNS)


def test_the_summary_counts_positions_and_reasons() -> None:
    summary = Summary()
    for one in [*both(0, "A", "A"), *both(1, "A", "B"), *both(2, "tie", None)]:
        summary.add(verdict_values(one))
    summary.add({"id": "r", "sample": 0, "score": None, "invalid": "out of range: 12", "text": ""})
    assert (summary.rows, summary.invalid) == (7, {"ambiguous": 1, "out of range": 1})
    assert summary.first_position_rate == 0.75
    assert Summary().first_position_rate is None
