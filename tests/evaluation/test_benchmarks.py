"""Benchmarks load from their published formats; what is not in the format is named."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from judgekit.errors import DataError
from judgekit.evaluation.benchmarks import load_benchmark
from judgekit.evaluation.benchmarks.base import BenchmarkConfig
from judgekit.rows import ResponsePair, write_rows

HELD_OUT = [ResponsePair(f"p{number}", f"question {number}", "one", "two", "A") for number in range(10)]
ROW: dict[str, Any] = {"input": "Say hi", "output_1": "hi", "output_2": "no", "label": 1}


def llmbar(path: Path, limit: int | None = None) -> list[ResponsePair]:
    found = load_benchmark("llmbar", BenchmarkConfig(kind="llmbar", path=str(path), limit=limit), [])
    assert found is not None
    return found


def test_starter_is_the_held_out_pairs() -> None:
    assert load_benchmark("starter", BenchmarkConfig(kind="starter"), HELD_OUT) == HELD_OUT


@pytest.mark.parametrize(
    ("limit", "expected"), [(1, "5"), (2, "27"), (3, "158"), (10, "0123456789"), (99, "0123456789")]
)
def test_a_limit_spreads_evenly(limit: int, expected: str) -> None:
    found = load_benchmark("starter", BenchmarkConfig(kind="starter", limit=limit), HELD_OUT)
    assert found is not None
    assert [pair.id[1:] for pair in found] == list(expected)


@pytest.mark.parametrize("kind", ["llmbar", "pairs"])
def test_without_a_path_a_benchmark_is_left_out(kind: Any) -> None:
    assert load_benchmark("extra", BenchmarkConfig(kind=kind), HELD_OUT) is None


def test_pairs_are_read_from_a_file(tmp_path: Path) -> None:
    write_rows(tmp_path / "pairs.jsonl", HELD_OUT)
    config = BenchmarkConfig(kind="pairs", path=str(tmp_path / "pairs.jsonl"))
    assert load_benchmark("own", config, []) == HELD_OUT


@pytest.mark.parametrize("inner", [".", "Dataset", "Dataset/LLMBar"])
def test_llmbar_as_released(shared_data: Callable[[str], Path], inner: str) -> None:
    pairs = llmbar(shared_data("llmbar") / inner)
    names = ["Adversarial/Neighbor", "Natural"]
    names = [f"LLMBar/{name}" for name in names] if inner == "Dataset" else names
    assert Counter(pair.subset for pair in pairs) == dict(zip(names, (134, 100), strict=True))
    assert len({pair.id for pair in pairs}) == 234
    assert Counter(pair.label for pair in pairs if pair.subset == names[1]) == {"A": 42, "B": 58}


def test_llmbar_rows_are_taken_over_unchanged(shared_data: Callable[[str], Path]) -> None:
    file = shared_data("llmbar") / "Dataset" / "LLMBar" / "Natural" / "dataset.json"
    records = json.loads(file.read_text(encoding="utf-8"))
    for pairs in (llmbar(file), llmbar(file.parent)):
        assert [pair.subset for pair in pairs] == ["Natural"] * len(records)
        for pair, record in zip(pairs, records, strict=True):
            assert (pair.instruction, pair.response_a, pair.response_b) == (
                record["input"], record["output_1"], record["output_2"],
            )  # fmt: skip
            assert pair.label == {1: "A", 2: "B"}[record["label"]]


def test_a_limit_keeps_the_share_of_every_subset(shared_data: Callable[[str], Path]) -> None:
    pairs = llmbar(shared_data("llmbar"), limit=117)
    assert Counter(pair.subset for pair in pairs) == {"Adversarial/Neighbor": 67, "Natural": 50}
    assert pairs == llmbar(shared_data("llmbar"), limit=117)


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"label": 3}, "label", "holds 3; it must be 1 or 2"),
        ({"label": True}, "label", "holds True; it must be 1 or 2"),
        ({"label": "1"}, "label", "it must be 1 or 2"),
        ({"output_2": None}, "output_2", "is null; give a text"),
        ({"input": 5}, "input", "where text belongs"),
    ],
)
def test_faults_name_file_row_and_field(tmp_path: Path, change: dict[str, Any], field: str, message: str) -> None:
    file = tmp_path / "dataset.json"
    file.write_text(json.dumps([ROW, ROW | change]), encoding="utf-8")
    with pytest.raises(DataError, match=message) as caught:
        llmbar(tmp_path)
    assert (caught.value.file, caught.value.line, caught.value.field) == (str(file), 2, field)


@pytest.mark.parametrize("content", [b"{}", b"[3]", b'[{"input": "\xff"}]', b"[", b'[{"input": "x"}]'])
def test_files_in_another_format_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "dataset.json").write_bytes(content)
    with pytest.raises(DataError, match=r"dataset\.json"):
        llmbar(tmp_path)


def test_folders_without_the_benchmark_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no dataset\.json"):
        llmbar(tmp_path)
    with pytest.raises(DataError, match=r"does not exist; correct benchmark\.llmbar\.path"):
        llmbar(tmp_path / "absent")
