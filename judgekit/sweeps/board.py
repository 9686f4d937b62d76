"""One line for each job: live in a terminal, elsewhere a line when something changes."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.text import Text

from judgekit.sweeps.status import ENDED_BADLY, JobStatus, State

_STYLES: dict[State, str] = {
    "running": "cyan", "done": "green", "failed": "red", "timed out": "red", "killed": "red", "cancelled": "yellow",
    "interrupted": "yellow", "pre-empted": "yellow", "queued": "dim", "never started": "dim",
}  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Board:
    """Shows jobs on stderr while it is used as a context manager."""

    def __init__(self) -> None:
        """Draw nothing yet."""
        console = Console(stderr=True)
        self._live = Live(console=console, refresh_per_second=2) if console.is_terminal else None
        self._told: dict[int, str] = {}

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, found: Sequence[JobStatus]) -> None:
        """Show how jobs are now."""
        if self._live is not None:
            self._live.update(board(found), refresh=True)
            return
        for status in found:
            stage = status.detail.partition(":")[0] if status.state == "running" else status.detail
            line = plain(f"#{status.job.num} {status.state}" + (f": {stage}" if stage else ""))
            if self._told.get(status.job.num) != line:
                self._told[status.job.num] = line
                print(line, file=sys.stderr, flush=True)


_HEADS = ("job", "state", "stage", "tries", "time", "slurm", "node", "overrides")


def board(found: Sequence[JobStatus]) -> Group:
    """A line for each job, never wrapped: what does not fit is cut off at the end, so that states always show.

    Below a job that ended badly stands why, in full. Of the overrides those are shown in which jobs differ.
    """
    common = Counter(override for status in found for override in set(status.job.overrides))
    rows = [_cells(status, common, len(found)) for status in found]
    used = [place for place, _ in enumerate(_HEADS) if any(row[place] for row in rows)]
    widths = [max(len(row[place]) for row in (_HEADS, *rows)) for place in used]

    def line(cells: Sequence[str], style: str = "") -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        for place, width in zip(used, widths, strict=True):
            # Text, not markup: names and errors quote files from outside.
            text.append(f"{cells[place]:{width}}  ", style if _HEADS[place] == "state" else "")
        text.rstrip()
        return text

    lines: list[Text | Padding] = [line(_HEADS)]
    for status, row in zip(found, rows, strict=True):
        lines.append(line(row, _STYLES[status.state]))
        if status.state in ENDED_BADLY and status.detail:
            lines.append(Padding(Text(plain(status.detail), "dim"), (0, 0, 0, 5), expand=False))
    return Group(*lines)


def _cells(status: JobStatus, common: Counter[str], jobs: int) -> tuple[str, ...]:
    job = status.job
    own = [text for text in job.overrides if common[text] < jobs or jobs == 1]
    stage = "" if status.state in ENDED_BADLY else status.detail
    slurm = job.ids[-1] if job.ids else ""
    tries = str(status.attempts) if status.attempts > 1 else ""
    cells = (str(job.num), status.state, stage, tries, _clock(status.seconds), slurm, status.node, " ".join(own))
    return tuple(map(plain, cells))


def _clock(seconds: float | None) -> str:
    """Hours, minutes and seconds."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def plain(text: str) -> str:
    """Text without control characters, which could redraw a terminal."""
    return _CONTROL.sub(" ", text)
