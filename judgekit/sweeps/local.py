"""Running the jobs of a sweep on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from judgekit.errors import JudgekitError
from judgekit.locks import Busy
from judgekit.sweep_folder import Sweep, SweepJob, history, note
from judgekit.sweeps.board import Board, plain
from judgekit.sweeps.job import run_job
from judgekit.sweeps.status import job_status

JOB = (sys.executable, "-m", "judgekit.sweeps.job")
"""Runs the job whose sweep and number follow."""
_POLL_SECONDS = 0.2
_SHOW_SECONDS = 1.0
_GRACE_SECONDS = 60.0


def run_here(sweep: Sweep, jobs: Sequence[SweepJob], say: Callable[[str], None]) -> None:
    """Run jobs one after another in this process; one that fails does not stop the others.

    In a terminal that shows several, what each of them prints goes to its log, beside its progress.

    :raises Exception: the first that no user can mend, once all have run
    """
    bugs = []
    terse = len(jobs) > 1 and sys.stderr.isatty()
    for job in jobs:
        say(f"#{job.num}: {' '.join(job.overrides)}")
        note(sweep.files(job).events, "submitted")
        began = time.monotonic()
        try:
            run_job(sweep, job, terse=terse)
        except Busy as busy:
            say(f"#{job.num} is left out: {busy}")
        except (JudgekitError, OSError) as error:
            first, *_ = str(error).splitlines() or [type(error).__name__]
            say(f"#{job.num} failed: {plain(first)}")  # all of it is told at the end
        except Exception as error:
            bugs.append(error)
        else:
            say(f"#{job.num} done in {time.monotonic() - began:.0f} s")
    if bugs:
        raise bugs[0]


def run_beside(sweep: Sweep, jobs: Sequence[SweepJob], at_a_time: int) -> None:
    """Run jobs in processes of their own; Ctrl-C interrupts them in order.

    They are no children of the terminal: a job that is killed, or this process, takes no other with it.
    """
    waiting, running = list(jobs), dict[int, subprocess.Popen[bytes]]()
    shown = 0.0
    for job in jobs:
        note(sweep.files(job).events, "submitted")
    try:
        with Board() as board:
            while waiting or running:
                while waiting and len(running) < at_a_time:
                    job = waiting.pop(0)
                    if not _is_cancelled(sweep, job):
                        running[job.num] = _start(sweep, job, at_a_time)
                ended = [num for num, process in running.items() if process.poll() is not None]
                for num in ended:
                    del running[num]
                if ended or time.monotonic() - shown > _SHOW_SECONDS:
                    shown = time.monotonic()
                    board.show([job_status(sweep, job, {}) for job in jobs if job not in waiting])
                time.sleep(_POLL_SECONDS)
            board.show([job_status(sweep, job, {}) for job in jobs])
    finally:
        _interrupt(list(running.values()))


def _is_cancelled(sweep: Sweep, job: SweepJob) -> bool:
    """Whether another shell gave a job up that waits here."""
    events = history(sweep.files(job).events)
    return bool(events) and events[-1]["event"] == "cancelled"


def _start(sweep: Sweep, job: SweepJob, at_a_time: int) -> subprocess.Popen[bytes]:
    cores = len(os.sched_getaffinity(0))
    environment = {"OMP_NUM_THREADS": str(max(1, cores // at_a_time))} | os.environ
    command = [*JOB, str(sweep.folder), str(job.num)]
    with sweep.files(job).log.open("ab") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )


def _interrupt(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + _GRACE_SECONDS
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
