"""Rows to be judged: what they are, what is wrong with each, from every kind of file."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from judgekit.data.inputs import Candidates, kind_of, read_inputs, survey
from judgekit.data.sources import read_pairs
from judgekit.data.tables import read_table
from judgekit.errors import DataError
from judgekit.rows import Response, ResponsePair

PAIR = {"id": "p1", "instruction": 'Say, "hi"\nplease', "response_a": "hi", "response_b": "no", "label": "A"}


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")
    return path


def test_a_file_says_by_its_columns_what_it_holds(tmp_path: Path) -> None:
    single = {"instruction": "q", "response": "r"}
    many = {"instruction": "q", "responses": ["r", "s"], "names": ["x", "y"]}
    assert kind_of(lines(tmp_path / "pairs.jsonl", PAIR)) == "pairs"
    assert kind_of(lines(tmp_path / "one.jsonl", single)) == "responses"
    assert kind_of(lines(tmp_path / "many.jsonl", many)) == "candidates"
    (row,) = read_inputs(tmp_path / "one.jsonl", "responses")
    assert isinstance(row, Response) and (row.instruction, row.response, row.criterion) == ("q", "r", None)
    with pytest.raises(DataError, match="line 1: has id, prompt; give instruction with response_a and response_b"):
        kind_of(lines(tmp_path / "other.jsonl", {"id": 1, "prompt": "q"}))


def test_several_responses_make_every_pair_once(tmp_path: Path) -> None:
    row = {
        "id": 7,
        "instruction": "q",
        "responses": ["one", "two", "three"],
        "names": ["x", "y", "z"],
        "reference": "two",
    }
    (found,) = read_inputs(lines(tmp_path / "in.jsonl", row), "candidates")
    assert isinstance(found, Candidates)
    pairs = [(pair.id, pair.response_a, pair.response_b, pair.model_a, pair.model_b) for pair in found.pairs]
    assert pairs == [
        ("7#1-2", "one", "two", "x", "y"), ("7#1-3", "one", "three", "x", "z"), ("7#2-3", "two", "three", "y", "z")
    ]  # fmt: skip
    assert {(pair.reference, pair.label, pair.cluster) for pair in found.pairs} == {("two", None, "7")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"responses": ["only"]}, "field 'responses': holds 1; give two or more"),
        ({"responses": "text"}, "field 'responses': must be a list"),
        ({"names": ["x"]}, "field 'names': must be a list of 2"),
        ({"names": ["x", "x"]}, "field 'names': holds a name twice"),
    ],
)
def test_lists_that_cannot_be_ranked_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = lines(tmp_path / "in.jsonl", {"instruction": "q", "responses": ["r", "s"]} | change)
    (error,) = survey(path).bad
    assert f"{path}, line 1, {message}" in str(error)


def test_every_bad_row_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "in.jsonl", PAIR, "{torn", {**PAIR, "id": "p2", "response_a": 5}, "[1]", {**PAIR, "id": "p1"}, "",
        {"id": "p3", "instruction": "q", "response_a": "a"}, {**PAIR, "id": "p4", "label": None},
    )  # fmt: skip
    found = survey(path)
    assert (found.kind, found.rows, found.repeated) == ("pairs", 2, 0)
    places = [(error.line, error.field) for error in found.bad]
    assert places == [(2, None), (3, "response_a"), (4, None), (5, "id"), (7, "response_b")]
    bad: list[DataError] = []
    assert [row.id for row in read_inputs(path, "pairs", bad.append)] == ["p1", "p4"]
    assert [str(error) for error in bad] == [str(error) for error in found.bad]
    with pytest.raises(DataError, match="line 2: not JSON"):
        list(read_inputs(path, "pairs"))


def test_rows_without_ids_are_named_by_their_content_and_taken_once(tmp_path: Path) -> None:
    row = {name: value for name, value in PAIR.items() if name not in ("id", "label")}
    path = lines(tmp_path / "in.jsonl", row, {**row, "response_a": "hello"}, row)
    found = survey(path)
    assert (found.rows, found.repeated, found.bad) == (2, 1, ())
    assert [row.id for row in read_inputs(path, "pairs")] == [pair.id for pair in read_pairs(path)]


def test_all_kinds_of_file_hold_the_same_pairs(tmp_path: Path) -> None:
    rows = [PAIR, {**PAIR, "id": "p2", "label": None, "instruction": "ünïcode, ☃"}]
    lines(tmp_path / "in.jsonl", *rows)
    (tmp_path / "in.json").write_text(json.dumps(rows), encoding="utf-8")
    with (tmp_path / "in.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, PAIR.keys())
        writer.writeheader()
        writer.writerows(rows)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "in.parquet")
    expected = [ResponsePair(**row) for row in rows]  # type: ignore[arg-type]
    for name in ("in.jsonl", "in.json", "in.csv", "in.parquet"):
        assert list(read_inputs(tmp_path / name, "pairs")) == expected, name
        assert read_pairs(tmp_path / name) == expected


def test_csv_rows_are_named_by_the_line_they_begin_on(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text('instruction,response_a,response_b\n"two\nlines",a,b\nq,a\n\nq,,b\nr,a,b\n', encoding="utf-8")
    found = survey(path)
    assert found.rows == 2
    assert [str(error) for error in found.bad] == [
        f"{path}, line 4: has 2 cells and the header 3; put cells with commas in double quotes",
        f"{path}, line 6, field 'response_a': is null; give a text or remove the row",
    ]
    assert [line for line, _ in read_table(path, bad=lambda error: None)] == [2, 6, 7]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'a,b\n"x"y,z\n', "line 2: not CSV"),
        (b'a,b\n"x,z\n', "line 2: not CSV"),
        (b"a,a\nx,y\n", "line 1: two columns are called 'a'"),
        (b"a,b\nx,\xff\n", "line 2: not UTF-8"),
        (b"a,b\n", "holds no rows"),
        (b"", "holds no rows"),
    ],
)
def test_csv_that_cannot_be_read_is_refused_whole(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_table(path, bad=lambda error: None))


def test_a_long_cell_is_read(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text(f"instruction,response\nq,{'x' * 300_000}\n", encoding="utf-8")
    (row,) = read_inputs(path, "responses")
    assert isinstance(row, Response) and len(row.response) == 300_000
