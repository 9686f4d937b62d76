from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from judgekit.data.sources import load_source, read_instructions, read_pairs
from judgekit.data.tables import read_table
from judgekit.errors import ConfigError, DataError
from judgekit.rows import Instruction, ResponsePair
from judgekit.schema.data import SourceConfig

PAIR = {"id": "p", "instruction": "Ask", "response_a": "a", "response_b": "b", "label": "A"}
HOSTILE = " {{x}} [[A]] <|im_start|>\u2028\u0085\x1b[2J \n\t"
COMMIT = "0" * 40


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write_file(*rows: Any, name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return path

    return write_file


@pytest.fixture(params=["lines", "list", "parquet"])
def write_as(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[list[dict[str, Any]]], Path]:
    def write_file(rows: list[dict[str, Any]]) -> Path:
        path = tmp_path / ("rows.parquet" if request.param == "parquet" else "rows.json")
        if request.param == "parquet":
            parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        elif request.param == "list":
            path.write_text(json.dumps(rows, indent=1, ensure_ascii=False), encoding="utf-8")
        else:
            text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
            path.write_text("\ufeff" + text + "\n\n", encoding="utf-8")
        return path

    return write_file


def test_text_arrives_unaltered(write_as: Callable[[list[dict[str, Any]]], Path]) -> None:
    rows = [
        PAIR | {"id": "1", "instruction": HOSTILE + "?", "response_a": HOSTILE, "group": "g"},
        PAIR | {"id": "2", "response_b": "", "label": None, "group": None},
    ]
    pairs = read_pairs(write_as(rows))
    assert pairs == [
        ResponsePair("1", HOSTILE + "?", HOSTILE, "b", "A", group="g"),
        ResponsePair("2", "Ask", "a", "", None),
    ]


def test_columns_rename_and_others_are_ignored(write_as: Callable[[list[dict[str, Any]]], Path]) -> None:
    path = write_as([{"prompt": "Ask", "near": "Ask more", "uid": 7, "score": 0.5, "instruction": True}])
    columns = {"instruction": "prompt", "near_miss": "near", "id": "uid"}
    assert read_instructions(path, columns) == [Instruction("7", "Ask", "jsonl", "jsonl", near_miss="Ask more")]
    assert list(read_table(path, ["uid", "absent"])) == [(1, {"uid": 7})]


def test_rows_without_ids_are_named_by_content_and_kept_once(write: Callable[..., Path]) -> None:
    path = write({"instruction": "one"}, {"instruction": "two"}, {"instruction": "one"})
    first = read_instructions(path, source="mine")
    assert [row.text for row in first] == ["one", "two"]
    assert [row.id for row in first][::-1] == [
        row.id for row in read_instructions(write({"instruction": "two"}, {"instruction": "one"}), source="mine")
    ]


BAD_PAIRS: Mapping[str, tuple[bytes | dict[str, Any], str | None, str]] = {
    "broken json": (b'{"id": "q", "instr', None, "not JSON"),
    "broken utf-8": (b'{"id": "\xff\xfe"}', None, "not UTF-8"),
    "not an object": (b'["q", "Ask"]', None, "list where an object belongs"),
    "endless nesting": (b"[" * 100_000, None, "not readable as JSON"),
    "endless number": (b'{"id": ' + b"1" * 5000 + b"}", None, "not readable as JSON"),
    "missing field": ({key: PAIR[key] for key in PAIR if key != "response_b"}, "response_b", "missing; the row has"),
    "missing id": ({key: PAIR[key] for key in PAIR if key != "id"}, "id", "missing"),
    "boolean id": (PAIR | {"id": True}, "id", "text belongs"),
    "boolean response": (PAIR | {"id": "q", "response_a": True}, "response_a", "True (bool) where text belongs"),
    "number as text": (PAIR | {"id": "q", "instruction": 5}, "instruction", "5 (int) where text belongs"),
    "null response": (PAIR | {"id": "q", "response_a": None}, "response_a", "is null"),
    "blank instruction": (PAIR | {"id": "q", "instruction": " \n"}, "instruction", "is blank"),
    "unknown label": (PAIR | {"id": "q", "label": "C"}, "label", "holds 'C'; use A, B, tie"),
    "boolean label": (PAIR | {"id": "q", "label": True}, "label", "holds True; use A, B, tie"),
    "unknown number": (PAIR | {"id": "q", "label": 1.0000009722}, "label", "holds 1.0000009722; use A, B, tie"),
    "half a surrogate pair": (PAIR | {"id": "q", "subset": "\ud83d"}, "subset", "surrogate"),
    "duplicate id": (PAIR, "id", "'p' is also the id of line 1"),
}


@pytest.mark.parametrize("name", BAD_PAIRS)
def test_bad_rows_are_named_by_file_line_and_field(name: str, write: Callable[..., Path]) -> None:
    row, field, message = BAD_PAIRS[name]
    path = write(PAIR, b"  ", row)
    with pytest.raises(DataError) as caught:
        read_pairs(path)
    assert (caught.value.file, caught.value.line, caught.value.field) == (str(path), 3, field)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_bad_lists_are_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    for content, line in ((b'[\n{"a": 1},\n{"b" 2}]', 3), (b'[\n"\xff"]', 2), (b"[{}, 5]", 2)):
        path.write_bytes(content)
        with pytest.raises(DataError) as caught:
            list(read_table(path))
        assert caught.value.line == line


@pytest.mark.parametrize("name", ["absent.jsonl", "empty.jsonl", "blank.jsonl", "list.json", "text.parquet", ""])
def test_files_without_rows_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "blank.jsonl").write_text("\n \n")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="; (correct|give|write)") as caught:
        read_pairs(tmp_path / name)
    assert caught.value.file == str(tmp_path / name)


