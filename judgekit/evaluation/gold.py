"""The labelled pairs that verdicts are measured against: one's own file, or a benchmark's as it was published."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from judgekit.data.sources import GOLD, PAIR_FIELDS, read_pairs
from judgekit.data.tables import read_table
from judgekit.data.verdict_words import VerdictWords
from judgekit.errors import DataError
from judgekit.evaluation.benchmarks import load_benchmark
from judgekit.evaluation.benchmarks.base import BenchmarkConfig
from judgekit.rows import ResponsePair


def read_gold(
    path: Path,
    columns: Mapping[str, str] | None = None,
    *,
    benchmark: str | None = None,
    words: VerdictWords | None = None,
) -> list[ResponsePair]:
    """Pairs with labels; in one's own file they need no instruction and no responses.

    :param benchmark: the kind whose published file or folder this may be
    :param words: as of ``read_pairs``
    :raises DataError: naming file, line and field
    """
    if benchmark is None or has_own_columns(path):
        return read_pairs(path, columns, texts=False, words=words)
    return load_benchmark("gold", BenchmarkConfig(kind=benchmark, path=str(path)), ()) or []


def has_own_columns(path: Path) -> bool:
    """Whether a file has the columns of judgekit's own, which it writes for benchmarks too."""
    try:
        names = set(next(read_table(path))[1])
    except DataError:
        return False
    return names <= {*PAIR_FIELDS, GOLD} or names >= {"id", "response_a", "response_b"}


def gold_fields(path: Path, benchmark: str | None = None) -> tuple[str, ...]:
    """The fields of a file whose columns may have other names: none in a benchmark's published file."""
    return (*PAIR_FIELDS, GOLD) if benchmark is None or has_own_columns(path) else ()
