"""A folder where the program runs on a tiny model, in processes forked from one that has imported the libraries."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from judgekit.sampling.base import Batch, Generation, Request

HERE = Path(__file__).parent
BATCH = 6
"""sampler.batch_size of the experiment."""
PATIENCE = 120.0

os.environ["OMP_NUM_THREADS"] = "1"
forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["judgekit.runner", "judgekit.training.trainer", "judgekit.sampling.hf", "lightning"])


def arguments(model: Path, *more: str) -> list[str]:
    return ["run", "--config-dir", str(HERE / "conf"), *more, "experiment=killed", f"model.path={model}"]


def enter(folder: str, command: list[str]) -> None:
    """Run the program in a forked process, noting the size of every batch it begins to generate."""
    os.setsid()
    os.chdir(folder)
    with open("terminal.txt", "ab", buffering=0) as terminal:
        os.dup2(terminal.fileno(), 1)
        os.dup2(terminal.fileno(), 2)
    from judgekit.cli import main
    from judgekit.sampling.hf import HfSampler

    run = HfSampler.run

    def noted(self: HfSampler, requests: list[Request], batch: Batch) -> list[Generation]:
        with open("begun.txt", "a") as file:
            file.write(f"{len(batch)}\n")
        return run(self, requests, batch)

    HfSampler.run = noted  # type: ignore[method-assign, assignment]
    sys.argv = ["judgekit", *command]
    sys.exit(main(command))


class Missed(Exception):
    """The run was over before it could be killed: some moments last a millisecond."""


class Place:
    """A folder where the command is typed."""

    def __init__(self, folder: Path, model: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.model = folder, model
        self.store = folder / "outputs" / "store"

    def start(self, *more: str) -> ForkServerProcess:
        process = forks.Process(target=enter, args=(str(self.folder), arguments(self.model, *more)))
        process.start()
        return process

    def finish(self, *more: str) -> float:
        """Run to the end; seconds it took."""
        began = time.monotonic()
        process = self.start(*more)
        process.join(PATIENCE)
        assert process.exitcode == 0, (self.folder / "terminal.txt").read_text()[-3000:]
        return time.monotonic() - began

    def kill_when(self, moment: Callable[[], bool], *more: str) -> None:
        """Start, and kill without warning as soon as ``moment`` has come."""
        process = self.start(*more)
        deadline = time.monotonic() + PATIENCE
        while not moment():
            if not process.is_alive():
                raise Missed
            assert time.monotonic() < deadline, "the moment never came"
            time.sleep(0.001)
        assert process.pid is not None
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:  # so young that it leads no group yet
            process.kill()
        process.join(PATIENCE)
        if process.exitcode == 0:
            raise Missed
        assert process.exitcode == -signal.SIGKILL

    @property
    def run_dirs(self) -> list[Path]:
        """Folders of the runs, one for each set of overrides."""
        return [path for path in (self.folder / "outputs").iterdir() if path.name.startswith("killed")]

    @property
    def run_dir(self) -> Path:
        """The folder of the only run."""
        (found,) = self.run_dirs
        return found

    @property
    def manifest(self) -> dict[str, Any]:
        return read_manifest(self.run_dir)

    def begun(self) -> int:
        """Generations begun, over all attempts."""
        return sum(map(int, (self.folder / "begun.txt").read_text().split()))

    def keys(self) -> list[bytes]:
        """Keys of all generations kept, repeated ones too."""
        return kept_keys(self.store)

    def progress(self) -> int:
        """A number that grows with the run: its generations, stages, checkpoints."""
        return sum(path.endswith(("stage.json", ".lock", ".seg")) for path in self.below()) + len(self.keys()) // BATCH

    def below(self) -> list[str]:
        """Everything in the store, by path; what comes and goes meanwhile does not matter."""
        found = [f"{folder}/{name}" for folder, *names in os.walk(self.store) for name in (*names[0], *names[1])]
        return [path.removeprefix(f"{self.store}/") for path in found]

    def holds(self, pattern: str) -> bool:
        """Whether the store holds a path that matches; ``*`` also matches ``/``."""
        return bool(fnmatch.filter(self.below(), f"stages/{pattern}"))

    def files(self) -> dict[str, str]:
        """Digests of all data files by path."""
        kept = [path for path in (self.store / "stages").rglob("*") if path.suffix in (".jsonl", ".safetensors")]
        for run_dir in self.run_dirs:
            kept += [path for folder in ("pairs", "verdicts") for path in (run_dir / folder).iterdir()]
            kept += [run_dir / "metrics.json", *(run_dir / "judge").glob("*.safetensors")]
        return {str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}

    def copy(self, target: Path) -> Place:
        """The same state elsewhere."""
        shutil.copytree(self.folder, target)
        return Place(target, self.model)


def read_manifest(run_dir: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((run_dir / "manifest.json").read_text(encoding="utf-8"))
    return values


def kept_keys(store: Path) -> list[bytes]:
    """Keys of all generations a store holds, repeated ones too."""
    return [
        line[9:60]
        for path in sorted((store / "generations").glob("*/*.seg"))
        for line in path.read_bytes().splitlines(keepends=True)
        if line[-1:] == b"\n"
    ]