def test_a_mapped_column_must_exist_and_a_mapped_field_too(write: Callable[..., Path]) -> None:
    path = write(PAIR)
    with pytest.raises(DataError) as caught:
        read_pairs(path, {"reference": "gold"})
    assert (caught.value.line, caught.value.field) == (1, "gold")
    with pytest.raises(ConfigError, match="columns.labels: 'labels' is not a field"):
        read_pairs(path, {"labels": "label"})


def test_real_booleans_among_responses_are_found(shared_data: Callable[[str], Path]) -> None:
    path = shared_data("pandalm") / "data" / "testset-v1.json"
    columns = {"id": "idx", "response_a": "response1", "response_b": "response2"}
    with pytest.raises(DataError) as caught:
        read_pairs(path, columns)
    assert caught.value.field == "response1" and "True (bool)" in str(caught.value)
    assert caught.value.line is not None and list(read_table(path))[caught.value.line - 1][1]["response1"] is True


def test_gsm8k_files(shared_data: Callable[[str], Path]) -> None:
    path = shared_data("gsm8k") / "grade_school_math" / "data" / "test.jsonl"
    config = SourceConfig(kind="gsm8k", path=str(path))
    rows = load_source(config, seed=2)
    assert len(rows) == len({row.id for row in rows}) == 1319
    assert isinstance(rows[0], Instruction)
    assert (rows[0].answer, rows[0].checker, rows[0].source) == ("18", "gsm8k", "gsm8k")
    assert rows[0].text.startswith("Janet\u2019s ducks lay 16 eggs per day.")
    assert all(isinstance(row, Instruction) and row.answer for row in rows)


def test_math_files(shared_data: Callable[[str], Path]) -> None:
    path = shared_data("math") / "src" / "data" / "math" / "test.jsonl"
    rows = load_source(SourceConfig(kind="math", path=str(path)), seed=2)
    assert isinstance(rows[2], Instruction)
    assert (rows[2].answer, rows[2].checker, rows[2].category) == (r"\dfrac{9}{7}", "math", "Algebra")
    assert len({row.id for row in rows}) == len(rows) > 4900


