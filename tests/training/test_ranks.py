"""Training in two processes, started as a user starts it: by ``trainer.devices`` or ``trainer.nodes``.

What starts them several times takes a while and is left to the integration tests.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from judgekit.errors import ModelError, StageError
from judgekit.losses.robust import RobustLoss
from judgekit.training import ranks
from judgekit.training.batches import Unit, pack, share, split
from judgekit.training.fitting import Listener
from judgekit.training.training_job import TrainingJob
from judgekit.weights import Weights
from tests.training.test_trainer import OPTIM, TRAINER, Killed, Stage, assert_same

FAKE_SRUN = """#!{python}
import os, re, subprocess, sys, threading
options = dict(re.match(r"--([a-z-]+)=(.*)", word).groups() for word in sys.argv[1:] if re.match(r"--[a-z-]+=", word))
command = sys.argv[sys.argv.index("--unbuffered") + 2:]
nodes, each = int(options["nodes"]), int(options["ntasks-per-node"])
assert int(options["ntasks"]) == nodes * each
workers = []
for rank in range(nodes * each):
    place = {{"PROCID": rank, "NODEID": rank // each, "LOCALID": rank % each, "NTASKS": nodes * each, "NNODES": nodes}}
    own = os.environ | {{f"SLURM_{{name}}": str(value) for name, value in place.items()}}
    own |= {{"SLURM_NTASKS_PER_NODE": str(each), "SLURM_NODELIST": "127.0.0.1"}}
    log = open(options["error"].replace("%t", str(rank)), "wb")
    workers.append(subprocess.Popen(command, env=own, stdin=subprocess.PIPE, stderr=log))
def forward():
    while chunk := os.read(0, 4096):
        for worker in workers:
            worker.stdin.write(chunk)
            worker.stdin.flush()
    for worker in workers:
        worker.stdin.close()
threading.Thread(target=forward, daemon=True).start()
os._exit(max(abs(worker.wait()) for worker in workers))
"""
"""Starts processes as ``srun`` does, all of them here; standard input goes to each."""

TWO = replace(TRAINER, devices=2)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """A model with tied embeddings, which sharding must not part."""
    return Stage(tmp_path_factory.mktemp("ranks"), tie_word_embeddings=True)


@pytest.fixture(scope="module")
def unbroken(stage: Stage) -> dict[int, Any]:
    """The series of an undisturbed run in two processes."""
    result, series = stage.train(name="two", trainer=TWO)
    assert result.steps == 4
    return series


def assert_close(found: dict[int, Any], expected: dict[int, Any]) -> None:
    """Every series within 1e-5, relative."""
    assert list(found) == list(expected)
    for step, values in expected.items():
        assert found[step] == pytest.approx(values, rel=1e-5, abs=1e-7)


def test_two_processes_give_the_curve_and_adapter_of_one(stage: Stage, unbroken: dict[int, Any]) -> None:
    _, one = stage.train(name="one")
    assert_close(unbroken, one)
    for name, value in stage.tensors("one").items():
        torch.testing.assert_close(stage.tensors("two")[name], value, rtol=1e-4, atol=1e-6)
    work = stage.folder / "two-work"
    assert {path.name for path in work.glob("rank-*.log")} == {"rank-0.log", "rank-1.log"}
    assert all(path.read_bytes() == b"" for path in work.glob("rank-*.log")), "nothing but messages is printed"


@pytest.mark.integration
def test_a_run_whose_process_was_killed_resumes_to_the_same_bits(
    stage: Stage, unbroken: dict[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    workers: list[subprocess.Popen[bytes]] = []
    start = ranks._start

    def noted(*arguments: Any) -> subprocess.Popen[bytes]:
        workers.append(start(*arguments))
        return workers[-1]

    def judge(step: int, _: Path) -> float:
        if step == 2 and len(workers) == 2:
            workers[1].send_signal(signal.SIGKILL)
        return float(step)

    monkeypatch.setattr(ranks, "_start", noted)
    with pytest.raises(StageError, match="process 1 of 2 ended with code -9.*goes on from there"):
        stage.train(name="broken", trainer=TWO, on_checkpoint=judge)
    assert all(worker.poll() is not None for worker in workers), "no process is left behind"
    result, series = stage.train(name="broken", trainer=TWO, on_checkpoint=judge)
    assert len(workers) == 4 and result.chosen_step == 4
    assert series == {step: unbroken[step] for step in (3, 4)}
    assert_same(stage.tensors("broken"), stage.tensors("two"))


STUB = """
import json, os, sys, time
say = lambda **message: print(json.dumps(message), flush=True)
if os.environ["LOCAL_RANK"] == "0":
    say(step=1, series={"loss": 2.0})
    say(step=1)
    word = sys.stdin.readline()
    say(step=2, series={"loss": 1.0}) if word == "go\\n" else None
    %s
else:
    sys.stdin.read()  # until the run closes it
"""
"""A worker that trains nothing; a line of its own follows the first checkpoint."""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("say(crash='KeyError: x'); time.sleep(60)", "dpo1: KeyError: x"),
        ("say(error='gone', kind='ModelError'); time.sleep(60)", "^gone$"),
        ("os._exit(3)", r"processes ended with codes \[3\]"),
        ("print('no words', file=sys.stderr); os._exit(4)", r"More in .*rank-0.log"),
        ("os.kill(os.getpid(), 11)", "process 0 of 2 ended with code -11"),
    ],
)
def test_however_a_process_ends_the_others_end_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, message: str
) -> None:
    monkeypatch.setattr(ranks, "_WORKER", [sys.executable, "-c", STUB % line])
    heard: list[Any] = []
    job = make_job(tmp_path)
    listener = Listener(lambda step, series: heard.append(series), lambda step: heard.append("saved") is not None)
    began = time.monotonic()
    with pytest.raises((StageError, ModelError), match=message):
        ranks.run_ranks(job, listener)
    assert heard == [{"loss": 2.0}, "saved", {"loss": 1.0}]
    assert time.monotonic() - began < 30.0


def test_an_interruption_here_ends_the_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "_WORKER", [sys.executable, "-c", STUB % "time.sleep(60)"])

    def interrupt(step: int) -> bool:
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        ranks.run_ranks(make_job(tmp_path), Listener(lambda step, series: None, interrupt))
    assert time.monotonic() - began < 30.0


@pytest.mark.integration
def test_a_loss_that_is_not_finite_is_told_as_in_one_process(stage: Stage) -> None:
    with pytest.raises(StageError, match=r"^dpo1: the loss .* is not a finite number. Lower this stage's lr"):
        stage.train(name="wild", trainer=TWO, optim=replace(OPTIM, lr=1e30, clip_norm=None, epochs=9))


@pytest.mark.integration
def test_shards_on_two_nodes_give_the_curve_and_weights_of_one_process_also_when_resumed(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "srun").write_text(FAKE_SRUN.format(python=sys.executable))
    (tmp_path / "srun").chmod(0o755)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MASTER_PORT", str(held.getsockname()[1]))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    full = replace(TRAINER, adapter="full")
    optim = replace(OPTIM, batch_size=3, max_steps=4)  # one process has more to do than the other
    _, one = stage.train(name="full", trainer=full, optim=optim)
    shards_of = replace(full, nodes=2, strategy="fsdp")
    two: dict[int, Any] = {}

    def die(step: int, series: dict[str, float]) -> None:
        if step == 3:
            raise Killed
        two[step] = series

    with pytest.raises(Killed):
        stage.train(name="shards", trainer=shards_of, optim=optim, on_step=die)
    _, resumed = stage.train(name="shards", trainer=shards_of, optim=optim)
    assert list(resumed) == [3, 4]
    assert_close(two | resumed, one)
    whole, shards = (load_file(stage.folder / name / "model.safetensors") for name in ("full", "shards"))
    assert whole.keys() == shards.keys()
    for name, value in whole.items():
        torch.testing.assert_close(shards[name], value, rtol=1e-4, atol=1e-4)


def test_more_nodes_than_the_job_has_are_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    with pytest.raises(StageError, match="Set trainer.nodes=2"):
        stage.train(name="many", trainer=replace(TRAINER, nodes=3))


@pytest.mark.parametrize("adapter", [None, "adapter"])
def test_a_job_survives_its_file(tmp_path: Path, adapter: str | None) -> None:
    job = make_job(tmp_path, adapter)
    job.write(tmp_path / "job.json")
    assert TrainingJob.read(tmp_path / "job.json") == job


def make_job(folder: Path, adapter: str | None = None) -> TrainingJob:
    """A job of two processes whose settings are not the defaults."""
    loss = RobustLoss(label_smoothing=0.25, sft_average="examples")
    start = Weights(folder / "base", folder / adapter if adapter else None)
    rows, logps = folder / "rows.jsonl", folder / "logps.safetensors"
    return TrainingJob("dpo", rows, start, folder, OPTIM, loss, TWO, 3, "dpo1", "float32", logps, reference_only=True)


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_every_unit_is_in_one_share(parts: int) -> None:
    units = [Unit(index, (index // 3, 5, 6), ((index % 2, 8) * (1 + index), (9,))) for index in range(12)]
    groups = split(units, parts)
    assert sorted(unit.index for group in groups for unit in group) == list(range(12))
    shares = [share(units, 60, rank, parts, level=True) for rank in range(parts)]
    assert {(part.examples, part.tokens) for part in shares} == {(12, sum(2 + 2 * index for index in range(12)))}
    assert len({len(part.packs) + len(part.idle) for part in shares}) == 1
    assert [part.packs for part in shares] == [pack(group, 60) for group in groups]
    sizes = [sum(len(packed.ids) for packed in part.packs) for part in shares]
    assert max(sizes) <= sum(sizes) / parts + max(unit.packed for unit in units)
