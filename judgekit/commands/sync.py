"""``judgekit sync``: upload what runs recorded for W&B while they had no network. W&B's own ``wandb sync`` does it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from judgekit.errors import DataError, StageError
from judgekit.run_folder import WANDB, RunFolder

QUIET_SECONDS = 120.0
"""A run that has written nothing for so long does not go on, whatever its manifest says."""
AT_A_TIME = 50


def sync(folders: Sequence[Path]) -> None:
    """Upload the offline W&B runs of runs and sweeps that are not uploaded yet.

    :raises DataError: when a folder holds no W&B run
    :raises StageError: when some could not be uploaded
    """
    found = [record for folder in folders for record in _records(folder)]
    busy = [record for record in found if under_way(record)]
    todo = [record for record in found if not uploaded(record) and record not in busy]
    for record in busy:
        print(f"{_run_dir(record)} is under way and left out", file=sys.stderr)
    for start in range(0, len(todo), AT_A_TIME):
        part = [str(record.parent) for record in todo[start : start + AT_A_TIME]]
        # Its standard input is closed: it would ask for a key.
        subprocess.run([sys.executable, "-m", "wandb", "sync", *part], stdin=subprocess.DEVNULL, check=False)
    left = [record for record in todo if not uploaded(record)]
    print(f"{len(todo) - len(left)} uploaded, {len(found) - len(todo) - len(busy)} were before")
    if left:
        raise StageError(
            f"{len(left)} W&B runs could not be uploaded, the first of {_run_dir(left[0])}; nothing of them is lost. "
            "Log in with `wandb login` (or set WANDB_API_KEY) on a machine that sees these folders and reaches the "
            "server, and give the same command again."
        )


def _records(folder: Path) -> list[Path]:
    """The offline records of a run, or of all runs of a sweep, without those that later ones stand in for."""
    found = [path for place in ("", "*/") for path in sorted(folder.glob(f"{place}{WANDB}/offline-run-*/*.wandb"))]
    if not found and not any(_online(folder)):
        message = "no run of W&B. Name a run or a sweep that ran with logger=wandb"
        raise DataError(message, file=folder)
    return found


def _online(folder: Path) -> Iterator[Path]:
    for place in ("", "*/"):
        yield from folder.glob(f"{place}{WANDB}/run-*")


def _run_dir(record: Path) -> Path:
    return record.parents[2]


def uploaded(record: Path) -> bool:
    """Whether ``wandb sync`` has left its mark beside a record."""
    return record.with_name(f"{record.name}.synced").exists()


def under_way(record: Path) -> bool:
    """Whether the run still writes its record: uploading half of it would mark all of it as uploaded."""
    running = RunFolder(_run_dir(record)).known_manifest().get("status") == "running"
    return running and time.time() - record.stat().st_mtime < QUIET_SECONDS
