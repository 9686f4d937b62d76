"""The files of a sweep, which anyone can read while it runs and after its shell is gone::

SWEEP_DIR/sweep.json       its jobs: overrides, folders, SLURM ids; and the launcher's settings
SWEEP_DIR/jobs/N.yaml      the frozen configuration that job N runs from
SWEEP_DIR/jobs/N.jsonl     what happened to job N: submitted, started, requeued, ended, cancelled
SWEEP_DIR/jobs/N.lock      held while job N runs, by whom ``N.holder`` says
SWEEP_DIR/jobs/N.log       what job N printed, when it ran in a process of its own on this machine
SWEEP_DIR/jobs/slurm/      submission scripts and output of SLURM jobs
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from judgekit.errors import DataError
from judgekit.randomness import digest
from judgekit.run_folder import RunFolder
from judgekit.schema.config import RunConfig
from judgekit.schema.evaluation import EvalConfig
from judgekit.schema.launchers import LAUNCHERS, LauncherConfig
from judgekit.schema.validation import build
from judgekit.store import write_json_atomic

SWEEP_FILE = "sweep.json"
JOBS = "jobs"
Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SweepJob:
    """One job of a sweep.

    :param num: its number in the sweep
    :param folder: its run folder, relative to the sweep's
    :param config_digest: digest of its frozen configuration
    :param ids: SLURM ids, one for each time it was submitted
    """

    num: int
    overrides: list[str]
    folder: str
    config_digest: str
    ids: list[str] = field(default_factory=list)


class JobFiles:
    """Files about one job, of which the text above says what is in them; ``holder`` is who holds ``lock``."""

    def __init__(self, folder: Path, num: int) -> None:
        self.config, self.events, self.log = (folder / f"{num}.{ending}" for ending in ("yaml", "jsonl", "log"))
        self.lock, self.holder = folder / f"{num}.lock", folder / f"{num}.holder"


@dataclass(frozen=True)
class Sweep:
    """``sweep.json``.

    :param folder: the sweep's folder
    :param launcher: how its jobs are started, and started again
    """

    folder: Path
    name: str
    created: str
    launcher: LauncherConfig
    jobs: tuple[SweepJob, ...] = ()

    def run(self, job: SweepJob) -> RunFolder:
        """The run folder of a job."""
        return RunFolder(self.folder / job.folder)

    def files(self, job: SweepJob) -> JobFiles:
        """The files about a job."""
        return JobFiles(self.folder / JOBS, job.num)

    @property
    def slurm(self) -> Path:
        """Submission scripts and output of SLURM jobs."""
        return self.folder / JOBS / "slurm"

    def with_jobs(self, jobs: Iterable[SweepJob]) -> Sweep:
        """With these jobs added, or in place of those with the same numbers."""
        known = {job.num: job for job in (*self.jobs, *jobs)}
        return replace(self, jobs=tuple(known[num] for num in sorted(known)))

    def write(self) -> None:
        """Write ``sweep.json``."""
        values = {"name": self.name, "created": self.created, "launcher": asdict(self.launcher)}
        write_json_atomic(self.folder / SWEEP_FILE, values | {"jobs": [asdict(job) for job in self.jobs]})

    def lock(self) -> FileLock:
        """Held by whoever submits jobs of this sweep."""
        return FileLock(self.folder / ".submit.lock")


def read_sweep(folder: Path) -> Sweep:
    """The sweep in a folder.

    :raises DataError: when there is none, or ``sweep.json`` is damaged
    """
    path = folder / SWEEP_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        kind = LAUNCHERS[values["launcher"]["name"]]
        launcher, problems = build(kind, values["launcher"], "launcher")
        if problems:
            raise ValueError(problems[0])
        jobs = tuple(SweepJob(**job) for job in values["jobs"])
        return Sweep(folder.absolute(), values["name"], values["created"], launcher, jobs)
    except (FileNotFoundError, NotADirectoryError):
        message = "no such file. Name the folder that `judgekit run -m` wrote, such as outputs/sweeps/NAME"
        raise DataError(message, file=path) from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"damaged ({error}). Give the sweep's command again to write it anew", file=path) from error


def now() -> str:
    """The time, as files hold it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def note(path: Path, event: str, **details: Any) -> None:
    """Add an event to a job's history."""
    line = json.dumps({"event": event, "time": now(), **details}, ensure_ascii=False)
    with path.open("ab") as file:
        file.write(line.encode("utf-8", "surrogatepass") + b"\n")
        file.flush()
        os.fsync(file.fileno())


def history(path: Path) -> list[Event]:
    """The events since the job was last submitted; a torn last line is left out."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    events: list[Event] = [json.loads(line) for line in lines if line.endswith(b"\n")]
    last = max((index for index, event in enumerate(events) if event["event"] == "submitted"), default=0)
    return events[last:]


@dataclass(frozen=True)
class Frozen:
    """``jobs/N.yaml``: everything a job needs, so that later edits of the configuration change nothing.

    :param config: the run's resolved values
    :param run_dir: its folder
    :param cwd: the folder relative paths mean
    :param command: what was typed
    :param logging: as ``logging.config.dictConfig`` takes it
    :param environment: variables to set
    """

    config: dict[str, Any]
    run_dir: str
    cwd: str
    command: list[str]
    logging: dict[str, Any]
    environment: dict[str, str]

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        # By way of JSON, because YAML would write tuples as Python's own.
        values = json.loads(json.dumps(asdict(self)))
        aside = path.with_suffix(".yaml.tmp")
        aside.write_text(yaml.dump(values, Dumper=_DUMPER, sort_keys=False, allow_unicode=True), encoding="utf-8")
        aside.replace(path)


_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def read_frozen(path: Path) -> Frozen:
    """A job's frozen configuration.

    :raises DataError: when the file is missing or not as it was written
    """
    try:
        return Frozen(**yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, TypeError, yaml.YAMLError) as error:
        message = f"not a frozen job ({error}). Give the sweep's command again to write it anew"
        raise DataError(message, file=path) from error


def config_digest(config: RunConfig | EvalConfig) -> str:
    """Digest of a configuration, as ``manifest.json`` holds it."""
    return digest(asdict(config))
