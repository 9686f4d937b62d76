"""Many responses verified in worker processes, each with a time limit.

A scorer may loop for ever, exhaust memory or take the interpreter down with it; only a process of its own can be
killed for sure. A killed or crashed worker costs its one response, which is counted, and is replaced.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing import connection
from types import TracebackType
from typing import Any, Final, Literal, Self

from judgekit.errors import StageError
from judgekit.rows import Instruction

Scorer = Callable[[Instruction, str], bool | None]
"""True or False, None when the response states no answer."""

Resolver = Callable[[str], Scorer]
"""``Instruction.checker`` -> its scorer. Slow imports belong here: they are not charged to a response."""

Reason = Literal["timeout", "crash", "error", "no answer"]

_READY: Final = "ready"
_SCORING: Final = "scoring"
_LOADING_SECONDS: Final = 120.0
_MEMORY_BYTES: Final = 4 * 2**30


@dataclass(frozen=True, slots=True)
class Check:
    """What checking one response gave.

    :param correct: None when the response could not be verified
    :param reason: why ``correct`` is None: ``timeout``, ``crash`` (the process died), ``error`` (the scorer raised)
        or ``no answer`` (the response states none)
    """

    correct: bool | None
    reason: Reason | None = None


class Checker:
    """Verifies responses in ``workers`` processes; use it as a context manager.

    Scripts that use it need the usual ``if __name__ == "__main__":`` guard, since workers start afresh (spawn).

    :param seconds: time limit per response; loading libraries is not counted
    :param resolve: a function importable from a module; default ``judgekit.data.maths.scorer_of``
    :ivar reasons: how many responses could not be verified, by reason, over all calls
    """

    def __init__(self, seconds: float = 5.0, workers: int = 2, resolve: Resolver | None = None) -> None:
        self.reasons: Counter[Reason] = Counter()
        self._seconds, self._resolve = seconds, resolve
        self._workers: list[_Worker] = []
        self._count = workers

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._workers:
            self._workers.pop().kill()

    def check(self, items: Iterable[tuple[Instruction, str]]) -> list[Check]:
        """Verify (instruction, response) pairs; results in the order of ``items``.

        :raises ValueError: for an instruction without a checker
        :raises StageError: when workers do not start or a checker cannot be loaded
        """
        jobs = list(items)
        if unverifiable := next((instruction for instruction, _ in jobs if instruction.checker is None), None):
            raise ValueError(f"instruction {unverifiable.id} has no checker")
        while len(self._workers) < min(self._count, len(jobs)):
            self._workers.append(_Worker(self._seconds, self._resolve))
        waiting = deque(range(len(jobs)))
        done: dict[int, Check] = {}
        while len(done) < len(jobs):
            for worker in self._workers:
                if worker.idle and waiting:
                    worker.give(waiting.popleft(), jobs)
            done.update(self._collect())
        results = [done[index] for index in range(len(jobs))]
        self.reasons.update(check.reason for check in results if check.reason is not None)
        return results

    def _collect(self) -> dict[int, Check]:
        """Wait until a worker has news or runs out of time; replace the ones that died or must die."""
        busy = [worker for worker in self._workers if not worker.idle]
        patience = max(0.0, min(worker.deadline for worker in busy) - time.monotonic())
        readable = set(connection.wait([worker.pipe for worker in busy], timeout=patience))
        finished: dict[int, Check] = {}
        for worker in busy:
            check: Check | None = None
            if worker.pipe in readable:
                check = worker.receive()
            elif time.monotonic() >= worker.deadline:
                check = Check(None, "timeout")
            if check is None:
                continue
            finished[worker.take_job()] = check
            if check.reason in ("timeout", "crash"):
                worker.kill()
                self._workers[self._workers.index(worker)] = _Worker(self._seconds, self._resolve)
        return finished


class _Worker:
    """The parent's side of one process: starting, then idle or busy with one job until ``deadline``."""

    def __init__(self, seconds: float, resolve: Resolver | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, seconds, resolve), daemon=True)
        self._process.start()
        theirs.close()  # so that the death of the process shows as end of file
        self._seconds, self._job, self._started = seconds, -1, False
        self.idle = False
        self.deadline = time.monotonic() + _LOADING_SECONDS

    def give(self, job: int, jobs: list[tuple[Instruction, str]]) -> None:
        self._job, self.idle = job, False
        self.deadline = time.monotonic() + _LOADING_SECONDS
        with contextlib.suppress(OSError):  # died while idle: the end of file is seen by receive()
            self.pipe.send(jobs[job])

    def receive(self) -> Check | None:
        """Take one message; a Check when the job is over."""
        try:
            message: Any = self.pipe.recv()
        except (EOFError, OSError):
            message = Check(None, "crash")
        if message == _READY:
            self._started = self.idle = True
        elif message == _SCORING:
            self.deadline = time.monotonic() + self._seconds
        elif isinstance(message, Check):
            return message
        else:
            raise StageError(str(message))
        return None

    def take_job(self) -> int:
        """The finished job's index; the worker is idle again.

        :raises StageError: when the process ended before it ever took a job
        """
        if not self._started:
            raise StageError(
                "A process that checks responses did not start. A script that calls judgekit needs an "
                "'if __name__ == \"__main__\":' guard; otherwise see the messages above"
            )
        self.idle = True
        return self._job

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _serve(pipe: connection.Connection, seconds: float, resolve: Resolver | None) -> None:
    """The worker process: one job after another until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _limit_memory()
    find = resolve if resolve is not None else importlib.import_module("judgekit.data.maths").scorer_of
    pipe.send(_READY)
    with contextlib.suppress(EOFError, OSError):
        while True:
            instruction, response = pipe.recv()
            try:
                scorer = find(instruction.checker)
            except Exception as error:  # of this installation or this checker's name, not of the response
                pipe.send(f"The checker '{instruction.checker}' cannot be loaded: {error}")
                continue
            pipe.send(_SCORING)
            # The parent kills us on time. Should it be gone, the kernel does, even inside a long C call.
            signal.setitimer(signal.ITIMER_REAL, 2 * seconds + 10)
            pipe.send(_score(scorer, instruction, response))
            signal.setitimer(signal.ITIMER_REAL, 0)


def _score(scorer: Scorer, instruction: Instruction, response: str) -> Check:
    try:
        correct = scorer(instruction, response)
    except Exception:  # third-party code on text a model wrote: RecursionError, MemoryError, OverflowError ...
        return Check(None, "error")
    return Check(correct, None if correct is not None else "no answer")


def _limit_memory() -> None:
    """Make a runaway expression fail in its own process instead of filling the machine."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        resource = importlib.import_module("resource")
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))
