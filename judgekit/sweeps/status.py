"""How the jobs of a sweep are, from its files and from SLURM where it answers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from judgekit.locks import alive
from judgekit.sweep_folder import Event, Sweep, SweepJob, history
from judgekit.sweeps import slurm

State = Literal[
    "never started", "queued", "running", "pre-empted", "done", "failed", "timed out", "cancelled", "killed",
    "interrupted",
]  # fmt: skip
ENDED_BADLY: frozenset[State] = frozenset({"failed", "timed out", "killed"})
"""States whose detail is why."""
ACTIVE: frozenset[State] = frozenset({"queued", "running", "pre-empted"})
"""States of jobs that go on by themselves."""


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How a job is.

    :param detail: the stage it is at, or why it ended
    :param attempts: how often it was started since it was last submitted
    :param seconds: since its last attempt began, or how long that took; None where it has not begun
    :param node: where it ran last
    """

    job: SweepJob
    state: State
    detail: str = ""
    attempts: int = 0
    seconds: float | None = None
    node: str = ""


def statuses(sweep: Sweep) -> list[JobStatus]:
    """Every job of a sweep."""
    ids = [job.ids[-1] for job in sweep.jobs if job.ids]
    queue = slurm.queue(ids) if ids else {}
    found = [job_status(sweep, job, queue) for job in sweep.jobs]
    if queue is not None and any(status.state == "never started" and status.job.ids for status in found):
        # A controller that reads its configuration anew answers, and for a moment knows no job that waits.
        time.sleep(LOOK_AGAIN_SECONDS)
        queue = slurm.queue(ids)
        found = [job_status(sweep, job, queue) for job in sweep.jobs]
    return found


LOOK_AGAIN_SECONDS = 2.0
"""Before a job that waited is believed to be gone, which could be submitted twice otherwise."""


def job_status(sweep: Sweep, job: SweepJob, queue: Mapping[str, str] | None) -> JobStatus:
    """One job.

    :param queue: SLURM's states by id; None when it does not answer
    """
    events = history(sweep.files(job).events)
    state, detail = _state(sweep, job, events, queue)
    attempts = [event for event in events if event["event"] == "started"]
    if not attempts:
        return JobStatus(job, state, detail)
    began, last = attempts[-1], events[-1]
    until = datetime.now(UTC) if state == "running" else datetime.fromisoformat(last["time"])
    seconds = (until - datetime.fromisoformat(began["time"])).total_seconds()
    known = state == "running" or last is not began  # a killed job does not say when
    return JobStatus(job, state, detail, len(attempts), seconds if known else None, str(began.get("host", "")))


def _state(sweep: Sweep, job: SweepJob, events: list[Event], queue: Mapping[str, str] | None) -> tuple[State, str]:
    last = events[-1] if events else {"event": "none"}
    finished = sweep.run(job).is_finished(job.config_digest)
    if finished and alive(sweep.files(job).holder):
        return "running", "report"
    if finished or last.get("status") == "finished":
        return "done", ""
    told = (queue or {}).get(job.ids[-1]) if job.ids else None
    # A job that failed because its node went, and that SLURM has queued again by itself.
    again = last["event"] == "ended" and slurm.STATES.get(told or "") == "queued"
    return (None if again else _ended(last)) or _going(sweep, job, events, queue)


def _ended(last: Event) -> tuple[State, str] | None:
    """What the job itself, or who cancelled it, noted at last."""
    if last["event"] == "cancelled":
        return "cancelled", "by judgekit sweep cancel"
    if last["event"] != "ended":
        return None
    return last["status"], _line(last.get("error", ""))


def _going(sweep: Sweep, job: SweepJob, events: list[Event], queue: Mapping[str, str] | None) -> tuple[State, str]:
    """A job that has not said how it ended."""
    started = any(event["event"] == "started" for event in events)
    if alive(sweep.files(job).holder):
        return "running", progress(sweep, job)
    if not job.ids:
        return ("killed", "ended without a word") if started else ("never started", "")
    if queue is None:
        unknown = "SLURM does not answer"
        return ("killed", f"shows no life; {unknown}") if started else ("queued", unknown)
    told = queue.get(job.ids[-1])
    return _by_slurm(sweep, job, told or slurm.evidence(sweep, job), events, started)


def _by_slurm(sweep: Sweep, job: SweepJob, told: str | None, events: list[Event], started: bool) -> tuple[State, str]:
    if told is None:
        return ("killed", "SLURM knows it no more") if started else ("never started", "SLURM knows it no more")
    state: Any = slurm.STATES.get(told, "killed")
    if state == "queued" and started:
        said = events[-1]["event"] == "requeued"
        return "pre-empted", "stopped in order, queued again" if said else "queued again"
    if state == "running":
        return "running", progress(sweep, job) if started else "starting"
    if state == "failed" and started:
        return "killed", "ended without a word"
    lines = [line for path in slurm.output_files(sweep, job) for line in slurm.tail(path) if line.strip()]
    return state, told.lower().replace("_", " ") + (f": {_line(lines[-1])}" if lines and state == "failed" else "")


def progress(sweep: Sweep, job: SweepJob) -> str:
    """The stage a running job is at, and how far it is with it."""
    manifest = sweep.run(job).known_manifest()
    if manifest.get("status") != "running":
        return "starting"
    stage, done = manifest.get("current_stage"), manifest.get("progress")
    if not stage:
        return f"{len(manifest['stages'])} stages done"
    if not done:
        return str(stage)
    return f"{stage}: " + (f"{done['done']}/{done['total']}" if done["total"] else f"step {done['done']}")


def _line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def summary(found: Iterable[JobStatus]) -> str:
    """How many jobs are in which state."""
    counts = Counter(status.state for status in found)
    return ", ".join(f"{count} {state}" for state, count in counts.most_common()) or "no jobs"
