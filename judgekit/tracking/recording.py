"""One run or evaluation from its first record to its last, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from judgekit.errors import DataError
from judgekit.run_results import override_values
from judgekit.schema.config import RunConfig
from judgekit.schema.evaluation import EvalConfig
from judgekit.sweep_folder import read_sweep
from judgekit.tracking import Place, make_tracker
from judgekit.tracking.record import RunRecord


@contextmanager
def recorded(config: RunConfig | EvalConfig, run_dir: Path) -> Iterator[RunRecord]:
    """The record of what goes on inside, closed as finished, interrupted or failed.

    :param run_dir: the folder of its files
    """
    place = place_of(run_dir, "eval" if isinstance(config, EvalConfig) else "run")
    tracker = make_tracker(config.logger, run_dir, asdict(config), config.name, place)
    record = RunRecord(run_dir, config, tracker)
    try:
        yield record
    except BaseException as error:
        # An exit that is no failure: Ctrl-C as Lightning passes it on, or a SLURM job that is queued again.
        cause = error.__context__ if isinstance(error, SystemExit) else error
        if cause is None or isinstance(cause, KeyboardInterrupt):
            record.finish("interrupted")
        else:
            record.finish("failed", f"{type(error).__name__}: {error}")
        raise
    record.finish("finished")


def place_of(run_dir: Path, kind: str) -> Place:
    """The sweep that a run folder lies in, and the run's overrides there.

    :param kind: ``run`` or ``eval``
    """
    try:
        sweep = read_sweep(run_dir.parent)
    except DataError:
        return Place(kind, _foreign_sweep(run_dir))
    job = next((job for job in sweep.jobs if job.folder == run_dir.name), None)
    if job is None:
        return Place(kind, sweep.name)
    return Place(kind, sweep.name, job.num, override_values(job.overrides))


def _foreign_sweep(run_dir: Path) -> str | None:
    """Name of a sweep whose launcher is somebody else's, which runs jobs inside Hydra."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        return run_dir.parent.name
    return None
