"""Splits of pairs: all pairs of an instruction are in one split, and what is left out or lacking is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from judgekit.rows import Instruction, ResponsePair, Row, read_rows
from judgekit.schema.data import DataConfig, SourceConfig, SplitSizes
from judgekit.stages.data import Instructions, Splits, answers_alone, one_each, planned_size
from judgekit.store import Workspace


class Given:
    """Rows in place of a stage that made them."""

    def __init__(self, **files: list[Any]) -> None:
        self.files = files

    def rows(self, name: str, kind: type[Row]) -> list[Any]:
        return self.files[name]


def split(tmp_path: Path, instructions: Any, pairs: list[ResponsePair], **fields: Any) -> Workspace:
    settings: dict[str, Any] = {
        "warm": 0, "warm_categories": None, "second_round": 0, "names": ("own",), "held_out": 1, "validation": 0,
        "first_round": 2, "per_source": {}, "train_sources": None, "seed": 1,
    }  # fmt: skip
    workspace = Workspace(tmp_path)
    Splits(instructions=instructions, pairs=Given(pairs=pairs), **settings | fields).build(workspace)  # type: ignore[arg-type]
    return workspace


def read_source(tmp_path: Path, rows: list[dict[str, str]]) -> tuple[Given, list[ResponsePair]]:
    """What the stage before makes of a file of pairs."""
    path = tmp_path / "pairs.jsonl"
    path.write_text(
        "".join(json.dumps({"response_a": "a", "response_b": "b", "label": "A"} | row) + "\n" for row in rows)
    )
    source = SourceConfig(kind="jsonl", pairs="given", path=str(path))
    workspace = Workspace(tmp_path / "made")
    Instructions(files=(), sources={"own": source}, seed=1).build(workspace)
    given = read_rows(workspace.path / "given.jsonl", ResponsePair)
    return Given(instructions=read_rows(workspace.path / "instructions.jsonl", Instruction)), given


def test_all_pairs_of_an_instruction_are_kept_together(tmp_path: Path) -> None:
    rows = [{"id": f"p{n}", "instruction": f"Name {n // 2} rivers.", "group": f"g{n // 2}"} for n in range(6)]
    # Without groups the instruction says which pairs belong together, whatever its case and blanks.
    rows += [{"id": "q0", "instruction": "Why?"}, {"id": "q1", "instruction": "WHY? "}]
    instructions, pairs = read_source(tmp_path, rows)
    workspace = split(tmp_path, instructions, pairs, first_round=None)
    found = {name: read_rows(workspace.path / f"{name}.jsonl", ResponsePair) for name in ("held_out", "d1")}
    assert sorted(pair.id for members in found.values() for pair in members) == [
        "p0", "p1", "p2", "p3", "p4", "p5", "q0", "q1",
    ]  # fmt: skip
    assert {pair.group for pair in found["held_out"]}.isdisjoint({pair.group for pair in found["d1"]})
    counted = workspace.counts()["rows"]
    assert (counted["held_out"], counted["held_out pairs"], counted["d1"], counted["d1 pairs"]) == (1, 2, 3, 6)
    assert [pair.id for pair in one_each(pairs)] == ["p0", "p2", "p4", "q0"]


def test_an_instruction_that_two_groups_have_is_counted_once_and_the_other_is_told_of(tmp_path: Path) -> None:
    rows = [{"id": f"p{n}", "instruction": "Why?" if n < 3 else f"Name {n}.", "group": f"g{n}"} for n in range(5)]
    instructions, pairs = read_source(tmp_path, rows)
    workspace = split(tmp_path, instructions, pairs)
    assert workspace.counts()["dropped"] == {"pair of an instruction that is there twice": 2}
    assert workspace.counts()["rows"]["held_out"] + workspace.counts()["rows"]["d1"] == 3


def test_what_a_split_lacks_is_counted(tmp_path: Path) -> None:
    rows = [{"id": f"p{n}", "instruction": f"Name {n}."} for n in range(5)]
    instructions, pairs = read_source(tmp_path, rows)
    assert split(tmp_path, instructions, pairs, first_round=16429).counts()["rows"] == {
        "held_out": 1, "validation": 0, "warm": 0, "d1": 4, "d1 lacking": 16425, "d2": 0,
    }  # fmt: skip
    sizes = {"own": SplitSizes(first_round=3, second_round=9)}
    assert split(tmp_path, instructions, pairs, first_round=3, per_source=sizes).counts()["rows"]["d2"] == 0, (
        "D2 is not used"
    )
    counted = split(tmp_path, instructions, pairs, first_round=3, second_round=None).counts()["rows"]
    assert (counted["d1"], counted["d2"]) == (3, 1) and "d2 lacking" not in counted


@pytest.mark.parametrize(("name", "known"), [("rows.jsonl", 40 - 30), ("rows.parquet", 1000 - 30)])
def test_the_size_of_a_file_is_known_while_planning_where_its_lines_are_rows(
    tmp_path: Path, name: str, known: int
) -> None:
    path = tmp_path / name
    path.write_text("{}\n" * 40)
    sources = {"own": SourceConfig(kind="jsonl", pairs="given", path=str(path))}
    data = DataConfig(sources=sources, first_round=None, validation=20, held_out=10)
    assert planned_size(data, "first_round") == known
    assert planned_size(DataConfig(first_round=7), "first_round") == 7


def test_thoughts_are_taken_out_of_pairs_and_counted(tmp_path: Path) -> None:
    pairs = [
        ResponsePair("p0", "ask", "<think>hm</think>a", "<think>so</think>b", "A"),
        ResponsePair("p1", "ask", "<think>without an end", "b", "B"),
        ResponsePair("p2", "ask", "", "b", "B"),
    ]
    workspace = Workspace(tmp_path)
    assert answers_alone(pairs, workspace) == [ResponsePair("p0", "ask", "a", "b", "A"), pairs[2]]
    assert workspace.counts()["rows"] == {"thoughts_removed": 3}
    assert workspace.counts()["dropped"] == {"response without an answer after its thought": 1}
