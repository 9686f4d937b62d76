"""EvalBiasBench (Park et al. 2024, arXiv 2407.06551): pairs whose worse response flatters one bias of judges.

The file holds ``{BIAS: [rows]}``; the subset is the bias. The better response always comes first, so both orders must
be judged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from judgekit.data.records import Record
from judgekit.data.tables import read_json, read_table
from judgekit.errors import DataError
from judgekit.evaluation.benchmarks.base import BENCHMARKS, Benchmark, Loader
from judgekit.papers import Paper
from judgekit.rows import ResponsePair


def _rows(file: Path, fields: Collection[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of all biases, numbered through the file."""
    if file.suffix != ".json":
        yield from read_table(file, fields)
        return
    table = read_json(file)
    lists = list(table.values()) if isinstance(table, dict) else [table]
    if not all(isinstance(rows, list) and all(isinstance(row, dict) for row in rows) for rows in lists):
        raise DataError("must be {BIAS: [rows]} or [rows]; is this an evalbiasbench file?", file=file)
    yield from enumerate((row for rows in lists for row in rows), start=1)


def _pair(record: Record, folder: str) -> Iterator[ResponsePair]:
    bias = record.asked("bias")
    yield ResponsePair(
        id=f"evalbiasbench/{record.line - 1}",
        instruction=record.asked("instruction"),
        response_a=record.text("response1"),
        response_b=record.text("response2"),
        label=record.choice("label", {1: "A", 2: "B"}),
        subset=bias,
    )


LOADER = Loader(
    _pair,
    ("bias", "instruction", "response1", "response2", "label"),
    "biasbench.json",
    inside="data/evalbiasbench",
    reader=_rows,
)
BENCHMARKS.add("evalbiasbench", Benchmark(LOADER, paper=Paper("EvalBiasBench", "2407.06551")))
