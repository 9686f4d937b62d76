"""Progress of sampling and training: a live line in a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

log = logging.getLogger(__name__)

LOG_SECONDS = 20.0


class ProgressDisplay:
    """Shows all sampling and training of a run; use it as a context manager and call it with a title for each."""

    def __init__(self, told: Callable[[int, int], None] | None = None) -> None:
        """Use stderr; results go to stdout.

        :param told: also told how many samples or steps of how many are done
        """
        self._told = told
        self._live: Progress | None = None
        if sys.stderr.isatty():
            columns = (
                TextColumn("{task.description}", markup=False),  # titles hold names from outside
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(compact=True),
            )
            self._live = Progress(*columns, console=Console(stderr=True), transient=True)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, title: str) -> StageProgress:
        """Progress of one sampling call."""
        return StageProgress(title, self._live, self._told)

    def training(self, title: str) -> StageProgress:
        """Progress of one training, in optimizer steps."""
        return StageProgress(title, self._live, self._told, "steps")


class StageProgress:
    """One sampling call or training: samples or steps done, tokens per second where they are told, and time left."""

    def __init__(
        self, title: str, live: Progress | None, told: Callable[[int, int], None] | None = None, unit: str = "samples"
    ) -> None:
        self._title, self._live, self._told, self._unit = title, live, told, unit
        self._task: TaskID | None = None
        self._total = self._done = self._drawn = self._tokens = 0
        self._began = self._logged = time.monotonic()

    def begin(self, samples: int, cached: int) -> None:
        """``samples`` (or steps) are wanted, ``cached`` of them exist."""
        self._total, self._done = samples, cached
        self._began = self._logged = time.monotonic()
        if cached == samples:
            return
        if self._live is not None:
            self._task = self._live.add_task(self._title, total=samples, completed=cached, rate="")
        else:
            found = f" ({cached} found in the {'cache' if self._unit == 'samples' else 'store'})" if cached else ""
            log.info("%s: %d %s%s", self._title, samples, self._unit, found)

    def advance(self, samples: int, tokens: int) -> None:
        """``samples`` more are done, ``tokens`` were generated for them."""
        self._done += samples
        self._drawn += samples
        self._tokens += tokens
        if self._told is not None:
            self._told(self._done, self._total)
        now = time.monotonic()
        speed = self._tokens / max(now - self._began, 1e-9)
        rate = f"{speed:,.0f} tokens/s" if self._tokens else ""
        if self._live is not None and self._task is not None:
            self._live.update(self._task, completed=self._done, rate=rate)
            if self._done >= self._total:
                self.end()
        elif self._live is None and (now - self._logged > LOG_SECONDS or self._done >= self._total):
            self._logged = now
            # Cached samples took no time and say nothing about the rest.
            left = (now - self._began) / max(self._drawn, 1) * (self._total - self._done)
            shown = f"{rate}, {left:.0f} s left" if rate else f"{left:.0f} s left"
            log.info("%s: %d/%d, %s", self._title, self._done, self._total, shown)

    def end(self) -> None:
        """Take the line away, also before all is done."""
        if self._live is not None and self._task is not None:
            self._live.remove_task(self._task)
            self._task = None
