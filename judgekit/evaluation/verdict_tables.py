"""What is made of verdicts after judging, row by row: merged verdicts, rankings, and tables in other formats."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import Any

from judgekit.data.inputs import Candidates
from judgekit.errors import DataError
from judgekit.evaluation.merging import merge_orders
from judgekit.evaluation.model_battles import battles
from judgekit.evaluation.voting import vote
from judgekit.rows import json_line
from judgekit.stats.bradley_terry import ALPHA
from judgekit.stats.ranking import rank
from judgekit.verdict_rows import MergeRule, VerdictRow

Values = Mapping[str, Any]
"""One row as the file has it."""
Columns = Mapping[str, Any]
"""Fields of an output and their types: str, int, float or a list of one of them."""

VERDICT_COLUMNS = {
    "id": str, "order": str, "sample": int, "verdict": str, "invalid": str, "score_a": float, "score_b": float,
    "p_a": float, "text": str,
}  # fmt: skip
SCORE_COLUMNS = {"id": str, "sample": int, "score": float, "invalid": str, "text": str}
RANKING_COLUMNS = {"id": str, "ranking": list[str], "strengths": list[float], "invalid": int}
MERGED_COLUMNS = {"id": str, "verdict": str, "invalid": str}
ENDINGS = (".jsonl", ".csv", ".parquet")
PARQUET_ROWS = 1000
"""Rows of one group in a parquet file, which is what memory holds."""


def merged_rows(
    verdicts: Iterable[VerdictRow], rule: MergeRule, min_votes: int | None = None
) -> Iterator[dict[str, Any]]:
    """One verdict for each pair out of both orders; of several samples first the majority.

    :param verdicts: those of one pair stand together
    :param min_votes: valid votes a majority takes; None: more than half of the samples
    """
    for name, rows in groupby(verdicts, key=attrgetter("id")):
        merged = merge_orders(vote(rows, min_votes), rule)[name]
        yield {"id": name, "verdict": merged.verdict, "invalid": merged.invalid}


def ranking_rows(
    rows: Iterable[Candidates], verdicts: Iterable[VerdictRow], judgments: int, alpha: float = ALPHA
) -> Iterator[dict[str, Any]]:
    """The Bradley-Terry ranking of the responses to each instruction, best first, with strengths in log odds.

    :param verdicts: in the order of the rows and their pairs
    :param judgments: verdicts on each pair, over orders and samples
    """
    remaining = iter(verdicts)
    for row in rows:
        pairs = row.pairs
        ranking = rank(battles(pairs, islice(remaining, len(pairs) * judgments)), row.names, alpha=alpha)
        yield {
            "id": row.id,
            "ranking": list(ranking.strengths),
            "strengths": list(ranking.strengths.values()),
            "invalid": sum(ranking.invalid.values()),
        }


@dataclass
class Summary:
    """Counts of judged rows.

    :ivar rows: verdicts or scores
    :ivar invalid: those without one, by reason
    :ivar first: verdicts that name the response shown first, ``second`` the other
    """

    rows: int = 0
    invalid: Counter[str] = field(default_factory=Counter)
    first: int = 0
    second: int = 0

    def add(self, values: Values) -> None:
        """Count one row of verdicts or scores."""
        self.rows += 1
        if values.get("invalid") is not None:
            self.invalid[str(values["invalid"]).partition(": ")[0]] += 1
        elif values.get("verdict") in ("A", "B"):
            shown_first = "A" if values["order"] == "ab" else "B"
            self.first += values["verdict"] == shown_first
            self.second += values["verdict"] != shown_first

    @property
    def first_position_rate(self) -> float | None:
        """Of valid verdicts other than tie, those naming the response shown first; None without any."""
        named = self.first + self.second
        return self.first / named if named else None


def write_output(path: Path, rows: Iterable[Values], columns: Columns) -> None:
    """Write rows as JSON Lines, CSV or parquet, by the file's ending. The file appears whole or not at all.

    In CSV, lists are JSON and null is an empty cell. Half of a surrogate pair, which CSV and parquet cannot hold, is
    written as an escape.

    :raises DataError: for another ending
    """
    check_ending(path)
    partial = path.with_name(path.name + ".partial")
    {".jsonl": _write_lines, ".csv": _write_csv, ".parquet": _write_parquet}[path.suffix](partial, rows, columns)
    partial.replace(path)


def check_ending(path: Path) -> None:
    """Refuse a file whose ending names no format.

    :raises DataError: naming those that do
    """
    if path.suffix not in ENDINGS:
        raise DataError(f"ends in no format that can be written; use {', '.join(ENDINGS)}", file=path)


def _write_lines(path: Path, rows: Iterable[Values], columns: Columns) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json_line(dict(row)) + "\n")


def _write_csv(path: Path, rows: Iterable[Values], columns: Columns) -> None:
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            values = (row.get(name) for name in columns)
            writer.writerow([json.dumps(value) if isinstance(value, list) else value for value in values])


def _write_parquet(path: Path, rows: Iterable[Values], columns: Columns) -> None:
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    plain = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
    lists = {list[kind]: pyarrow.list_(held) for kind, held in plain.items()}  # type: ignore[valid-type]
    schema = pyarrow.schema({name: (plain | lists)[kind] for name, kind in columns.items()})
    with ParquetWriter(path, schema) as writer:
        remaining = iter(rows)
        while part := [{name: _plain(row.get(name)) for name in columns} for row in islice(remaining, PARQUET_ROWS)]:
            writer.write_table(pyarrow.Table.from_pylist(part, schema=schema))


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
