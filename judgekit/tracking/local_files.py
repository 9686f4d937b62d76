"""Records as files of the run's folder: ``metrics.jsonl`` (series) and ``metrics.json`` (final numbers)."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from judgekit.errors import DataError
from judgekit.run_folder import RunFolder
from judgekit.tracking.base import Number, SeriesPoint, Status


def read_series(run_dir: Path) -> list[SeriesPoint]:
    """The series of a run, oldest first; a last line torn by a kill is left out.

    :raises DataError: for any other line that is not a point
    """
    path = RunFolder(run_dir).series
    if not path.exists():
        return []
    points: list[SeriesPoint] = []
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        if not line.endswith(b"\n"):
            break
        try:
            points.append(SeriesPoint(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise DataError(f"not a series point: {error}", file=path, line=number) from error
    return points


class LocalTracker:
    """Appends the series line by line, so that a killed run keeps them, and merges the final numbers.

    A stage that a resumed run does again goes on from the first step it logs: what an earlier session logged for
    that stage from this step on is removed, so no step appears twice.
    """

    def __init__(self, run_dir: Path) -> None:
        self._dir, self._folder = run_dir, RunFolder(run_dir)
        run_dir.mkdir(parents=True, exist_ok=True)
        self._started: set[str] = set()
        self._file = self._rewritten(read_series(run_dir))

    def log(self, stage: str, step: int, values: Mapping[str, Number]) -> None:
        """Append a line and flush it; see :class:`judgekit.tracking.base.Tracker`."""
        if stage not in self._started:
            self._started.add(stage)
            self._drop_from(stage, step)
        point = SeriesPoint(datetime.now(UTC).isoformat(timespec="milliseconds"), stage, step, _finite(values))
        self._file.write(_line(point))
        self._file.flush()

    def summary(self, values: Mapping[str, Number]) -> None:
        """Merge into ``metrics.json``, which is replaced as a whole."""
        merged = {**self._folder.read_metrics(), **_finite(values)}
        _write(self._folder.metrics, json.dumps(merged, indent=1, sort_keys=True, ensure_ascii=False) + "\n")

    def table(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Nothing: the run's folder holds pairs and verdicts whole."""

    def artifact(self, name: str, kind: str, folder: Path, used: bool = False) -> None:
        """Nothing: the folder is in or beside the run's folder already."""

    def finish(self, status: Status) -> None:
        """Close the series; calling it again does nothing."""
        self._file.close()

    def _drop_from(self, stage: str, step: int) -> None:
        points = read_series(self._dir)
        kept = [point for point in points if point.stage != stage or point.step < step]
        if len(kept) < len(points):
            self._file.close()
            self._file = self._rewritten(kept)

    def _rewritten(self, points: Iterable[SeriesPoint]) -> TextIO:
        """The series file holding exactly these points, open for more."""
        path = self._folder.series
        _write(path, "".join(_line(point) for point in points))
        return path.open("a", encoding="utf-8", newline="\n")


def _line(point: SeriesPoint) -> str:
    return json.dumps(asdict(point), ensure_ascii=False, allow_nan=False) + "\n"


def _finite(values: Mapping[str, Any]) -> dict[str, Number]:
    """Plain numbers; JSON has no NaN or infinity, so these become None."""
    plain = {name: None if value is None else _plain(value) for name, value in values.items()}
    return {name: value if value is None or math.isfinite(value) else None for name, value in plain.items()}


def _plain(value: Any) -> float | int:
    return int(value) if isinstance(value, int) else float(value)


def _write(path: Path, text: str) -> None:
    """Replace a file as a whole."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
