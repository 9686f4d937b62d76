"""One line for each job: live in a terminal, elsewhere a line when something changes."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from judgekit.sweeps.status import JobStatus, State

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
            self._live.update(table(found), refresh=True)
            return
        for status in found:
            stage = status.detail.partition(":")[0] if status.state == "running" else status.detail
            line = plain(f"#{status.job.num} {status.state}" + (f": {stage}" if stage else ""))
            if self._told.get(status.job.num) != line:
                self._told[status.job.num] = line
                print(line, file=sys.stderr, flush=True)


def table(found: Sequence[JobStatus]) -> Table:
    """A table with a line for each job."""
    shown = Table(box=None, pad_edge=False)
    for name in ("job", "state", "", "overrides"):
        shown.add_column(name, overflow="ellipsis", no_wrap=name != "overrides")
    common = Counter(override for status in found for override in set(status.job.overrides))
    for status in found:
        own = [text for text in status.job.overrides if common[text] < len(found) or len(found) == 1]
        # Text, not markup: errors quote files from outside.
        shown.add_row(
            str(status.job.num),
            Text(status.state, _STYLES[status.state]),
            Text(plain(status.detail)),
            Text(plain(" ".join(own))),
        )
    return shown


def plain(text: str) -> str:
    """Text without control characters, which could redraw a terminal."""
    return _CONTROL.sub(" ", text)
