"""Shards of a sampling call: whatever their number and the order of the requests, the same rows come out."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from judgekit.errors import StageError
from judgekit.samplers.hf import HfConfig
from judgekit.sampling.base import Generation, Request, SamplingParams
from judgekit.sampling.cache import GenerationCache
from judgekit.sampling.hf import HfSampler
from judgekit.sampling.session import Shard, sample_all
from judgekit.schema.models import ModelConfig
from judgekit.weights import Weights
from tests.helpers import ScriptedSampler
from tests.sampling.test_hf import ids_of
from tests.training.tiny import make_model

WEIGHTS = "f" * 64
GREEDY = SamplingParams(0.0, 1.0, 12)
DRAWN = SamplingParams(1.0, 0.95, 12, seed=3)


@pytest.fixture(scope="module")
def sampler(tmp_path_factory: pytest.TempPathFactory) -> HfSampler:
    folder = make_model(tmp_path_factory.mktemp("tiny") / "model")
    return HfSampler(
        Weights(folder), ModelConfig(name="tiny", dtype="bfloat16", max_length=512), HfConfig(batch_size=4)
    )


def requests() -> list[Request]:
    texts = [f"Which is better{'?' * (number % 5)} {number}" for number in range(12)]
    greedy = [Request(f"greedy {text}", ids_of(text), GREEDY) for text in texts]
    return greedy + [Request(f"drawn {text}", ids_of(text), DRAWN, (0, 1)) for text in texts]


def through(shards: int, sampler: HfSampler, root: Path, shuffle: int) -> dict[tuple[str, int], Generation]:
    """All requests in shuffled order through so many shards, one after the other."""
    for index in random.Random(shuffle).sample(range(shards), shards):
        shuffled = random.Random(f"{shuffle}/{index}").sample(requests(), len(requests()))
        try:
            found = sample_all(sampler, GenerationCache(root, WEIGHTS), shuffled, shard=Shard(index, shards, wait=0.0))
        except StageError as error:
            assert "missing" in str(error)
    return dict(found)


def test_rows_depend_neither_on_the_number_of_shards_nor_on_order(sampler: HfSampler, tmp_path: Path) -> None:
    whole = dict(sample_all(sampler, GenerationCache(tmp_path / "whole", WEIGHTS), requests()))
    for shards in (1, 2, 5):
        found = through(shards, sampler, tmp_path / str(shards), shuffle=shards)
        assert found == whole  # token by token, in low precision too
    assert len({generation.token_ids for generation in whole.values()}) > 20


@pytest.mark.parametrize("batches", [1, 7, 40, 1000])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_batch_is_taken_by_one_shard_and_the_work_is_even(batches: int, count: int) -> None:
    taken = [
        [number for number in range(batches) if Shard(index, count).takes(number, batches)] for index in range(count)
    ]
    assert sorted(number for part in taken for number in part) == list(range(batches))
    sizes = [len(part) for part in taken]
    assert max(sizes) - min(sizes) <= max(1, batches // (count * 8))


def test_a_shard_draws_its_own_part_and_waits_for_the_rest(tmp_path: Path) -> None:
    asked = [Request(f"r{number}", (number,), DRAWN) for number in range(8)]
    first, second = ScriptedSampler(batch_size=2), ScriptedSampler(batch_size=2)
    with pytest.raises(StageError, match="Shard 0 of 2 has drawn its part; 4 samples of other shards are missing"):
        sample_all(first, GenerationCache(tmp_path, WEIGHTS), asked, shard=Shard(0, 2, wait=0.0))
    assert sum(map(len, first.batches)) == 4
    found = sample_all(second, GenerationCache(tmp_path, WEIGHTS), asked, shard=Shard(1, 2))
    assert len(found) == 8 and not set(first.batches) & set(second.batches)
