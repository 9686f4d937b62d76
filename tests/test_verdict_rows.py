"""Verdict files: what is written is read back, what cannot be used is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from judgekit.errors import DataError
from judgekit.verdict_rows import VerdictRow, read_verdicts, write_verdicts

ROWS = [
    VerdictRow("p1", "ab", 0, "A", None, "naïve\u2028 {braces} [[B]] <|im_start|>\n", p_a=0.75),
    VerdictRow("p1", "ba", 3, None, "ambiguous", ""),
    VerdictRow("p2", "ab", 0, "tie", None, "7 7", score_a=7, score_b=7.0),
]
GOOD: dict[str, Any] = {"id": "p", "order": "ab", "sample": 0, "verdict": "A", "invalid": None, "text": "reply"}


def test_rows_come_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    assert write_verdicts(path, iter(ROWS)) == 3
    assert read_verdicts(path) == ROWS
    assert [file.name for file in tmp_path.iterdir()] == ["verdicts.jsonl"]


def test_absent_numbers_are_left_out_and_reasons_are_not(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    write_verdicts(path, ROWS)
    written = [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
    assert [list(row) for row in written] == [
        ["id", "order", "sample", "verdict", "invalid", "p_a", "text"],
        ["id", "order", "sample", "verdict", "invalid", "text"],
        ["id", "order", "sample", "verdict", "invalid", "score_a", "score_b", "text"],
    ]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    write_verdicts(path, ROWS[:1])

    def broken() -> Any:
        yield ROWS[1]
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_verdicts(path, broken())
    assert read_verdicts(path) == ROWS[:1]


def test_files_of_others_may_say_less_and_more(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    path.write_text('{"id": "p", "order": "ba", "verdict": "B", "model": "m"}\n\n', encoding="utf-8")
    assert read_verdicts(path) == [VerdictRow("p", "ba", 0, "B", None, "")]


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"id": 7}, "id", "must be a string, not 7"),
        ({"order": "AB"}, "order", 'must be one of ab, ba, not "AB"'),
        ({"order": ["ab"]}, "order", "must be one of ab, ba"),
        ({"sample": -1}, "sample", "0 or more, not -1"),
        ({"sample": True}, "sample", "must be a whole number"),
        ({"sample": 0.0}, "sample", "must be a whole number"),
        ({"verdict": "1"}, "verdict", 'must be one of A, B, tie or null, not "1"'),
        ({"verdict": "x" * 100}, "verdict", "\\.\\.\\.$"),
        ({"verdict": None}, "invalid", "must say why the verdict is null"),
        ({"verdict": None, "invalid": ""}, "invalid", "must be a reason"),
        ({"invalid": "ambiguous"}, "invalid", "must be null where there is a verdict"),
        ({"text": None}, "text", "must be a string"),
        ({"p_a": 1.5}, "p_a", r"must lie in \[0, 1\], not 1.5"),
        ({"p_a": float("nan")}, "p_a", "must be a finite number"),
        ({"score_a": "8"}, "score_a", "must be a finite number"),
        ({"score_b": False}, "score_b", "must be a finite number"),
    ],
)
def test_faults_name_file_line_and_field(tmp_path: Path, change: dict[str, Any], field: str, message: str) -> None:
    path = tmp_path / "verdicts.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + json.dumps(GOOD | change) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=message) as caught:
        read_verdicts(path)
    assert (caught.value.file, caught.value.line, caught.value.field) == (str(path), 2, field)


@pytest.mark.parametrize("field", ["id", "order", "verdict"])
def test_missing_fields_are_named(tmp_path: Path, field: str) -> None:
    path = tmp_path / "verdicts.jsonl"
    path.write_text(json.dumps({name: value for name, value in GOOD.items() if name != field}), encoding="utf-8")
    with pytest.raises(DataError, match=f"line 1, field '{field}': is missing"):
        read_verdicts(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [(b'{"id": "\xff"}', "not UTF-8"), (b'{"id": ', "not JSON"), (b"[1]", "must be a JSON object")],
)
def test_lines_that_are_no_rows(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "verdicts.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n" + line)
    with pytest.raises(DataError, match=f"line 2: {message}"):
        read_verdicts(path)


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such verdict file"):
        read_verdicts(tmp_path / "absent.jsonl")
