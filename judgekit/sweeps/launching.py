"""Starting the jobs of a sweep that are not finished and not under way."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import sleep

from judgekit.errors import DataError, StageError
from judgekit.run_folder import RunFolder
from judgekit.schema.launchers import LauncherConfig, SlurmLauncherConfig
from judgekit.sweep_folder import JOBS, Frozen, Sweep, SweepJob, history, note, now, read_sweep
from judgekit.sweeps import local, submission
from judgekit.sweeps.board import Board
from judgekit.sweeps.limits import check_limits
from judgekit.sweeps.status import ACTIVE, statuses

log = logging.getLogger(__name__)

QUEUE_SECONDS = 15.0
"""Between two questions to SLURM while waiting for jobs: its controller serves everybody."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job of a grid before anything of it is on disk."""

    num: int
    overrides: list[str]
    config_digest: str
    frozen: Frozen


def register(
    folder: Path, name: str, launcher: LauncherConfig, prepared: Sequence[Prepared]
) -> tuple[Sweep, list[SweepJob]]:
    """Write down what a sweep consists of, with a frozen configuration for every job that is to be started.

    :return: the sweep, and its jobs that are neither finished nor under way
    """
    (folder / JOBS).mkdir(parents=True, exist_ok=True)
    try:
        sweep = replace(read_sweep(folder), name=name, launcher=launcher)
    except DataError:  # none there, or one that is damaged
        sweep = Sweep(folder.absolute(), name, now(), launcher)
    states = {status.job.num: status for status in statuses(sweep)}
    kept, todo = [], []
    for item in prepared:
        known = states.get(item.num)
        run_dir = os.path.relpath(item.frozen.run_dir, folder.absolute())
        job = SweepJob(item.num, item.overrides, run_dir, item.config_digest, known.job.ids if known else [])
        if known is not None and known.state in ACTIVE:
            kept.append(known.job)
            if known.job.config_digest != item.config_digest:
                say(f"#{item.num} is {known.state} with another configuration and goes on with that.")
        elif sweep.run(job).is_finished(item.config_digest):
            kept.append(job)
        else:
            item.frozen.write(sweep.files(job).config)
            todo.append(job)
    sweep = sweep.with_jobs([*kept, *todo])
    sweep.write()
    return sweep, todo


def launch(folder: Path, name: str, launcher: LauncherConfig, prepared: Sequence[Prepared]) -> None:
    """Start the jobs of a grid, and wait for them unless the launcher says otherwise.

    The same call takes up a sweep that was interrupted; of a finished one it starts nothing.

    :raises StageError: when jobs failed, once all have ended
    :raises ConfigError: limits of the launcher under which jobs would fail or wait for ever
    """
    check_limits(launcher, [item.frozen.config for item in prepared])
    folder.mkdir(parents=True, exist_ok=True)
    with Sweep(folder.absolute(), name, "", launcher).lock():
        sweep, todo = register(folder, name, launcher, prepared)
        numbers = {item.num for item in prepared}
        jobs = [job for job in sweep.jobs if job.num in numbers]
        if not todo and all(sweep.run(job).is_finished(job.config_digest) for job in jobs):
            say(f"Nothing to do: all {len(jobs)} jobs in {shown(folder)} are finished.")
            if not RunFolder(folder).report.exists():
                leave_report(folder)
            return
        if len(todo) < len(jobs):
            say(f"{len(jobs) - len(todo)} of {len(jobs)} jobs in {shown(folder)} are finished or under way.")
        if isinstance(launcher, SlurmLauncherConfig):
            sweep, todo = enqueue(sweep, todo, launcher)
    run(sweep, todo, [job.num for job in jobs])


def enqueue(sweep: Sweep, todo: Sequence[SweepJob], config: SlurmLauncherConfig) -> tuple[Sweep, list[SweepJob]]:
    """Submit jobs to SLURM and note their ids."""
    if not todo:
        return sweep, []
    for job in todo:
        note(sweep.files(job).events, "submitted")
    ids = submission.submit(sweep, todo, config)
    submitted = [replace(job, ids=[*job.ids, item]) for job, item in zip(todo, ids, strict=True)]
    sweep = sweep.with_jobs(submitted)
    sweep.write()
    say(f"{len(submitted)} jobs submitted: {ids[0].partition('_')[0]}")
    return sweep, submitted


def run(sweep: Sweep, todo: Sequence[SweepJob], numbers: Sequence[int]) -> None:
    """Run jobs here, or follow those that were submitted.

    :param todo: jobs to start
    :param numbers: jobs whose end is waited for
    :raises StageError: when jobs failed
    """
    if isinstance(sweep.launcher, SlurmLauncherConfig):
        if not sweep.launcher.wait:
            say(f"Follow them with: judgekit sweep status {shown(sweep.folder)}")
            return
        follow(sweep.folder, numbers)
    elif sweep.launcher.n_jobs == 1:
        local.run_here(sweep, todo, say)
    else:
        local.run_beside(sweep, todo, sweep.launcher.n_jobs)
    leave_report(sweep.folder)
    report(sweep, [job for job in sweep.jobs if job.num in set(numbers)])


def follow(folder: Path, numbers: Sequence[int]) -> None:
    """Show jobs until none is under way."""
    try:
        with Board() as board:
            while True:
                found = [status for status in statuses(read_sweep(folder)) if status.job.num in set(numbers)]
                board.show(found)
                if not any(status.state in ACTIVE for status in found):
                    return
                sleep(QUEUE_SECONDS)
    except KeyboardInterrupt:
        say(f"The jobs go on. Follow them with: judgekit sweep status {shown(folder)}")
        raise


def leave_report(folder: Path) -> None:
    """The sweep's report; whatever is wrong with it, the jobs' results stand."""
    from judgekit.report.sweep import build_sweep_report

    try:
        say(f"Report: {shown(build_sweep_report(folder))}")
    except Exception as error:
        log.debug("The report of %s could not be written", folder, exc_info=True)
        say(f"The report could not be written: {error}. Once mended: judgekit report {shown(folder)}")


def report(sweep: Sweep, jobs: Sequence[SweepJob]) -> None:
    """Raise what failed; a grid goes on after a failure, and tells all of them at its end."""
    numbers = {job.num for job in jobs}
    failed = []
    for status in statuses(sweep):
        job = status.job
        if job.num in numbers and status.state != "done" and status.state not in ACTIVE:
            events = history(sweep.files(job).events)
            text = str(events[-1].get("error", "")) if events else ""
            failed.append((sweep.run(job).path, text or f"{status.state} {status.detail}".strip()))
    if len(failed) == len(jobs) == 1:
        raise StageError(failed[0][1])
    if failed:
        told = "\n".join(f"  {shown(folder)}: {error}" for folder, error in failed)
        raise StageError(f"{len(failed)} of {len(jobs)} jobs failed:\n{told}")


def shown(path: Path) -> Path:
    """A path as short as it can be typed here."""
    path = path.absolute()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def say(text: str) -> None:
    """A line for whoever typed the command."""
    print(text, file=sys.stderr, flush=True)
