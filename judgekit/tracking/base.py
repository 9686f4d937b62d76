"""What a run may record, and sending the records to several places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

Number = float | int | None
"""A metric; None where it does not apply."""

Status = Literal["finished", "failed", "interrupted"]


class Tracker(Protocol):
    """Where a run's records go. Call the same methods for reused stages: records are replaced, not doubled."""

    def log(self, stage: str, step: int, values: Mapping[str, Number]) -> None:
        """Add a point to the series of a stage.

        :param stage: for example ``dpo1``; steps of different stages are unrelated
        :param step: optimizer steps done in this stage
        :param values: by flat name, for example ``train/dpo1/loss``
        """

    def summary(self, values: Mapping[str, Number]) -> None:
        """Merge final numbers by flat name, for example ``eval/dpo2/starter/accuracy``."""

    def table(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Record a table, for example a sample of judgments."""

    def artifact(self, name: str, kind: str, folder: Path) -> None:
        """Record a finished folder, for example an adapter (``kind`` ``model``). It must not change afterwards."""

    def finish(self, status: Status) -> None:
        """Flush and close; nothing may be recorded afterwards."""


class FanOut:
    """A tracker that passes every record to several, in their order."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self._trackers = tuple(trackers)

    def log(self, stage: str, step: int, values: Mapping[str, Number]) -> None:
        """See :class:`Tracker`."""
        for tracker in self._trackers:
            tracker.log(stage, step, values)

    def summary(self, values: Mapping[str, Number]) -> None:
        """See :class:`Tracker`."""
        for tracker in self._trackers:
            tracker.summary(values)

    def table(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """See :class:`Tracker`."""
        held = [tuple(row) for row in rows]
        for tracker in self._trackers:
            tracker.table(name, columns, held)

    def artifact(self, name: str, kind: str, folder: Path) -> None:
        """See :class:`Tracker`."""
        for tracker in self._trackers:
            tracker.artifact(name, kind, folder)

    def finish(self, status: Status) -> None:
        """See :class:`Tracker`."""
        for tracker in self._trackers:
            tracker.finish(status)
