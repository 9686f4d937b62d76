from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from judgekit.schema.config import RunConfig
from judgekit.schema.launchers import SlurmLauncherConfig
from judgekit.store import write_json_atomic
from judgekit.sweep_folder import Sweep, SweepJob, config_digest, history, note
from judgekit.sweeps.status import job_status, statuses, summary
from tests.sweeps.jobs import finish

CONFIG = RunConfig()
ERROR = "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01T00:00:00 {} ***\n"
SUBMITTED, STARTED, REQUEUED = ({"event": name} for name in ("submitted", "started", "requeued"))


def ended(status: str, error: str = "") -> dict[str, str]:
    return {"event": "ended", "status": status, "error": error}


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    (tmp_path / "jobs" / "slurm").mkdir(parents=True)
    job = SweepJob(0, ["seed=1"], "0-run", config_digest(CONFIG), ["11_4", "12_0"])
    return Sweep(tmp_path, "s", "", SlurmLauncherConfig(), (job,))


def tell(sweep: Sweep, *events: dict[str, Any]) -> Path:
    path = sweep.files(sweep.jobs[0]).events
    for event in events:
        note(path, **event)
    return path


def hold(sweep: Sweep, pid: int, host: str | None = None, age: float = 0.0) -> None:
    path = sweep.files(sweep.jobs[0]).holder
    path.write_text(json.dumps({"pid": pid, "host": host or socket.gethostname(), "since": ""}))
    moment = path.stat().st_mtime - age
    os.utime(path, (moment, moment))


@pytest.mark.parametrize(
    ("events", "queue", "log", "expected"),
    [
        ([SUBMITTED], {"12_0": "PENDING"}, "", ("queued", "pending")),
        ([SUBMITTED], {"12_0": "RUNNING"}, "", ("running", "starting")),
        ([SUBMITTED], {"11_4": "RUNNING"}, "", ("never started", "SLURM knows it no more")),
        ([SUBMITTED], None, "", ("queued", "SLURM does not answer")),
        ([SUBMITTED], {"12_0": "CANCELLED"}, "", ("cancelled", "cancelled")),
        ([SUBMITTED], {}, ERROR.format(""), ("cancelled", "cancelled")),
        ([SUBMITTED], {"12_0": "NODE_FAIL"}, "", ("killed", "node fail")),
        ([SUBMITTED], {"12_0": "FAILED"}, "no module named torch\n", ("failed", "failed: no module named torch")),
        ([SUBMITTED, STARTED], {"12_0": "TIMEOUT"}, "", ("timed out", "timeout")),
        ([SUBMITTED, STARTED], {}, ERROR.format("DUE TO TIME LIMIT"), ("timed out", "timeout")),
        ([SUBMITTED, STARTED], {"12_0": "OUT_OF_MEMORY"}, "", ("killed", "out of memory")),
        ([SUBMITTED, STARTED], {}, "", ("killed", "SLURM knows it no more")),
        ([SUBMITTED, STARTED], {"12_0": "FAILED"}, "12/40 samples\n", ("killed", "ended without a word")),
        ([SUBMITTED, STARTED], None, "", ("killed", "shows no life; SLURM does not answer")),
        ([SUBMITTED, STARTED], {"12_0": "PENDING"}, "", ("pre-empted", "queued again")),
        ([SUBMITTED, STARTED, REQUEUED], {"12_0": "REQUEUED"}, "", ("pre-empted", "stopped in order, queued again")),
        ([SUBMITTED, STARTED, ended("failed", "one\nbad.jsonl, line 2: missing\n")], {}, "",
         ("failed", "bad.jsonl, line 2: missing")),
        ([SUBMITTED, STARTED, ended("timed out", "too often")], {"12_0": "RUNNING"}, "", ("timed out", "too often")),
        ([SUBMITTED, STARTED, ended("failed", "a worker died")], {"12_0": "PENDING"}, "",
         ("pre-empted", "queued again")),
        ([SUBMITTED, STARTED, ended("interrupted")], {}, "", ("interrupted", "")),
        ([SUBMITTED, STARTED, ended("finished")], {"12_0": "COMPLETED"}, "", ("done", "")),
        ([SUBMITTED, STARTED, {"event": "cancelled"}], {"12_0": "RUNNING"}, "",
         ("cancelled", "by judgekit sweep cancel")),
        ([SUBMITTED, STARTED, ended("failed", "old"), SUBMITTED], {"12_0": "PENDING"}, "", ("queued", "pending")),
    ],
)  # fmt: skip
def test_states(
    sweep: Sweep,
    events: list[dict[str, Any]],
    queue: dict[str, str] | None,
    log: str,
    expected: tuple[str, str],
) -> None:
    tell(sweep, *events)
    (sweep.slurm / "12_0_0_log.err").write_text(log)
    status = job_status(sweep, sweep.jobs[0], queue)
    assert (status.state, status.detail) == expected


def test_a_finished_run_is_done_whatever_else_is_said(sweep: Sweep) -> None:
    tell(sweep, SUBMITTED, STARTED)
    finish(CONFIG, sweep.folder / "0-run")
    assert job_status(sweep, sweep.jobs[0], {"12_0": "RUNNING"}).state == "done"
    hold(sweep, os.getpid())
    assert job_status(sweep, sweep.jobs[0], {}).detail == "report", "what comes after the numbers"
    sweep.files(sweep.jobs[0]).holder.unlink()
    finish(RunConfig(seed=9), sweep.folder / "0-run")
    assert job_status(sweep, sweep.jobs[0], {"12_0": "RUNNING"}).state == "running"


@pytest.mark.parametrize(
    ("manifest", "detail"),
    [
        ({}, "starting"),
        ({"status": "finished"}, "starting"),
        ({"status": "running", "stages": [{}, {}]}, "2 stages done"),
        ({"status": "running", "stages": [], "current_stage": "pairs/d1"}, "pairs/d1"),
        (
            {"status": "running", "stages": [], "current_stage": "chains/d1", "progress": {"done": 3, "total": 9}},
            "chains/d1: 3/9",
        ),
        (
            {"status": "running", "stages": [], "current_stage": "train/sft", "progress": {"done": 3, "total": None}},
            "train/sft: step 3",
        ),
    ],
)
def test_a_running_job_says_where_it_is(sweep: Sweep, manifest: dict[str, Any], detail: str) -> None:
    tell(sweep, SUBMITTED, STARTED)
    hold(sweep, os.getpid())
    (sweep.folder / "0-run").mkdir()
    write_json_atomic(sweep.folder / "0-run" / "manifest.json", manifest)
    # Files suffice: the queue is not needed.
    status = job_status(sweep, sweep.jobs[0], None)
    assert (status.state, status.detail, status.attempts) == ("running", detail, 1)


@pytest.mark.parametrize(
    ("host", "age", "running"), [("elsewhere", 10.0, True), ("elsewhere", 90.0, False), (None, 90.0, False)]
)
def test_a_job_is_alive_while_it_shows_life(sweep: Sweep, host: str | None, age: float, running: bool) -> None:
    tell(sweep, SUBMITTED, STARTED)
    hold(sweep, os.getpid(), host, age)
    assert (job_status(sweep, sweep.jobs[0], {}).state == "running") is running


def test_a_dead_process_of_this_machine_is_known_at_once(sweep: Sweep) -> None:
    tell(sweep, SUBMITTED, STARTED)
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    hold(sweep, pid)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert job_status(sweep, sweep.jobs[0], {}).state == "killed", "a zombie does not run"
    os.waitpid(pid, 0)
    assert job_status(sweep, sweep.jobs[0], {}).state == "killed"


def test_only_the_last_submission_counts_and_torn_lines_do_not(sweep: Sweep) -> None:
    path = tell(sweep, SUBMITTED, STARTED, REQUEUED, STARTED, ended("failed", "x"), SUBMITTED, STARTED)
    with path.open("a") as file:
        file.write('{"event": "ended", "sta')
    assert [event["event"] for event in history(path)] == ["submitted", "started"]


def test_the_queue_is_asked_for_last_ids_only(sweep: Sweep, cluster: Path) -> None:
    tell(sweep, SUBMITTED)
    (cluster / "squeue.says").write_text("12_0|PENDING\n11_4|RUNNING\n")
    found = statuses(sweep)
    assert [status.state for status in found] == ["queued"]
    assert "--jobs=12 " in (cluster / "squeue.asked").read_text()
    assert summary(found) == "1 queued"
