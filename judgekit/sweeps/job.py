"""One job of a sweep, run from its frozen configuration: ``python -m judgekit.sweeps.job SWEEP_DIR N``."""

from __future__ import annotations

import logging
import logging.config
import os
import signal
import sys
import threading
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from subprocess import CalledProcessError, TimeoutExpired
from types import FrameType
from typing import TYPE_CHECKING, Any

from judgekit.errors import ConfigError, JudgekitError
from judgekit.locks import held
from judgekit.schema.config import RunConfig
from judgekit.schema.evaluation import EvalConfig
from judgekit.schema.validation import build
from judgekit.sweep_folder import Frozen, Sweep, SweepJob, note, read_frozen, read_sweep

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

log = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds for an earlier attempt of the same job to let go."""
_ERROR_CHARS = 2000


def run_job(sweep: Sweep, job: SweepJob, patience: float = 0.0, terse: bool = False) -> bool:
    """Run a job here and note what happens to it.

    :param patience: seconds to wait while another process runs the same job
    :param terse: print its results to its log, and of its messages only warnings
    :return: whether it ran; not when its run folder holds the finished run already
    :raises judgekit.locks.Busy: when another process runs it
    """
    with held(sweep.files(job).lock, f"job {job.num}", patience):
        if sweep.run(job).is_finished(job.config_digest):
            note(sweep.files(job).events, "ended", status="finished")
            return False
        frozen = read_frozen(sweep.files(job).config)
        aside = _aside(sweep.files(job).log) if terse else nullcontext()
        with _noted(sweep.files(job).events), _surroundings(frozen), aside:
            _execute(thaw(frozen), Path(frozen.run_dir))
    return True


def _execute(config: RunConfig | EvalConfig, run_dir: Path) -> None:
    if isinstance(config, EvalConfig):
        from judgekit.evaluator import evaluate

        evaluate(config, run_dir)
    else:
        from judgekit.runner import run_recipe

        run_recipe(config, run_dir)


def kind_of(values: Container[Any]) -> type[RunConfig | EvalConfig]:
    """What a composed or frozen configuration is of: an evaluation names a judge, a run makes one."""
    return EvalConfig if "judge" in values else RunConfig


def thaw(frozen: Frozen) -> RunConfig | EvalConfig:
    """The configuration of a frozen job.

    :raises ConfigError: when a file it needs is gone, or this version of judgekit does not know a field
    """
    config, problems = build(kind_of(frozen.config), frozen.config)
    if problems:
        raise ConfigError(problems)
    return config


@contextmanager
def _noted(path: Path) -> Iterator[None]:
    note(path, "started", host=os.uname().nodename, pid=os.getpid(), slurm=os.environ.get("SLURM_JOB_ID"))
    try:
        yield
    except BaseException as error:
        status = _ending(error)
        # A requeued job says so itself; its exit is no end.
        if status != "requeued":
            text = f"{type(error).__name__}: {error}" if not isinstance(error, JudgekitError) else str(error)
            note(path, "ended", status=status, error=text[:_ERROR_CHARS])
        raise
    note(path, "ended", status="finished")


class TimeUp(BaseException):
    """SLURM ends the job for good. Not an ``Exception``, which code on the way might take for a failure of its own."""


def _ending(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, TimeUp):
        return "timed out"
    # Where SLURM stops the job before the request to queue it again has ended, SLURM knows what becomes of it.
    asking = isinstance(error, CalledProcessError | TimeoutExpired) and error.cmd[:2] == ["scontrol", "requeue"]
    if isinstance(error, SystemExit) or asking:
        return "requeued"
    return "failed"


@contextmanager
def _ended_by_slurm() -> Iterator[None]:
    """Submitit's signal handlers raise ``TimeUp`` in place of its own exception, which leaves here as it was."""
    from submitit.core.utils import UncompletedJobError

    def handling(handler: Callable[[int, FrameType | None], Any]) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            try:
                handler(number, frame)
            except UncompletedJobError as error:
                raise TimeUp(str(error)) from error

        return handle

    before = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)}
    for number, handler in before.items():
        if callable(handler) and handler is not signal.default_int_handler:
            signal.signal(number, handling(handler))
    try:
        yield
    except TimeUp as end:
        raise UncompletedJobError(str(end)) from end
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _surroundings(frozen: Frozen) -> Iterator[None]:
    """The folder, variables, arguments and log that the job was typed with."""
    Path(frozen.run_dir).mkdir(parents=True, exist_ok=True)
    before, folder, typed = dict(os.environ), Path.cwd(), sys.argv
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    os.environ.update(frozen.environment)
    os.chdir(frozen.cwd)
    sys.argv = frozen.command
    try:
        if frozen.logging:
            logging.config.dictConfig(frozen.logging)
        yield
    except BaseException:
        log.debug("The run stopped", exc_info=True)
        raise
    finally:
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        sys.argv = typed
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _aside(path: Path) -> Iterator[None]:
    """Standard output goes to a file, and messages below warnings to no console; ``run.log`` has them."""
    found = [handler for handler in logging.getLogger().handlers if not isinstance(handler, logging.FileHandler)]
    levels = [handler.level for handler in found]
    for handler in found:
        handler.setLevel(logging.WARNING)
    try:
        with path.open("a", encoding="utf-8") as file, redirect_stdout(file):
            yield
    finally:
        for handler, level in zip(found, levels, strict=True):
            handler.setLevel(level)


@dataclass(frozen=True)
class SlurmJob:
    """What submitit runs in a SLURM job, and asks whether to queue again when time is up or the job is pre-empted."""

    folder: Path
    num: int

    def __call__(self) -> None:
        """Run the job."""
        sweep, job = _find(self.folder, self.num)
        with _ended_by_slurm():
            run_job(sweep, job, PATIENCE)

    def checkpoint(self) -> DelayedSubmission:
        """The same job once more: its finished stages, batches and steps are in the store."""
        from submitit.helpers import DelayedSubmission

        sweep, job = _find(self.folder, self.num)
        note(sweep.files(job).events, "requeued")
        return DelayedSubmission(self)


def _find(folder: Path, num: int) -> tuple[Sweep, SweepJob]:
    sweep = read_sweep(folder)
    return sweep, next(job for job in sweep.jobs if job.num == num)


def main(arguments: list[str]) -> int:
    """Run a job in this process, as the only thing it does."""
    folder, num = arguments
    # A shell in the background has its children ignore Ctrl-C, which is how a launcher asks its jobs to stop.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run_job(*_find(Path(folder), int(num)))
    except KeyboardInterrupt:
        return 130
    except (JudgekitError, OSError) as error:
        print(f"judgekit: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
