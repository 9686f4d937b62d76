"""The whole program killed at any moment and started again: the same bytes come out, and next to nothing is redone.

The first run of this file is the installed command in a process of its own, and so are the interrupted ones. The
killed ones call the same entry point in processes forked from one that has imported the libraries already, which
saves most of their time.
"""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from judgekit.sampling.base import Batch, Generation, Request
from tests.integration.judge_model import make_judge_model

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent
COMMAND = Path(sys.executable).with_name("judgekit")
BATCH = 6
"""sampler.batch_size of the experiment."""
PATIENCE = 120.0
ATTEMPTS = 6

os.environ["OMP_NUM_THREADS"] = "1"
forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["judgekit.recipes.run", "judgekit.training.trainer", "judgekit.sampling.hf", "lightning"])


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
    def run_dir(self) -> Path:
        (found,) = [path for path in (self.folder / "outputs").iterdir() if path.name.startswith("killed")]
        return found

    @property
    def manifest(self) -> dict[str, Any]:
        return read_manifest(self.run_dir)

    def begun(self) -> int:
        """Generations begun, over all attempts."""
        return sum(map(int, (self.folder / "begun.txt").read_text().split()))

    def keys(self) -> list[bytes]:
        """Keys of all generations kept, repeated ones too."""
        segments = sorted((self.store / "generations").glob("*/*.seg"))
        return [
            line[9:60]
            for path in segments
            for line in path.read_bytes().splitlines(keepends=True)
            if line[-1:] == b"\n"
        ]

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
        kept += [path for folder in ("pairs", "verdicts") for path in (self.run_dir / folder).iterdir()]
        kept += [self.run_dir / "metrics.json", *(self.run_dir / "judge").glob("*.safetensors")]
        return {str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}

    def copy(self, target: Path) -> Place:
        """The same state elsewhere."""
        shutil.copytree(self.folder, target)
        return Place(target, self.model)


