"""What a run may record, and sending the records to several places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

Number = float | int | None
"""A metric; None where it does not apply."""

Status = Literal["finished", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class SeriesPoint:
    """One line of ``metrics.jsonl``.

    :param time: when, ISO 8601 in UTC
    :param values: by flat name; None stands for a number that was not finite
    """

    time: str
    stage: str
    step: int
    values: Mapping[str, Number]


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

    def artifact(self, name: str, kind: str, folder: Path, used: bool = False) -> None:
        """Record a finished folder that must not change afterwards.

        :param kind: ``dataset`` or ``model``
        :param used: the run works from it; otherwise the run made it
        """

    def finish(self, status: Status) -> None:
        """Flush and close; nothing may be recorded afterwards."""


@dataclass(frozen=True)
class Place:
    """Where a run belongs.

    :param kind: ``run`` or ``eval``
    :param sweep: name of its sweep, None for a single run; ``job`` its number there
    :param values: its overrides in the sweep, by key
    """

    kind: str = "run"
    sweep: str | None = None
    job: int | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


class Replay:
    """The series that earlier sessions of a run logged, for trackers that begin anew in each session.

    A stage that goes on logs its steps from some step on once more: those before it are replayed first.
    """

    def __init__(self, earlier: Iterable[SeriesPoint]) -> None:
        """Hold the points by stage."""
        self.points: dict[str, list[SeriesPoint]] = {}
        for point in earlier:
            self.points.setdefault(point.stage, []).append(point)

    def before(self, stage: str, step: int) -> list[SeriesPoint]:
        """A stage's points before a step, which is logged next; nothing of this stage is left to replay."""
        return [point for point in self.points.pop(stage, ()) if point.step < step]

    def rest(self) -> list[SeriesPoint]:
        """Points of stages that this session did not come to."""
        left, self.points = self.points, {}
        return [point for points in left.values() for point in points]


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

    def artifact(self, name: str, kind: str, folder: Path, used: bool = False) -> None:
        """See :class:`Tracker`."""
        for tracker in self._trackers:
            tracker.artifact(name, kind, folder, used)

    def finish(self, status: Status) -> None:
        """See :class:`Tracker`."""
        for tracker in self._trackers:
            tracker.finish(status)
