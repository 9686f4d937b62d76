"""What a launcher's limits let no grid do, found before anything starts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from judgekit.errors import ConfigError, Problem
from judgekit.schema.launchers import LauncherConfig, LocalLauncherConfig, SlurmLauncherConfig

Values = Mapping[str, Any]


def check_limits(launcher: LauncherConfig, configs: Sequence[Values]) -> None:
    """Refuse jobs that would wait for ever, or fail once all is sampled.

    :param configs: of the jobs, in the order in which they start
    :raises ConfigError: with every mistake
    """
    problems = _shards(launcher, configs)
    if isinstance(launcher, SlurmLauncherConfig):
        found = [problem for config in configs for problem in _places(launcher, config.get("trainer", {}))]
        problems += list(dict.fromkeys(found))
    if problems:
        raise ConfigError(problems)


def _places(launcher: SlurmLauncherConfig, trainer: Values) -> list[Problem]:
    """Nodes, tasks and GPUs of a training that its SLURM job has not got."""
    nodes, devices = trainer.get("nodes", 1), trainer.get("devices", 1)
    problems = []
    if nodes > launcher.nodes:
        message = f"training takes {nodes} nodes, and its SLURM job has {launcher.nodes} (hydra.launcher.nodes)"
        problems.append(Problem("trainer.nodes", message, f"Use hydra.launcher.nodes={nodes}"))
    if nodes > 1 and devices > launcher.tasks_per_node:
        tasks = launcher.tasks_per_node
        message = f"training starts {devices} processes a node, and its SLURM job has {tasks} tasks there"
        problems.append(Problem("trainer.devices", message, f"Use hydra.launcher.tasks_per_node={devices}"))
    named = any(
        option.replace("_", "-").startswith(("gres", "gpus", "tres", "exclusive")) for option in launcher.sbatch
    )
    gpus = launcher.gpus_per_node
    if trainer.get("accelerator") == "gpu" and not named and devices > (gpus or 0):
        has = "no GPU" if not gpus else f"{gpus}"
        message = f"training takes {devices} GPUs a node, and its SLURM job has {has} (hydra.launcher.gpus_per_node)"
        problems.append(Problem("trainer.devices", message, f"Use hydra.launcher.gpus_per_node={devices}"))
    return problems


def _shards(launcher: LauncherConfig, configs: Sequence[Values]) -> list[Problem]:
    """Shards that wait for others which cannot start before they end."""
    groups = [_waits_with(config.get("sampler") or {}, config) for config in configs]
    local = isinstance(launcher, LocalLauncherConfig)
    slots = max(1, launcher.n_jobs) if isinstance(launcher, LocalLauncherConfig) else launcher.max_parallel
    if not _stuck(groups, slots):
        return []
    enough = next(count for count in range(slots + 1, len(configs) + 1) if not _stuck(groups, count))
    message = f"shards of one sampling wait for each other, and {slots} jobs run at a time, so that some never start"
    field = "n_jobs" if local else "max_parallel"
    hint = f"Use {'hydra/launcher=local ' if local else ''}hydra.launcher.{field}={enough}"
    return [Problem("sampler.shard", message, f"{hint}, or sampler.shard_wait=0")]


def _waits_with(sampler: Values, config: Values) -> str | None:
    """What the shards of one sampling have in common; None for a job that waits for no other."""
    if sampler.get("shard") is None or sampler.get("shard_wait") is not None:
        return None
    return json.dumps({**config, "sampler": {**sampler, "shard": None}}, sort_keys=True, default=str)


def _stuck(groups: Sequence[str | None], slots: int) -> bool:
    """Whether jobs that start in order, so many at a time, come to wait for one that never starts."""
    sizes = Counter(groups)
    running: Counter[str | None] = Counter()
    for group in groups:
        if running.total() == slots:
            return True  # all of them wait
        running[group] += 1
        if group is None or running[group] == sizes[group]:
            del running[group]  # they end
    return False