def read_manifest(run_dir: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((run_dir / "manifest.json").read_text(encoding="utf-8"))
    return values


def sampled(manifest: dict[str, Any]) -> dict[str, int]:
    """Generations drawn by stages that were computed in this run."""
    computed = [stage for stage in manifest["stages"] if stage["status"] == "computed"]
    return {stage["name"]: stage["generations"]["sampled"] for stage in computed}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_judge_model(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture(scope="module")
def reference(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The unbroken run, as a user starts it."""
    place = Place(tmp_path_factory.mktemp("reference"), model)
    done = subprocess.run(
        [COMMAND, *arguments(model)], cwd=place.folder, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    return place


def same(place: Place, reference: Place, kills: int) -> None:
    """The place holds what the reference holds, and each kill cost at most one batch."""
    assert place.files() == reference.files()
    assert place.manifest["status"] == "finished"
    assert not list(place.store.rglob("*.partial"))
    keys = Counter(place.keys())
    assert keys.keys() == Counter(reference.keys()).keys()
    assert keys.total() - len(keys) <= kills * BATCH
    assert place.begun() - len(keys) <= kills * BATCH


def test_every_stage_has_work_to_do(reference: Place) -> None:
    stages = {stage["name"]: stage for stage in reference.manifest["stages"]}
    for split in ("d1", "d2"):
        rows = stages[f"chains/{split}"]["rows"]
        assert rows["chains"] == rows["valid"] >= 12
        assert stages[f"preferences/{split}"]["rows"]["preferences"] >= 4
    for judge in ("warm", "sft", "dpo1", "dpo2"):
        assert stages[f"train/{judge}"]["rows"]["steps"] == 2
        assert stages[f"verdicts/{judge}/starter"]["rows"] == {"verdicts": 6, "invalid": 0}
    assert any(path.endswith("judge/adapter_model.safetensors") for path in reference.files())


@pytest.mark.parametrize("eighth", range(8))
def test_a_run_killed_anywhere_gives_the_same_bytes(reference: Place, tmp_path: Path, eighth: int) -> None:
    whole = reference.progress()
    moment = max(1, whole * eighth // 8)
    place = killed_at(reference, tmp_path, [lambda place: place.progress() >= moment])
    place.finish()
    same(place, reference, kills=1)


def killed_at(reference: Place, tmp_path: Path, moments: Sequence[Callable[[Place], bool]]) -> Place:
    """A place where a run was killed at each of the moments; begun anew where one passed unseen."""
    seen = 0
    for attempt in range(ATTEMPTS):
        place = Place(tmp_path / f"place-{attempt}", reference.model)
        try:
            for number, moment in enumerate(moments):
                seen = number
                place.kill_when(functools.partial(moment, place))
            return place
        except Missed:
            continue
    raise AssertionError(f"a moment passed unseen {ATTEMPTS} times, the last time number {seen}")


HOOKS = {
    "chains/d1 begins": ["chains/d1/*.partial"],
    "a checkpoint of dpo1": ["train/dpo1/*.partial/*/step-000001"],
    "a checkpoint of sft being written, then verdicts": [
        "train/sft/*.partial/*/step-000001.partial",
        "verdicts/sft/starter/*.partial",
    ],
    "chains, then the same chains, then training on them": [
        "chains/d2/*.partial/scratch/batches-*",
        "chains/d2/*.partial/scratch/begun-*",
        "train/dpo2/*.partial/*/step-000001",
    ],
}


@pytest.mark.parametrize("name", HOOKS)
def test_a_run_killed_in_a_certain_stage_gives_the_same_bytes(reference: Place, tmp_path: Path, name: str) -> None:
    moments = [functools.partial(Place.holds, pattern=pattern) for pattern in HOOKS[name]]
    place = killed_at(reference, tmp_path, moments)
    place.finish()
    same(place, reference, kills=len(HOOKS[name]))


def test_the_same_command_again_finds_everything(reference: Place, tmp_path: Path) -> None:
    place = reference.copy(tmp_path / "place")
    before = place.files()
    place.finish()
    assert {stage["status"] for stage in place.manifest["stages"]} == {"reused"}
    assert not (place.folder / "begun.txt").exists()
    assert place.files() == before


def grid(place: Place) -> list[dict[str, Any]]:
    (sweep,) = (place.folder / "outputs" / "sweeps").iterdir()
    return [read_manifest(folder) for folder in sorted(sweep.iterdir()) if folder.is_dir()]


def test_a_larger_grid_point_draws_only_what_it_adds(reference: Place, tmp_path: Path) -> None:
    place = Place(tmp_path / "place", reference.model)
    place.finish("-m", "recipe.plans=1,2", "recipe.rounds=1", "recipe.validate=false")
    one, two = grid(place)
    plans, chains = sampled(one)["chains/d1"], sampled(two)["chains/d1"]
    assert sampled(two).keys() == {"chains/d1", "demonstrations/d1", "preferences/d1"} | {
        f"{what}/{judge}{where}"
        for judge in ("sft", "dpo1")
        for what, where in (("train", ""), ("verdicts", "/starter"))
    }
    stage = {stage["name"]: stage for stage in two["stages"]}["chains/d1"]
    assert stage["generations"]["cached"] == plans > 0
    assert chains > 0
    keys = place.keys()
    assert len(keys) == len(set(keys)), "nothing is drawn twice"


def test_another_loss_draws_nothing_before_training(reference: Place, tmp_path: Path) -> None:
    place = reference.copy(tmp_path / "place")
    place.finish("-m", "loss.beta=0.1,0.5")
    first, second = grid(place)
    assert {stage["status"] for stage in first["stages"]} == {"reused"}
    names = [stage["name"] for stage in second["stages"]]
    computed = list(sampled(second))
    assert computed[0] == "train/dpo1"
    assert all(stage["status"] == "reused" for stage in second["stages"][: names.index("train/dpo1")])


@pytest.mark.parametrize("pattern", ["chains/d1/*.partial", "train/dpo1/*/step-000001"])
def test_an_interrupted_run_says_so_and_resumes(reference: Place, tmp_path: Path, pattern: str) -> None:
    place = Place(tmp_path / "place", reference.model)
    process = subprocess.Popen(
        [COMMAND, *arguments(place.model)],
        cwd=place.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + PATIENCE
    while not place.holds(pattern):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, error
    assert error.splitlines()[-1] == "judgekit: interrupted; the same command resumes where it stopped"
    assert "Traceback" not in error
    assert place.manifest["status"] == "interrupted"
    place.finish()
    assert place.files() == reference.files()
    assert place.manifest["status"] == "finished"