def test_a_solution_without_final_answer_is_refused(write: Callable[..., Path]) -> None:
    gsm8k = write({"question": "How many?", "answer": "Two.\n#### 2"}, {"question": "And now?", "answer": "Three."})
    with pytest.raises(DataError, match="line 2, field 'answer': states no final answer in the form #### N"):
        load_source(SourceConfig(kind="gsm8k", path=str(gsm8k)), seed=2)
    math = write({"problem": "How many?", "solution": "2"}, name="math.jsonl")
    with pytest.raises(DataError, match=r"line 1, field 'solution': states no final answer in the form \\boxed"):
        load_source(SourceConfig(kind="math", path=str(math)), seed=2)


def test_count_draws_by_seed_and_keeps_the_order(write: Callable[..., Path]) -> None:
    rows = [{"id": str(index), "instruction": f"Ask {index}"} for index in range(100)]
    forward, backward = write(*rows), write(*rows[::-1], name="backward.jsonl")

    def taken(path: Path, seed: int, count: int | None) -> list[str]:
        config = SourceConfig(kind="jsonl", path=str(path), pairs="noisy_instruction", count=count)
        return [row.id for row in load_source(config, seed)]

    assert len(taken(forward, 2, 10)) == 10
    assert taken(forward, 2, 10) == taken(backward, 2, 10)[::-1] == sorted(taken(forward, 2, 10), key=int)
    assert taken(forward, 2, 10) != taken(forward, 3, 10)
    assert set(taken(forward, 2, 10)) < set(taken(forward, 2, 20)) < set(taken(forward, 2, None))
    with pytest.raises(ConfigError, match="101 instructions are asked for, and .*rows.jsonl has 100"):
        taken(forward, 2, 101)


def test_how_pairs_are_made_decides_what_rows_must_hold(write: Callable[..., Path]) -> None:
    path = str(write({"instruction": "Ask", "answer": "5", "checker": "gsm8", "near_miss": None}))
    with pytest.raises(DataError, match="line 1, field 'near_miss': is null"):
        load_source(SourceConfig(kind="jsonl", path=path, pairs="near_miss"), 2)
    with pytest.raises(DataError, match="line 1, field 'checker': 'gsm8' is not one of gsm8k, math"):
        load_source(SourceConfig(kind="jsonl", path=path, pairs="verified"), 2)
    with pytest.raises(DataError, match="line 1, field 'response_a': missing"):
        load_source(SourceConfig(kind="jsonl", path=path, pairs="given"), 2)
    given = load_source(SourceConfig(kind="jsonl", path=str(write(PAIR)), pairs="given"), 2)
    assert given == [ResponsePair("p", "Ask", "a", "b", "A")]


def test_generated_sources_need_a_count() -> None:
    assert len(load_source(SourceConfig(kind="maths", count=9), 2)) == 9
    assert len(load_source(SourceConfig(kind="constraints", count=9), 2)) == 9
    with pytest.raises(ConfigError, match="its count is null"):
        load_source(SourceConfig(kind="maths"), 2)


def test_hub_data_sets_need_a_revision_and_load_by_split(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "set").mkdir()
    write(PAIR, PAIR | {"id": "q"}, name="set/test.jsonl")
    hub_id = str(tmp_path / "set")
    config = SourceConfig(kind="hub", hub_id=hub_id, revision=COMMIT, split="test", pairs="given")
    assert [row.id for row in load_source(config, 2)] == ["p", "q"]
    with pytest.raises(DataError, match="split 'dev' at revision 0+ cannot be loaded"):
        load_source(SourceConfig(kind="hub", hub_id=hub_id, revision=COMMIT, split="dev", pairs="given"), 2)
    with pytest.raises(ConfigError, match="hub_id and revision"):
        load_source(SourceConfig(kind="hub", hub_id=hub_id), 2)
