"""Pairs and verdicts as a run's folder holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from judgekit.rows import ResponsePair, read_rows
from judgekit.run_folder import RunFolder
from judgekit.verdict_rows import VerdictRow, read_verdicts


@dataclass(frozen=True, slots=True)
class JudgedBenchmark:
    """One benchmark with what the judges said about it.

    :param pairs: empty where the folder has none
    :param verdicts: by judge, verdicts on unknown pairs left out; a judge that was not asked is absent
    """

    name: str
    pairs: tuple[ResponsePair, ...]
    verdicts: Mapping[str, Sequence[VerdictRow]]


def read_benchmark(run_dir: Path, name: str, judges: Sequence[str]) -> JudgedBenchmark:
    """Read ``pairs/NAME.jsonl`` and ``verdicts/JUDGE.NAME.jsonl`` of each judge.

    :raises DataError: for a file that cannot be read
    """
    folder = RunFolder(run_dir)
    path = folder.pairs(name)
    if not path.exists():
        return JudgedBenchmark(name, (), {})
    pairs = tuple(read_rows(path, ResponsePair))
    known = {pair.id for pair in pairs}
    files = {judge: folder.verdicts(judge, name) for judge in judges}
    return JudgedBenchmark(
        name=name,
        pairs=pairs,
        verdicts={
            judge: [row for row in read_verdicts(file) if row.id in known]
            for judge, file in files.items()
            if file.exists()
        },
    )
