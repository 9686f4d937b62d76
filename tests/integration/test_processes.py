"""Training in two processes from the command line: a grid enters no run twice, and no worker outlives its run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.judge_model import make_judge_model

pytestmark = pytest.mark.integration

COMMAND = [Path(sys.executable).with_name("judgekit"), "run", "--config-dir", Path(__file__).parent / "conf"]
SETTINGS = ["experiment=killed", "recipe.rounds=1", "recipe.warm_start.enabled=false"]
PATIENCE = 300.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_judge_model(tmp_path_factory.mktemp("model") / "model")


def start(folder: Path, model: Path, *more: str) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    command = [*COMMAND, *more, *SETTINGS, f"model.path={model}"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(folder: Path, model: Path, *more: str) -> None:
    process = start(folder, model, *more)
    told, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, told


def manifest(run_dir: Path) -> dict[str, Any]:
    values = json.loads((run_dir / "manifest.json").read_text(encoding="utf-8"))
    return {stage["name"]: stage for stage in values["stages"]}


def metrics(run_dir: Path) -> dict[str, float]:
    values: dict[str, float] = json.loads((run_dir / "metrics.json").read_text(encoding="utf-8"))
    return {name: value for name, value in values.items() if name.startswith("train/")}


def workers(folder: Path) -> list[str]:
    """Command lines of the workers that train for a folder."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has just ended
            continue
        if "judgekit.training.worker" in line and str(folder) in line:
            lines.append(line)
    return lines


def test_a_grid_in_two_processes_equals_one_in_one(model: Path, tmp_path: Path) -> None:
    grid = ["-m", "loss.beta=0.1,0.4", "trainer.accelerator=cpu"]
    finish(tmp_path / "two", model, *grid, "trainer.devices=2")
    finish(tmp_path / "one", model, *grid)
    (sweep,) = (tmp_path / "two" / "outputs" / "sweeps").iterdir()
    jobs = sorted(path.parent for path in sweep.glob("*/manifest.json"))
    assert [job.name[0] for job in jobs] == ["0", "1"], "each job has one folder"
    found = [manifest(job) for job in jobs]
    assert [job["reference/dpo1"]["status"] for job in found] == ["computed", "reused"]
    assert [job["train/dpo1"]["status"] for job in found] == ["computed", "computed"]
    (other,) = (tmp_path / "one" / "outputs" / "sweeps").iterdir()
    for job, alone in zip(jobs, sorted(path.parent for path in other.glob("*/manifest.json")), strict=True):
        assert metrics(job) == pytest.approx(metrics(alone), rel=1e-4, abs=1e-6)


def test_no_worker_outlives_a_run_that_was_killed(model: Path, tmp_path: Path) -> None:
    process = start(tmp_path, model, "trainer.devices=2")
    deadline = time.monotonic() + PATIENCE
    while len(workers(tmp_path)) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 30.0
    while workers(tmp_path):
        assert time.monotonic() < deadline, "a worker is still there"
        time.sleep(0.1)
