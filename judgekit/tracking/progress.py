"""Progress of sampling: a live line in a terminal, a log line now and then elsewhere."""

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
    """Shows all sampling of a run; use it as a context manager and call it with a title for each call."""

    def __init__(self, told: Callable[[int, int], None] | None = None) -> None:
        """Use stderr; results go to stdout.

        :param told: also told how many samples of how many are done
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

    def __call__(self, title: str) -> SamplingProgress:
        """Progress of one sampling call."""
        return SamplingProgress(title, self._live, self._told)


class SamplingProgress:
    """One sampling call: samples done, tokens per second and time left."""

    def __init__(self, title: str, live: Progress | None, told: Callable[[int, int], None] | None = None) -> None:
        self._title, self._live, self._told = title, live, told
        self._task: TaskID | None = None
        self._total = self._done = self._drawn = self._tokens = 0
        self._began = self._logged = time.monotonic()

    def begin(self, samples: int, cached: int) -> None:
        """``samples`` are wanted, ``cached`` of them exist."""
        self._total, self._done = samples, cached
        self._began = self._logged = time.monotonic()
        if cached == samples:
            return
        if self._live is not None:
            self._task = self._live.add_task(self._title, total=samples, completed=cached, rate="")
        else:
            found = f" ({cached} found in the cache)" if cached else ""
            log.info("%s: %d samples%s", self._title, samples, found)

    def advance(self, samples: int, tokens: int) -> None:
        """``samples`` more are done, ``tokens`` were generated for them."""
        self._done += samples
        self._drawn += samples
        self._tokens += tokens
        if self._told is not None:
            self._told(self._done, self._total)
        now = time.monotonic()
        rate = self._tokens / max(now - self._began, 1e-9)
        if self._live is not None and self._task is not None:
            self._live.update(self._task, completed=self._done, rate=f"{rate:,.0f} tokens/s")
            if self._done >= self._total:
                self._live.remove_task(self._task)
        elif self._live is None and (now - self._logged > LOG_SECONDS or self._done >= self._total):
            self._logged = now
            # Cached samples took no time and say nothing about the rest.
            left = (now - self._began) / max(self._drawn, 1) * (self._total - self._done)
            log.info("%s: %d/%d, %.0f tokens/s, %.0f s left", self._title, self._done, self._total, rate, left)
