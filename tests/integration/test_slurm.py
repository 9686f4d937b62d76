"""Sweeps on a real SLURM, one machine with two nodes, as a user submits them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from judgekit.cli import main
from tests.integration.judge_model import make_judge_model
from tests.integration.place import kept_keys

pytestmark = pytest.mark.integration

PROJECT = Path(__file__).resolve().parents[2]
CLUSTER = [*([] if os.geteuid() == 0 else ["sudo"]), str(PROJECT / "launchers" / "one_node_slurm")]
PATIENCE = 600.0
"""A machine with other work is slow; a test that waits for so long has failed."""
QUICK = ["loss=sft", "recipe.warm_start.enabled=false", "recipe.validate=false", "recipe.plans=1"]
LATER = "+hydra.launcher.sbatch.begin=now+1hour"
MANY = 6_000
"""Pairs that a job does not get through while a test looks on."""
PROGRAM = "import sys\nfrom judgekit.cli import main\ncode = main(sys.argv[1:])\n"
Jobs = list[dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    started = subprocess.run([*CLUSTER, "start"], capture_output=True, text=True)
    assert started.returncode == 0, started.stderr
    yield
    subprocess.run([*CLUSTER, "stop"], check=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_judge_model(tmp_path_factory.mktemp("model") / "model")


class Shell:
    """A folder where commands are typed, with config groups of its own."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model = folder, model
        shutil.copytree(PROJECT / "tests" / "integration" / "conf", folder / "conf")

    @property
    def experiment(self) -> Path:
        return self.folder / "conf" / "experiment" / "killed.yaml"

    def start(self, *arguments: str, then: str = "sys.exit(code)") -> subprocess.Popen[str]:
        """Type a command; its shell is gone when it ends."""
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM + then, *arguments], cwd=self.folder, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *arguments: str) -> subprocess.Popen[str]:
        """Type a sweep."""
        conf = ["--config-dir", "conf", "-m", "experiment=killed", f"model.path={self.model}"]
        return self.start("run", *conf, "hydra/launcher=slurm", *arguments)

    def sweep(self, *arguments: str) -> Path:
        """Submit a sweep and return its folder."""
        before = set(self.sweeps())
        finish(self.run(*arguments))
        (made,) = set(self.sweeps()) - before
        return made

    def sweeps(self) -> list[Path]:
        return sorted(self.folder.glob("outputs/sweeps/*"))

    def wait(self, sweep: Path, moment: Callable[[Jobs], bool]) -> Jobs:
        """Look at a sweep until a moment has come."""
        until(lambda: moment(status(sweep)), sweep)
        return status(sweep)


@pytest.fixture
def shell(tmp_path: Path, model: Path) -> Iterator[Shell]:
    yield Shell(tmp_path, model)
    # A test that fails leaves its jobs to no other.
    slurm("scancel", "--partition=main")


def finish(process: subprocess.Popen[str]) -> str:
    """What a command told its user; it must end well."""
    output, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, told
    return output + told


def status(sweep: Path) -> Jobs:
    """``judgekit sweep status``, in a process that knows nothing of the submission."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        assert main(["sweep", "status", "--json", str(sweep)]) == 0
    found: Jobs = json.loads(text.getvalue())
    return found


def until(moment: Callable[[], bool], sweep: Path, pause: float = 0.5) -> None:
    deadline = time.monotonic() + PATIENCE
    while not moment():
        assert time.monotonic() < deadline, status(sweep)
        time.sleep(pause)


def states(found: Jobs) -> list[str]:
    return [job["state"] for job in found]


def over(found: Jobs) -> bool:
    return not {"queued", "running", "pre-empted"} & set(states(found))


def stages(sweep: Path, job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The stages of a job so far, by name."""
    manifest = json.loads((sweep / job["folder"] / "manifest.json").read_text(encoding="utf-8"))
    return {stage["name"]: stage for stage in manifest["stages"]}


def events(sweep: Path, num: int) -> list[str]:
    lines = (sweep / "jobs" / f"{num}.jsonl").read_text().splitlines()
    return [json.loads(line)["event"] for line in lines]


def begin(sweep: Path) -> None:
    """Let the jobs submitted last start that were to start later."""
    slurm("scontrol", "update", f"jobid={status(sweep)[0]['ids'][-1].partition('_')[0]}", "starttime=now")


