"""One run or evaluation from its first record to its last, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from judgekit.schema.config import RunConfig
from judgekit.schema.evaluation import EvalConfig
from judgekit.sweeps.files import SWEEP_FILE
from judgekit.tracking import make_tracker
from judgekit.tracking.record import RunRecord


@contextmanager
def recorded(config: RunConfig | EvalConfig, run_dir: Path) -> Iterator[RunRecord]:
    """The record of what goes on inside, closed as finished, interrupted or failed.

    :param run_dir: the folder of its files
    """
    tracker = make_tracker(config.logger, run_dir, asdict(config), config.name, sweep_name(run_dir))
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


def sweep_name(run_dir: Path) -> str | None:
    """Name of the sweep a job belongs to: the folder above it, None for a single run."""
    if (run_dir.parent / SWEEP_FILE).exists():
        return run_dir.parent.name
    # A launcher of somebody else's runs jobs inside Hydra.
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        return run_dir.parent.name
    return None
