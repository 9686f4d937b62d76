"""Fixtures for sweeps: jobs that do next to nothing, and a SLURM that only notes what it is told."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from judgekit.sweeps import status
from tests.sweeps.jobs import stub

SBATCH = """#!/bin/sh
[ ! -e "$0.refuses" ] || { echo "sbatch: error: invalid partition specified: gold" >&2; exit 1; }
cp "$1" "$0.script"
echo "Submitted batch job $(cat "$0.next" 2>/dev/null || echo 12)"
"""
ANSWER = """#!/bin/sh
echo "$@" >> "$0.asked"
cat "$0.says" 2>/dev/null || { cat "$0.error" >&2; exit 1; }
"""


@pytest.fixture(autouse=True)
def recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "judgekit.runner", stub())
    monkeypatch.setattr(status, "LOOK_AGAIN_SECONDS", 0.01)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the commands of SLURM; ``COMMAND.says`` holds what they answer, without it they fail."""
    folder = tmp_path / "bin"
    folder.mkdir()
    scripts = {"sbatch": SBATCH, "srun": "#!/bin/sh\n", "squeue": ANSWER, "sacct": ANSWER, "scancel": ANSWER}
    for name, text in scripts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
        (folder / f"{name}.error").write_text("slurm_load_jobs error: Unable to contact slurm controller\n")
    (folder / "squeue.says").write_text("")
    (folder / "scancel.says").write_text("")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder
