"""``hydra/launcher``: how the jobs of a multirun are started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from judgekit.schema.fields import setting


@dataclass(frozen=True)
class LocalLauncherConfig:
    """``hydra/launcher=local``: on this machine."""

    name: Literal["local"] = setting("local", "launcher")
    n_jobs: int = setting(1, "jobs at a time; 1: one after another in this process", ge=1)


@dataclass(frozen=True)
class SlurmLauncherConfig:
    """``hydra/launcher=slurm``: as an array of SLURM jobs."""

    name: Literal["slurm"] = setting("slurm", "launcher")
    partition: str | None = setting(None, "partition; null: the cluster's default")
    account: str | None = setting(None, "account to charge")
    qos: str | None = setting(None, "quality of service")
    constraint: str | None = setting(None, "features the nodes must have")
    nodes: int = setting(1, "nodes of a job; as trainer.nodes", ge=1)
    tasks_per_node: int = setting(1, "SLURM tasks per node; more than one only for trainer.nodes above 1", ge=1)
    gpus_per_node: int | None = setting(None, "GPUs per node", ge=0)
    cpus_per_task: int | None = setting(None, "CPUs per task", ge=1)
    memory: float | None = setting(None, "memory per node, GB; null: the cluster's default", gt=0)
    minutes: int = setting(60, "time limit of a job", ge=1)
    max_parallel: int = setting(32, "jobs of the array that run at the same time, at most", ge=1)
    max_timeouts: int = setting(3, "how often a job that reaches its time limit is queued again and resumes", ge=0)
    signal_seconds: int = setting(90, "how long before the time limit a job is told to stop", ge=1)
    setup: list[str] = setting(
        [], "shell lines that come before the job, such as module load cuda; one that fails ends it"
    )
    srun_args: list[str] = setting([], "start the job through srun with these arguments; empty: without srun")
    container: str | None = setting(None, "command the job runs inside of, such as apptainer exec --nv judge.sif")
    python: str | None = setting(None, "Python of the jobs; null: the one that submits")
    sbatch: dict[str, str | None] = setting({}, "further options of sbatch, by their long names; null: without one")
    wait: bool = setting(False, "wait for the jobs and show them; false: submit and return")


LauncherConfig = LocalLauncherConfig | SlurmLauncherConfig
"""Union of the launchers' dataclasses."""

LAUNCHERS: dict[str, type[LauncherConfig]] = {"local": LocalLauncherConfig, "slurm": SlurmLauncherConfig}
