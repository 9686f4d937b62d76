"""Sweeps on a real SLURM, one machine with two nodes, as a user submits them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from tests.integration.judge_model import make_judge_model

pytestmark = pytest.mark.integration

PROJECT = Path(__file__).resolve().parents[2]
CLUSTER = PROJECT / "launchers" / "one_node_slurm"
PATIENCE = 1200.0
QUICK = ["loss=sft", "recipe.warm_start.enabled=false", "recipe.validate=false", "recipe.plans=1"]
GOOD = {"instruction": "Say yes.", "response_a": "Yes.", "response_b": "No.", "label": "A"}
PROGRAM = "import sys\nfrom judgekit.cli import main\ncode = main(sys.argv[1:])\n"


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    started = subprocess.run([CLUSTER, "start"], capture_output=True, text=True)
    assert started.returncode == 0, started.stderr
    yield
    subprocess.run([CLUSTER, "stop"], check=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_judge_model(tmp_path_factory.mktemp("model") / "model")


class Shell:
    """A folder where commands are typed, with config groups of its own."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model = folder, model
        shutil.copytree(PROJECT / "tests" / "integration" / "conf", folder / "conf")

    def type(self, *arguments: str, code: int = 0) -> str:
        command = [sys.executable, "-c", PROGRAM + "sys.exit(code)", *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == code, done.stderr
        return done.stdout

    def sweep(self, *arguments: str) -> Path:
        """Submit a sweep and return its folder."""
        before = set(self.folder.glob("outputs/sweeps/*"))
        conf = ["--config-dir", "conf", "-m", "experiment=killed", f"model.path={self.model}"]
        self.type("run", *conf, "hydra/launcher=slurm", *arguments)
        (made,) = set(self.folder.glob("outputs/sweeps/*")) - before
        return made

    def status(self, sweep: Path) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.type("sweep", "status", "--json", str(sweep)))
        return found

    def wait(self, sweep: Path, moment: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Look at a sweep until a moment has come."""
        deadline = time.monotonic() + PATIENCE
        while not moment(found := self.status(sweep)):
            assert time.monotonic() < deadline, found
            time.sleep(1)
        return found


@pytest.fixture
def shell(tmp_path: Path, model: Path) -> Shell:
    return Shell(tmp_path, model)


def states(found: list[dict[str, Any]]) -> list[str]:
    return [job["state"] for job in found]


def over(found: list[dict[str, Any]]) -> bool:
    return not {"queued", "running", "pre-empted"} & set(states(found))


def manifest(sweep: Path, job: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((sweep / job["folder"] / "manifest.json").read_text(encoding="utf-8"))
    return values


def events(sweep: Path, num: int) -> list[str]:
    lines = (sweep / "jobs" / f"{num}.jsonl").read_text().splitlines()
    return [json.loads(line)["event"] for line in lines]


def slurm(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def write_rows(path: Path, *rows: dict[str, Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_a_sweep_with_every_kind_of_accident(shell: Shell) -> None:
    for number in range(3):
        write_rows(shell.folder / f"good{number}.jsonl", GOOD | {"instruction": f"Say yes {number} times."})
    write_rows(shell.folder / "bad.jsonl", GOOD, {})
    for name in ("stuck.jsonl", "slow.jsonl"):
        os.mkfifo(shell.folder / name)  # whoever reads it waits
    names = ["stuck", "slow", "bad", "good0", "good1", "good2"]
    source = ["+data.sources.own.kind=jsonl", "+data.sources.own.pairs=given"]
    paths = ",".join(f"{name}.jsonl" for name in names)
    launcher = [f"hydra.launcher.{text}" for text in ("minutes=600", "max_timeouts=0", "signal_seconds=30")]
    sweep = shell.sweep(*QUICK, *source, *launcher, f"+data.sources.own.path={paths}")
    digests = [job["config_digest"] for job in shell.status(sweep)]
    # No queued job may read it again.
    (shell.folder / "conf" / "experiment" / "killed.yaml").write_text("- broken\n")

    found = shell.wait(sweep, lambda found: all(job["attempts"] for job in found[:2]) and over(found[2:]))
    assert states(found) == ["running", "running", "failed", "done", "done", "done"]
    assert "bad.jsonl, line 2" in found[2]["detail"]
    slurm("scancel", found[0]["ids"][-1])
    slurm("scontrol", "update", f"jobid={found[1]['ids'][-1]}", "timelimit=1")
    found = shell.wait(sweep, over)
    assert states(found) == ["cancelled", "timed out", "failed", "done", "done", "done"]
    shell.type("sweep", "collect", str(sweep))
    rows = pyarrow.parquet.read_table(sweep / "sweep.parquet").to_pylist()
    assert [row["data.sources.own.path"] for row in rows] == [f"{name}.jsonl" for name in names]
    assert [row["eval/sft/starter/accuracy"] is not None for row in rows] == [False] * 3 + [True] * 3

    for name in names[:3]:
        (shell.folder / f"{name}.jsonl").unlink()
        write_rows(shell.folder / f"{name}.jsonl", GOOD | {"instruction": f"Say {name}."})
    shell.type("sweep", "retry", str(sweep))
    found = shell.wait(sweep, over)
    assert states(found) == ["done"] * 6
    assert [len(job["ids"]) for job in found] == [2, 2, 2, 1, 1, 1]
    assert [job["config_digest"] for job in found] == digests
    assert {manifest(sweep, job)["config_digest"] for job in found} == set(digests)
    assert [events(sweep, num).count("started") for num in range(6)] == [2, 2, 2, 1, 1, 1]


def test_a_requeued_job_resumes(shell: Shell) -> None:
    sweep = shell.sweep("seed=3")

    def has_stages(found: list[dict[str, Any]]) -> bool:
        assert found[0]["state"] in ("queued", "running")
        folder = sweep / found[0]["folder"]
        return (folder / "manifest.json").exists() and len(manifest(sweep, found[0])["stages"]) >= 3

    (job,) = shell.wait(sweep, has_stages)
    # What SLURM does before a time limit, and before pre-emption where a cluster says so.
    slurm("scancel", "--signal=USR2", "--batch", job["ids"][-1])
    shell.wait(sweep, lambda found: "requeued" in events(sweep, 0))
    before = {stage["name"]: stage["digest"] for stage in manifest(sweep, job)["stages"]}
    assert len(before) >= 3
    (job,) = shell.wait(sweep, over)
    assert (job["state"], len(job["ids"]), job["attempts"]) == ("done", 1, 2)
    assert events(sweep, 0) == ["submitted", "started", "requeued", "started", "ended"]
    after = {stage["name"]: stage for stage in manifest(sweep, job)["stages"]}
    assert {name: after[name]["digest"] for name in before} == before
    assert {after[name]["status"] for name in before} == {"reused"}
    assert {stage["status"] for name, stage in after.items() if name not in before} == {"computed"}


def test_a_hundred_jobs_are_submitted_in_seconds_without_torch(shell: Shell) -> None:
    program = (
        PROGRAM
        + "import resource\n"
        + "used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]\n"
        "print(sum(item.ru_utime + item.ru_stime for item in used))\n"
        "print(sorted({'torch', 'transformers', 'lightning'} & set(sys.modules)))\n"
    )
    later = "+hydra.launcher.sbatch.begin=now+1hour"
    command = [sys.executable, "-c", program, "run", "-m", "hydra/launcher=slurm", later, "seed=range(0,100)"]
    done = subprocess.run(command, cwd=shell.folder, capture_output=True, text=True, check=True)
    seconds, modules = done.stdout.splitlines()[-2:]
    assert float(seconds) < 15, "processor seconds, so that what else runs on the machine does not count"
    assert modules == "[]"
    (sweep,) = (shell.folder / "outputs" / "sweeps").iterdir()
    assert states(shell.status(sweep)) == ["queued"] * 100
    shell.type("sweep", "cancel", str(sweep))
    assert states(shell.status(sweep)) == ["cancelled"] * 100


def test_two_tasks_train_together_without_another_sweep(shell: Shell) -> None:
    ranks = ["trainer.nodes=2", "trainer.devices=1", "trainer.strategy=ddp", "trainer.accelerator=cpu"]
    # Both nodes are this machine, and no resolver knows their names.
    here = "hydra.launcher.setup=['export MASTER_ADDR=127.0.0.1']"
    sweep = shell.sweep(*QUICK, *ranks, "hydra.launcher.nodes=2", here, "seed=5")
    (job,) = shell.wait(sweep, over)
    assert job["state"] == "done", job
    assert events(sweep, 0) == ["submitted", "started", "ended"]
    trained = {stage["name"]: stage for stage in manifest(sweep, job)["stages"]}["train/sft"]
    assert (trained["status"], trained["rows"]["steps"]) == ("computed", 2)
    assert len(list((shell.folder / "outputs" / "sweeps").iterdir())) == 1