def slurm(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def write_pairs(path: Path, count: int, *more: str) -> None:
    """Pairs whose responses take a while to read, with further lines."""
    pair = {"response_a": "Yes.", "response_b": "No. " * 250, "label": "A"}
    rows = ({"id": str(n), "instruction": f"{path.stem} {n}?"} | pair for n in range(count))
    path.write_text("".join(f"{line}\n" for line in (*map(json.dumps, rows), *more)), encoding="utf-8")


def judged(*paths: str) -> list[str]:
    """Overrides that have the seed judge pairs before anything else, one by one: some tens a second."""
    return [
        "sampler.batch_size=1",
        "benchmark.starter=null",
        "+benchmark.own.kind=pairs",
        f"+benchmark.own.path={','.join(paths)}",
    ]


def test_a_sweep_with_every_kind_of_accident(shell: Shell) -> None:
    names = ["stuck", "slow", "bad", "good0", "good1", "good2"]
    for number, name in enumerate(names):
        write_pairs(shell.folder / f"{name}.jsonl", MANY if number < 2 else number, *["{}"] * (name == "bad"))
    # So short a job is taken to be out of time by every signal; one signal is forgiven.
    launcher = ["hydra.launcher.minutes=9", "hydra.launcher.max_timeouts=1", LATER]
    command = [*QUICK, *judged(*(f"{name}.jsonl" for name in names)), *launcher]
    sweep = shell.sweep(*command)
    found = status(sweep)
    assert states(found) == ["queued"] * 6
    digests = [job["config_digest"] for job in found]
    # None has started; none may read it again.
    text = shell.experiment.read_text()
    shell.experiment.write_text("- broken\n")
    begin(sweep)

    def half_way(found: Jobs) -> bool:
        return over(found[2:]) and all(f"/{2 * MANY}" in job["detail"] for job in found[:2])

    found = shell.wait(sweep, half_way)
    assert states(found) == ["running", "running", "failed", "done", "done", "done"]
    assert found[0]["detail"].startswith("verdicts/seed/own: ")
    assert "bad.jsonl, line 3" in found[2]["detail"]
    slow = found[1]["ids"][-1]
    slurm("scancel", found[0]["ids"][-1])
    slurm("scancel", "--signal=USR2", "--batch", slow)
    shell.wait(sweep, lambda found: found[1]["state"] == "running" and found[1]["attempts"] == 2)
    slurm("scontrol", "update", f"jobid={slow}", "timelimit=1")
    found = shell.wait(sweep, over)
    assert states(found) == ["cancelled", "timed out", "failed", "done", "done", "done"]
    assert main(["sweep", "collect", str(sweep)]) == 0
    rows = pyarrow.parquet.read_table(sweep / "sweep.parquet").to_pylist()
    assert [row["benchmark.own.path"] for row in rows] == [f"{name}.jsonl" for name in names]
    assert [row["eval/sft/own/accuracy"] is not None for row in rows] == [False] * 3 + [True] * 3

    for number, name in enumerate(names[:3]):
        write_pairs(shell.folder / f"{name}.jsonl", 6 + number)
    assert "again: #0, #1, #2" in finish(shell.start("sweep", "retry", str(sweep)))
    begin(sweep)
    found = shell.wait(sweep, over)
    assert states(found) == ["done"] * 6
    assert [len(job["ids"]) for job in found] == [2, 2, 2, 1, 1, 1]
    assert [events(sweep, num).count("started") for num in range(6)] == [2, 3, 2, 1, 1, 1]
    held = [json.loads((sweep / job["folder"] / "manifest.json").read_text()) for job in found]
    assert [values["config_digest"] for values in held] == [job["config_digest"] for job in found] == digests
    assert {values["name"] for values in held} == {"killed"}

    shell.experiment.write_text(text)
    assert "Nothing to do: all 6 jobs in outputs/sweeps/" in finish(shell.run(*command))
    assert [job["ids"] for job in status(sweep)] == [job["ids"] for job in found]


def test_pre_empted_jobs_resume(shell: Shell) -> None:
    write_pairs(shell.folder / "pairs.jsonl", 150)
    command = [*QUICK, *judged("pairs.jsonl"), "hydra.launcher.minutes=600"]
    alone = shell.sweep(*command, "seed=1", "store=alone")
    step = shell.sweep(*command, "seed=2", "store=step", "hydra.launcher.srun_args=['--cpu-bind=none']")
    sweeps = {alone: shell.folder / "alone", step: shell.folder / "step"}
    for sweep, store in sweeps.items():
        until(lambda store=store: len(kept_keys(store)) > 20, sweep, pause=0.05)  # type: ignore[misc]
    slurm("sbatch", "--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=true")
    before = {}
    for sweep in sweeps:
        (job,) = shell.wait(sweep, lambda found: found[0]["state"] == "pre-empted")
        before[sweep] = stages(sweep, job)
        assert {"splits", "benchmark/own"} <= before[sweep].keys()
        assert "verdicts/seed/own" not in before[sweep]
    for sweep, store in sweeps.items():
        (job,) = shell.wait(sweep, over)
        assert (job["state"], len(job["ids"]), job["attempts"]) == ("done", 1, 2)
        said = ["submitted", "started", "requeued", "started", "ended"]
        assert events(sweep, 0) == said, (sweep / "jobs" / "0.jsonl").read_text()
        after = stages(sweep, job)
        for name, stage in before[sweep].items():
            assert (after[name]["digest"], after[name]["status"]) == (stage["digest"], "reused")
        assert {stage["status"] for name, stage in after.items() if name not in before[sweep]} == {"computed"}
        repeated = Counter(kept_keys(store))
        assert repeated.total() - len(repeated) <= 1, "what was sampled before is not sampled again"


def test_jobs_side_by_side_compute_shared_stages_once(shell: Shell) -> None:
    write_pairs(shell.folder / "pairs.jsonl", 60)
    rates = ",".join(f"0.00{number}" for number in range(1, 9))
    sweep = shell.sweep(*QUICK, *judged("pairs.jsonl"), f"recipe.sft.lr={rates}")
    place = shell.folder / "outputs" / "store" / "stages" / "verdicts" / "seed" / "own"

    def builder() -> int:
        """The process that computes what all wait for."""
        try:
            (holder,) = place.glob("*.holder")
            return int(json.loads(holder.read_text())["pid"])
        except (OSError, ValueError):
            return 0

    until(lambda: builder() != 0 and all(job["attempts"] for job in status(sweep)), sweep, pause=0.1)
    victim = builder()
    assert victim
    os.kill(victim, signal.SIGKILL)
    began = time.monotonic()
    until(lambda: builder() not in (0, victim), sweep, pause=0.1)
    assert time.monotonic() - began < 60
    found = shell.wait(sweep, over)
    assert sorted(states(found)) == ["done"] * 7 + ["killed"]
    (lost,) = [job for job in found if job["state"] == "killed"]
    finish(shell.start("sweep", "retry", str(sweep)))
    found = shell.wait(sweep, over)
    assert states(found) == ["done"] * 8
    made = Counter(
        (name, stage["digest"])
        for job in found
        for name, stage in stages(sweep, job).items()
        if stage["status"] == "computed"
    )
    assert set(made.values()) == {1}
    named = Counter(name for name, _ in made)
    assert {name: count for name, count in named.items() if count > 1} == {
        name: 8 for name in ("train/sft", "verdicts/sft/own")
    }
    assert stages(sweep, lost)["verdicts/seed/own"]["status"] == "reused"


def test_two_tasks_train_together_without_another_sweep(shell: Shell) -> None:
    ranks = ["trainer.nodes=2", "trainer.devices=1", "trainer.strategy=ddp", "trainer.accelerator=cpu"]
    # The run is a step of the job, and its training another beside it.
    launcher = ["hydra.launcher.nodes=2", "hydra.launcher.srun_args=['--cpu-bind=none']"]
    sweep = shell.sweep(*QUICK, *ranks, *launcher, "hydra.launcher.setup=['export SAID=yes']", "seed=5")
    (job,) = shell.wait(sweep, over)
    assert job["state"] == "done", job
    assert events(sweep, 0) == ["submitted", "started", "ended"]
    trained = stages(sweep, job)["train/sft"]
    assert (trained["status"], trained["rows"]["steps"]) == ("computed", 2)
    assert len(shell.sweeps()) == 1


def test_a_hundred_jobs_are_submitted_in_seconds_without_torch(shell: Shell) -> None:
    told = (
        "import resource\n"
        "used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]\n"
        "print(sum(item.ru_utime + item.ru_stime for item in used))\n"
        "print(sorted({'torch', 'transformers', 'lightning'} & set(sys.modules)))\n"
        "sys.exit(code)\n"
    )
    output = finish(shell.start("run", "-m", "hydra/launcher=slurm", LATER, "seed=range(0,100)", then=told))
    seconds, modules = output.splitlines()[:2]
    assert float(seconds) < 15, "processor seconds, so that what else runs on the machine does not count"
    assert modules == "[]"
    (sweep,) = shell.sweeps()
    assert states(status(sweep)) == ["queued"] * 100
    finish(shell.start("sweep", "cancel", str(sweep)))
    assert states(status(sweep)) == ["cancelled"] * 100


def test_sweeps_launched_in_the_same_second_do_not_collide(shell: Shell) -> None:
    shells = [shell.run(LATER, seeds) for seeds in ("seed=1,2", "seed=1,2", "seed=3,4")]
    told = "".join(finish(process) for process in shells)
    assert told.count("2 jobs submitted") == 2 and told.count("2 of 2 jobs in") == 1
    assert [states(status(sweep)) for sweep in shell.sweeps()] == [["queued"] * 2] * 2
    assert len({job["ids"][0] for sweep in shell.sweeps() for job in status(sweep)}) == 4
    for sweep in shell.sweeps():
        assert main(["sweep", "cancel", str(sweep)]) == 0
