"""``judgekit sweep``: how the jobs of a sweep are, starting failed ones again, ending them, and their numbers."""

from __future__ import annotations

import json
import os
import signal
import socket
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from judgekit.locks import alive
from judgekit.report.sweep import build_sweep_report
from judgekit.schema.launchers import SlurmLauncherConfig
from judgekit.sweep_folder import Sweep, SweepJob, note, read_sweep
from judgekit.sweeps import slurm
from judgekit.sweeps.board import table
from judgekit.sweeps.collect import collect, write_table
from judgekit.sweeps.launching import enqueue, run, say, shown
from judgekit.sweeps.status import ACTIVE, statuses, summary

_WIDTH = 160
"""Of the table where there is no terminal."""


def print_status(folder: Path, as_json: bool) -> None:
    """A line for each job, or JSON.

    :raises DataError: when the folder holds no sweep
    """
    found = statuses(read_sweep(folder))
    if as_json:
        values = [
            asdict(status.job) | {"state": status.state, "detail": status.detail, "attempts": status.attempts}
            for status in found
        ]
        print(json.dumps(values, indent=2, ensure_ascii=False))
        return
    console = Console(width=None if Console().is_terminal else _WIDTH)
    console.print(table(found))
    console.print(f"{len(found)} jobs: {summary(found)}", highlight=False)


def retry(folder: Path) -> None:
    """Start the jobs again that ended without being done, from the configurations frozen at first.

    :raises StageError: when SLURM refuses, or jobs fail again
    """
    with read_sweep(folder).lock():
        sweep = read_sweep(folder)
        todo = [status.job for status in statuses(sweep) if status.state != "done" and status.state not in ACTIVE]
        if not todo:
            say(f"Nothing to do: {summary(statuses(sweep))}.")
            return
        say(f"Starting {len(todo)} of {len(sweep.jobs)} jobs again: {', '.join(f'#{job.num}' for job in todo)}")
        if isinstance(sweep.launcher, SlurmLauncherConfig):
            sweep, todo = enqueue(sweep, todo, sweep.launcher)
    run(sweep, todo, [job.num for job in todo])


def cancel(folder: Path) -> None:
    """End the jobs that are queued or running; what they had finished is kept.

    :raises StageError: when SLURM refuses
    """
    sweep = read_sweep(folder)
    found = statuses(sweep)
    active = [status.job for status in found if status.state in ACTIVE]
    waiting = [status.job for status in found if status.state == "never started" and not status.job.ids]
    slurm.cancel([job.ids[-1] for job in active if job.ids])
    # First those that a launcher here would start as soon as others end.
    for job in waiting:
        note(sweep.files(job).events, "cancelled")
    ended = [job for job in active if job.ids or _interrupt(sweep, job)]
    for job in ended:
        note(sweep.files(job).events, "cancelled")
    ended += waiting
    say(f"{len(ended)} jobs cancelled. Start them again with: judgekit sweep retry {shown(folder)}")
    if len(ended) < len(active) + len(waiting):
        say(f"{len(active) + len(waiting) - len(ended)} run on another machine: give the command there.")


def _interrupt(sweep: Sweep, job: SweepJob) -> bool:
    """Interrupt a job's process, if it is on this machine."""
    holder = sweep.files(job).holder
    with suppress(OSError, ValueError, KeyError):
        values = json.loads(holder.read_text())
        if values["host"] == socket.gethostname() and alive(holder):
            os.kill(int(values["pid"]), signal.SIGINT)
            return True
    return False


def write_collected(folder: Path, output: Path | None) -> None:
    """Write the table of a sweep and its report, and say where.

    :param output: CSV or parquet; None: ``sweep.parquet`` and ``sweep.csv`` in the sweep's folder
    :raises DataError: when the folder holds no sweep, or the file has another ending
    """
    rows = collect(read_sweep(folder))
    for path in [output] if output is not None else [folder / "sweep.parquet", folder / "sweep.csv"]:
        write_table(rows, path)
        print(path)
    print(build_sweep_report(folder))
