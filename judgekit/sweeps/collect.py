"""One table of a sweep: overrides, final numbers and cost, a row for each job whether or not it is finished."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.csv
import pyarrow.parquet

from judgekit.errors import DataError
from judgekit.run_results import Row, override_values, run_cost
from judgekit.sweep_folder import Sweep
from judgekit.sweeps.status import JobStatus, statuses


def collect(sweep: Sweep) -> list[Row]:
    """A row for each job.

    Columns: ``job, state, detail, folder``, then each override by its key, each number of ``metrics.json`` by its
    name, and ``cost/prompt_tokens, cost/generated_tokens, cost/sampled, cost/price, cost/stage_seconds`` of all stages
    the job rests on, whichever job made them, and ``cost/run_seconds`` of its last attempt alone.
    """
    return [_row(sweep, status) for status in statuses(sweep)]


def _row(sweep: Sweep, status: JobStatus) -> Row:
    run = sweep.run(status.job)
    row: Row = {"job": status.job.num, "state": status.state, "detail": status.detail, "folder": status.job.folder}
    row |= override_values(status.job.overrides)
    return row | run.known_metrics() | run_cost(run.known_manifest())


def write_table(rows: Sequence[Row], path: Path) -> None:
    """Write rows as CSV or parquet, as the file's ending says.

    :raises DataError: when it ends otherwise, or there are no rows
    """
    if path.suffix not in (".csv", ".parquet"):
        raise DataError("a table ends in .csv or .parquet", file=path)
    if not rows:
        raise DataError("the sweep has no jobs to write", file=path)
    names = list(dict.fromkeys(name for row in rows for name in row))
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table({name: _column([row.get(name) for row in rows]) for name in names})
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    else:
        pyarrow.parquet.write_table(table, path)


def _column(values: Sequence[Any]) -> Any:
    """Values of one type; a key that is a number in one job and text in another is text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and float in kinds:
        return pyarrow.array([None if value is None else float(value) for value in values], pyarrow.float64())
    if len(kinds) > 1:
        return pyarrow.array([None if value is None else str(value) for value in values], pyarrow.string())
    return pyarrow.array(values)
