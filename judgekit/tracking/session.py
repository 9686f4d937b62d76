"""One run or evaluation from its first record to its last, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from judgekit.schema.config import RunConfig
from judgekit.schema.evaluation import EvalConfig
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
        # Lightning turns Ctrl-C into an exit of its own.
        cause = error.__context__ if isinstance(error, SystemExit) else error
        if isinstance(cause, KeyboardInterrupt):
            record.finish("interrupted")
        else:
            record.finish("failed", f"{type(error).__name__}: {error}")
        raise
    record.finish("finished")


def sweep_name(run_dir: Path) -> str | None:
    """Name of the sweep a job belongs to: the folder above it, None for a single run."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        return run_dir.parent.name
    return None
