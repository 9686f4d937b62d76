"""``judgekit sweep``: how the jobs of a sweep are, starting failed ones again, ending them, and their numbers."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from judgekit.errors import ConfigError, DataError, Problem
from judgekit.locks import alive
from judgekit.report.sweep import build_sweep_report
from judgekit.schema.launchers import SlurmLauncherConfig
from judgekit.schema.validation import build
from judgekit.sweep_folder import SWEEP_FILE, Sweep, SweepJob, note, read_frozen, read_sweep
from judgekit.sweeps import slurm
from judgekit.sweeps.board import board
from judgekit.sweeps.collect import collect, write_table
from judgekit.sweeps.launching import enqueue, run, say, shown
from judgekit.sweeps.limits import check_limits
from judgekit.sweeps.status import ACTIVE, JobStatus, statuses, summary

_WIDTH = 160
"""Of the table where there is no terminal."""


def print_status(folders: Sequence[Path], as_json: bool, watch: bool) -> None:
    """A line for each job of each sweep, or JSON.

    :param watch: again and again until no job is under way
    :raises DataError: when a folder holds no sweep
    """
    sweeps = [read_sweep(folder) for folder in folders]
    if as_json:
        values = [_values(status) for sweep in sweeps for status in statuses(sweep)]
        print(json.dumps(values, indent=2, ensure_ascii=False))
        return
    console = Console(width=None if Console().is_terminal else _WIDTH)
    found = [statuses(sweep) for sweep in sweeps]
    if watch and console.is_terminal:
        with Live(_boards(sweeps, found), console=console, auto_refresh=False) as live:
            while any(status.state in ACTIVE for jobs in found for status in jobs):
                time.sleep(WATCH_SECONDS)
                found = [statuses(read_sweep(folder)) for folder in folders]
                live.update(_boards(sweeps, found), refresh=True)
        return
    console.print(_boards(sweeps, found))


WATCH_SECONDS = 2.0
"""Between two looks."""


def _boards(sweeps: Sequence[Sweep], found: Sequence[Sequence[JobStatus]]) -> Group:
    parts: list[RenderableType] = []
    for sweep, jobs in zip(sweeps, found, strict=True):
        parts += [Text(str(shown(sweep.folder)), "bold")] if len(sweeps) > 1 else []
        parts += [board(jobs), Text(f"{len(jobs)} jobs: {summary(jobs)}")]
    return Group(*parts)


def _values(status: JobStatus) -> dict[str, Any]:
    return asdict(status.job) | {name: value for name, value in asdict(status).items() if name != "job"}


def find_sweep(name: str) -> Path:
    """The folder of a sweep: itself, a part of its name below ``outputs/sweeps``, or ``latest`` of those.

    :raises DataError: there is no such sweep, or several have such a name
    """
    if (Path(name) / SWEEP_FILE).exists() or "/" in name:
        return Path(name)
    known = sorted(SWEEPS.glob(f"*/{SWEEP_FILE}"), key=lambda path: path.stat().st_mtime)
    if name == "latest" and not known:
        raise DataError("there is no sweep here. Name its folder, or go to where it was started", file=SWEEPS)
    fitting = known[-1:] if name == "latest" else [path for path in known if name in path.parent.name]
    exact = [path for path in fitting if path.parent.name == name]
    if len(exact or fitting) > 1:
        names = ", ".join(path.parent.name for path in fitting)
        raise DataError(f"several sweeps have that in their names: {names}. Give more of one", file=SWEEPS / name)
    return (exact or fitting)[0].parent if fitting else Path(name)


SWEEPS = Path("outputs/sweeps")
"""Where sweeps are, unless they are told otherwise."""


def retry(folder: Path, limits: Sequence[str] = ()) -> None:
    """Start the jobs again that ended without being done, from the configurations frozen at first.

    :param limits: ``FIELD=VALUE`` of the launcher from now on, such as ``minutes=90``
    :raises ConfigError: a field or value the sweep's launcher has not got
    :raises StageError: when SLURM refuses, or jobs fail again
    """
    with read_sweep(folder).lock():
        sweep = _relimited(read_sweep(folder), limits)
        todo = [status.job for status in statuses(sweep) if status.state != "done" and status.state not in ACTIVE]
        if not todo:
            say(f"Nothing to do: {summary(statuses(sweep))}.")
            return
        if limits:
            check_limits(sweep.launcher, [read_frozen(sweep.files(job).config).config for job in todo])
            sweep.write()
        say(f"Starting {len(todo)} of {len(sweep.jobs)} jobs again: {', '.join(f'#{job.num}' for job in todo)}")
        if isinstance(sweep.launcher, SlurmLauncherConfig):
            sweep, todo = enqueue(sweep, todo, sweep.launcher)
    run(sweep, todo, [job.num for job in todo])


def _relimited(sweep: Sweep, limits: Sequence[str]) -> Sweep:
    given = {}
    for text in limits:
        name, equals, value = text.removeprefix("hydra.launcher.").partition("=")
        if not equals or name == "name":
            raise ConfigError([Problem(text, "not a setting of the launcher", "Give FIELD=VALUE, such as minutes=90")])
        try:
            given[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError([Problem(text, f"no value: {error}")]) from error
    launcher, problems = build(type(sweep.launcher), asdict(sweep.launcher) | given, "hydra.launcher")
    if problems:
        raise ConfigError(problems)
    return replace(sweep, launcher=launcher)


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
