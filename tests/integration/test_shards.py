"""A run split over processes: the stages it leaves are those of one process, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.judge_model import make_judge_model
from tests.integration.place import PATIENCE, Place

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_judge_model(tmp_path_factory.mktemp("model") / "model")


def stages(place: Place) -> dict[str, str]:
    return {path: digest for path, digest in place.files().items() if path.startswith("outputs/store")}


def test_shards_side_by_side_leave_what_one_process_leaves(model: Path, tmp_path: Path) -> None:
    alone, shared = Place(tmp_path / "alone", model), Place(tmp_path / "shared", model)
    alone.finish()
    processes = [shared.start("sampler.shards=3", f"sampler.shard={number}") for number in range(3)]
    for process in processes:
        process.join(PATIENCE)
    told = (shared.folder / "terminal.txt").read_text()
    assert [process.exitcode for process in processes] == [0, 0, 0], told[-3000:]
    assert stages(shared) == stages(alone)
    keys = shared.keys()
    assert len(keys) == len(set(keys)) and set(keys) == set(alone.keys())


def test_a_shard_that_waits_no_longer_says_what_is_missing_and_the_rest_can_be_drawn(
    model: Path, tmp_path: Path
) -> None:
    place = Place(tmp_path / "place", model)
    process = place.start("sampler.shards=2", "sampler.shard=1", "sampler.shard_wait=0")
    process.join(PATIENCE)
    told = " ".join((place.folder / "terminal.txt").read_text().split())
    assert process.exitcode == 2 and "Shard 1 of 2 has drawn its part" in told and "without sampler.shard" in told
    place.finish("sampler.shards=2")
    keys = place.keys()
    assert len(keys) == len(set(keys))
