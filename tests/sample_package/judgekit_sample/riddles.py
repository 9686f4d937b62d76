"""A benchmark: which of two answers to a riddle is right. Rows are ``{"riddle", "right", "wrong"}``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from judgekit.data.records import Record
from judgekit.evaluation.benchmarks.base import BENCHMARKS, Benchmark, Loader
from judgekit.rows import ResponsePair
from judgekit.verdict_rows import VerdictRow


def _pair(record: Record, folder: str) -> Iterator[ResponsePair]:
    name = f"riddles/{record.line - 1}"
    yield ResponsePair(name, record.asked("riddle"), record.text("right"), record.text("wrong"), "A")


def solved(
    pairs: Sequence[ResponsePair], verdicts: Sequence[VerdictRow], *, resamples: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """How many verdicts are right."""
    return {"solved": sum(row.verdict == "A" for row in verdicts)}


BENCHMARKS.add("riddles", Benchmark(Loader(_pair, ("riddle", "right", "wrong"), "riddles.jsonl"), aggregate=solved))
