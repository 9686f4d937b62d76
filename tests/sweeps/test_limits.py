"""What can be known at submission is said there, not after all sampling."""

from __future__ import annotations

import re
from typing import Any

import pytest

from judgekit.errors import ConfigError
from judgekit.schema.launchers import LocalLauncherConfig, SlurmLauncherConfig
from judgekit.sweeps.limits import check_limits

GPU = {"accelerator": "gpu"}


@pytest.mark.parametrize(
    ("trainer", "launcher", "told"),
    [
        ({"nodes": 2}, {}, "trainer.nodes: training takes 2 nodes, and its SLURM job has 1 .*hydra.launcher.nodes=2"),
        ({"nodes": 2, "devices": 8}, {"nodes": 2}, "8 processes a node.*1 tasks.*hydra.launcher.tasks_per_node=8"),
        (GPU, {}, "training takes 1 GPUs a node, and its SLURM job has no GPU.*gpus_per_node=1"),
        (GPU | {"devices": 8}, {"gpus_per_node": 4}, "takes 8 GPUs a node, and its SLURM job has 4 .*gpus_per_node=8"),
        (GPU | {"devices": 8}, {"gpus_per_node": 8}, None),
        (GPU | {"devices": 8}, {"sbatch": {"gres": "gpu:h100:8"}}, None),  # named otherwise
        (GPU | {"devices": 8}, {"sbatch": {"gpus-per-task": "8"}}, None),
        (GPU | {"devices": 8}, {"sbatch": {"exclusive": "user"}}, None),  # whole nodes
        ({"nodes": 2, "devices": 2}, {"nodes": 2, "tasks_per_node": 2}, None),
        ({"devices": 2, "accelerator": "cpu"}, {}, None),
    ],
)
def test_places_that_a_slurm_job_has_not_got(trainer: dict[str, Any], launcher: Any, told: str | None) -> None:
    configs = [{"trainer": trainer}, {"trainer": trainer}]
    if told is None:
        check_limits(SlurmLauncherConfig(**launcher), configs)
        return
    with pytest.raises(ConfigError) as refused:
        check_limits(SlurmLauncherConfig(**launcher), configs)
    assert len(refused.value.problems) == 1, "said once for all jobs"
    assert re.search(told, str(refused.value), re.DOTALL)
    check_limits(LocalLauncherConfig(), configs)


def shards(points: int, count: int, *, slowest: bool, wait: float | None = None) -> list[dict[str, Any]]:
    """A grid over points and shards; which of the two changes slowest is the order of the overrides."""
    places = [(point, shard) for point in range(points) for shard in range(count)]
    if slowest:
        places.sort(key=lambda place: place[1])
    return [
        {"seed": point, "sampler": {"shards": count, "shard": shard, "shard_wait": wait}} for point, shard in places
    ]


@pytest.mark.parametrize(
    ("points", "count", "slowest", "needed"),
    [
        (1, 4, False, 4),
        (3, 4, False, 4),  # one point's shards after another's
        (3, 4, True, 10),  # nine jobs of shards 0 to 2 wait for the first of shard 3
        (8, 2, True, 9),
    ],
)
def test_shards_that_would_wait_for_one_that_never_starts(points: int, count: int, slowest: bool, needed: int) -> None:
    grid = shards(points, count, slowest=slowest)
    for slots in (needed - 1, 1):
        with pytest.raises(ConfigError, match=f"{slots} jobs run at a time.*hydra.launcher.max_parallel={needed}"):
            check_limits(SlurmLauncherConfig(max_parallel=slots), grid)
        check_limits(SlurmLauncherConfig(max_parallel=slots), shards(points, count, slowest=slowest, wait=0.0))
    check_limits(SlurmLauncherConfig(max_parallel=needed), grid)
    with pytest.raises(ConfigError, match=f"hydra/launcher=local hydra.launcher.n_jobs={needed}"):
        check_limits(LocalLauncherConfig(n_jobs=needed - 1), grid)


def test_one_part_of_a_sampling_may_run_alone() -> None:
    """The others may be another sweep's, or another machine's."""
    check_limits(LocalLauncherConfig(), shards(1, 4, slowest=False)[:1])
