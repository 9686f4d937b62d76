"""Submitting the jobs of a sweep to SLURM as an array.

submitit alone owns queueing again: SLURM sends its signal some time before the limit, submitit asks the job
(``SlurmJob.checkpoint``) and calls ``scontrol requeue``. Training is told to leave the signal alone.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from judgekit.errors import StageError
from judgekit.schema.launchers import SlurmLauncherConfig
from judgekit.sweep_folder import Sweep, SweepJob
from judgekit.sweeps.job import SlurmJob


def submit(sweep: Sweep, jobs: Sequence[SweepJob], config: SlurmLauncherConfig) -> list[str]:
    """Submit jobs as one array.

    :return: their SLURM ids
    :raises StageError: when SLURM is not there or refuses
    """
    from submitit import SlurmExecutor
    from submitit.core.utils import FailedSubmissionError, UncompletedJobError

    folder = sweep.slurm
    try:
        executor = SlurmExecutor(folder, max_num_timeout=config.max_timeouts, python=python_command(config))
    except RuntimeError as error:
        raise StageError("There is no SLURM on this machine (no srun). Use hydra/launcher=local.") from error
    executor.update_parameters(job_name=sweep.name, **parameters(config))
    try:
        # submitit prints what sbatch said, and raises it as well.
        with contextlib.redirect_stderr(io.StringIO()), executor.batch():
            submitted = [executor.submit(SlurmJob(sweep.folder, job.num)) for job in jobs]
    except (FailedSubmissionError, UncompletedJobError, OSError) as error:
        raise StageError(
            f"SLURM refused the jobs: {refusal(error)}. Check hydra.launcher and give the same command again."
        ) from error
    return [str(job.job_id) for job in submitted]


def refusal(error: BaseException) -> str:
    """What ``sbatch`` said."""
    found = re.findall(r"sbatch: error: (.*)", str(error))
    return "; ".join(line.strip().rstrip(".") for line in found) or " ".join(str(error).split())


def python_command(config: SlurmLauncherConfig) -> str:
    """How the batch script starts Python.

    Without srun the shell makes way for it (``exec``), so that SLURM's signal to the script reaches it.
    """
    python = shlex.quote(config.python or sys.executable)
    inside = f"{config.container} {python}" if config.container else python
    return inside if config.srun_args else f"exec {inside}"


def parameters(config: SlurmLauncherConfig) -> dict[str, Any]:
    """Our settings in submitit's words."""
    asked: dict[str, Any] = {"requeue": True, **config.sbatch}
    more = {option: value for option, value in asked.items() if value is not None}
    if not config.srun_args:
        more["signal"] = f"B:USR2@{config.signal_seconds}"
    values: dict[str, Any] = {
        "partition": config.partition,
        "account": config.account,
        "qos": config.qos,
        "constraint": config.constraint,
        "nodes": config.nodes,
        "ntasks_per_node": config.tasks_per_node,
        "gpus_per_node": config.gpus_per_node,
        "cpus_per_task": config.cpus_per_task,
        "mem": None if config.memory is None else f"{round(config.memory * 1024)}M",
        "time": config.minutes,
        "array_parallelism": config.max_parallel,
        "signal_delay_s": config.signal_seconds,
        # A line that fails ends the job, which would find out much later what is missing.
        "setup": ["set -e", *config.setup, "set +e"] if config.setup else None,
        "use_srun": bool(config.srun_args),
        # The run is one process, whatever the job has for its training.
        "srun_args": ["--nodes=1", "--ntasks=1", *config.srun_args] if config.srun_args else None,
        "additional_parameters": more,
    }
    # submitit has a wckey of its own, which clusters that check them refuse.
    return {name: value for name, value in values.items() if value is not None} | {"wckey": None}
