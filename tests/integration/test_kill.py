"""The whole program killed at any moment and started again: the same bytes come out, and next to nothing is redone.

The first run of this file is the installed command in a process of its own, and so are the interrupted ones. The
killed ones call the same entry point in processes forked from one that has imported the libraries already, which
saves most of their time.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.integration.judge_model import make_judge_model
from tests.integration.place import BATCH, PATIENCE, Missed, Place, arguments, read_manifest

pytestmark = pytest.mark.integration

COMMAND = Path(sys.executable).with_name("judgekit")
ATTEMPTS = 6


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
    return [read_manifest(file.parent) for file in sorted(sweep.glob("*/manifest.json"))]


def test_a_larger_grid_point_draws_only_what_it_adds(reference: Place, tmp_path: Path) -> None:
    place = Place(tmp_path / "place", reference.model)
    place.finish("-m", "recipe.plans=1,2", "recipe.rounds=1", "recipe.validate=false")
    one, two = grid(place)
    plans, chains = sampled(one)["chains/d1"], sampled(two)["chains/d1"]
    once = {"chains/d1", "cues/dpo1", "demonstrations/d1", "preferences/d1", "reference/dpo1"}
    assert sampled(two).keys() == once | {
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
        # A suite that runs in the background of a shell ignores Ctrl-C, and would pass that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
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
