"""Sweeps whose jobs do next to nothing: what a job does is said by its seed.

``python -m tests.sweeps.jobs SWEEP_DIR N`` runs one, as ``python -m judgekit.sweeps.job`` would.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

from judgekit.errors import StageError
from judgekit.schema.config import RunConfig
from judgekit.schema.launchers import LauncherConfig, LocalLauncherConfig
from judgekit.store import write_json_atomic
from judgekit.sweep_folder import Frozen, config_digest
from judgekit.sweeps.launching import Prepared

FINE, FAILS, IS_KILLED, IS_BROKEN, HANGS = range(5)
LOCAL: LauncherConfig = LocalLauncherConfig()


def finish(config: RunConfig, run_dir: Path, **more: Any) -> None:
    """Leave what a finished run leaves."""
    run_dir.mkdir(parents=True, exist_ok=True)
    manifest = {"status": "finished", "config_digest": config_digest(config), "stages": [], "seconds": 1.5}
    write_json_atomic(run_dir / "manifest.json", manifest | more)


def run_recipe(config: RunConfig, run_dir: Path) -> None:
    with (run_dir.parent / "ran.txt").open("a") as file:
        file.write(f"{config.seed}\n")
    if config.seed == FAILS and not (run_dir.parent / "mended").exists():
        raise StageError("the data are wrong\nin line 3")
    if config.seed == IS_KILLED and not (run_dir.parent / "mended").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    if config.seed == IS_BROKEN:
        raise ZeroDivisionError("a bug")
    if config.seed == HANGS:
        time.sleep(60)
    print(f"results of {config.seed}")
    finish(config, run_dir)


def stub() -> ModuleType:
    """In place of ``judgekit.runner``."""
    module: Any = ModuleType("judgekit.runner")
    module.run_recipe = run_recipe
    return module


def prepare(folder: Path, seeds: Sequence[int], name: str = "run") -> list[Prepared]:
    """Jobs whose configurations differ in their seeds."""
    found = []
    for num, seed in enumerate(seeds):
        config = RunConfig(name=name, seed=seed)
        run_dir = folder / f"{num}-seed"
        frozen = Frozen(asdict(config), str(run_dir), str(folder.parent), ["judgekit run", "-m"], {}, {"OWN": str(num)})
        found.append(Prepared(num, ["loss=dpo", f"seed={seed}"], config_digest(config), frozen))
    return found


def ran(folder: Path) -> list[int]:
    """Seeds of the jobs that were run, in order."""
    path = folder / "ran.txt"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


if __name__ == "__main__":
    sys.modules["judgekit.runner"] = stub()
    from judgekit.sweeps.job import main

    sys.exit(main(sys.argv[1:]))
