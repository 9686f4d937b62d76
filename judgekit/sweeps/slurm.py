"""SLURM: asking the queue about the jobs of a sweep, and ending them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from judgekit.errors import StageError
from judgekit.sweep_folder import Sweep, SweepJob

_ANSWER_SECONDS = 30.0
_EVIDENCE = {
    "DUE TO TIME LIMIT": "TIMEOUT",
    "DUE TO PREEMPTION": "PREEMPTED",
    "DUE TO NODE FAILURE": "NODE_FAIL",
    "oom_kill": "OUT_OF_MEMORY",
    "oom-kill": "OUT_OF_MEMORY",
    "CANCELLED AT": "CANCELLED",
}
"""What slurmstepd writes into a job's output when it ends it, the telling ones first."""


def queue(ids: Iterable[str]) -> dict[str, str] | None:
    """What SLURM says of jobs: their states by id, those it has forgotten left out.

    The queue knows the running ones and for some minutes those that ended; accounting, where there is any, the rest.

    :return: None when SLURM does not answer
    """
    wanted = set(ids)
    mains = ",".join(sorted({item.partition("_")[0] for item in wanted}))
    if not mains:
        return {}
    text = _ask(["squeue", "--noheader", "--array", "--states=all", f"--jobs={mains}", "--format=%i|%T"])
    if text is None:
        return None
    found = _pairs(text)
    if wanted - found.keys():
        format_ = ["--allocations", "--noheader", "--parsable2", "--format=JobID,State"]
        found = _pairs(_ask(["sacct", *format_, f"--jobs={mains}"]) or "") | found
    return {item: state for item, state in found.items() if item in wanted}


def _ask(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode == 0 or "Invalid job id" in done.stderr:
        return done.stdout
    return None


def _pairs(text: str) -> dict[str, str]:
    lines = (line.partition("|") for line in text.splitlines())
    return {item.strip(): state.split()[0] for item, _, state in lines if state.strip()}


def cancel(ids: Sequence[str]) -> None:
    """End jobs.

    :raises StageError: when SLURM refuses
    """
    if not ids:
        return
    try:
        done = subprocess.run(["scancel", *ids], capture_output=True, text=True, timeout=_ANSWER_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StageError(f"scancel does not work here: {error}. Cancel on a node of the cluster.") from error
    if done.returncode != 0 and "Invalid job id" not in done.stderr:
        raise StageError(f"scancel refused: {' '.join(done.stderr.split())}")


def output_files(sweep: Sweep, job: SweepJob) -> list[Path]:
    """What the job's last submission printed: errors, then the rest."""
    if not job.ids:
        return []
    return [sweep.slurm / f"{job.ids[-1]}_0_log.{ending}" for ending in ("err", "out")]


def evidence(sweep: Sweep, job: SweepJob) -> str | None:
    """How SLURM ended a job, as its output tells where the queue has forgotten it; a state's name or None."""
    for path in output_files(sweep, job):
        # Of several attempts in one file the last counts.
        for line in reversed(tail(path)):
            if "slurmstepd" in line or "oom" in line:
                for mark, state in _EVIDENCE.items():
                    if mark in line:
                        return state
    return None


def tail(path: Path, size: int = 8192) -> list[str]:
    """The last lines of a file; none when it is not there."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size))
            return file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []


STATES: Mapping[str, str] = {
    "PENDING": "queued", "CONFIGURING": "queued", "REQUEUED": "queued", "REQUEUE_HOLD": "queued",
    "REQUEUE_FED": "queued", "SPECIAL_EXIT": "queued", "RESV_DEL_HOLD": "queued",
    "RUNNING": "running", "COMPLETING": "running", "SUSPENDED": "running", "STOPPED": "running",
    "RESIZING": "running", "SIGNALING": "running", "STAGE_OUT": "running",
    "CANCELLED": "cancelled", "TIMEOUT": "timed out", "DEADLINE": "timed out", "PREEMPTED": "killed",
    "NODE_FAIL": "killed", "BOOT_FAIL": "killed", "OUT_OF_MEMORY": "killed", "FAILED": "failed",
    "REVOKED": "killed", "COMPLETED": "killed",
}  # fmt: skip
"""SLURM's states in our words; a job that SLURM calls completed without having said so itself was killed, and so was
one that it calls pre-empted: the others are queued again."""
