"""Training in several processes: starting them, listening to them, and ending them together.

The process that runs the recipe takes no part in the training itself. It starts one worker per device, in an
interpreter of its own that runs ``judgekit.training.worker`` and nothing else, so neither the command line nor a grid
of runs is entered twice. On one node workers are its children; on several they are one ``srun`` step of the job.

Workers write JSON lines to standard output: every step and checkpoint from the first of them, an error from any. They
read a line from standard input when a checkpoint has been judged, and end when standard input does, so that none
outlives this process. What else they print is kept in ``rank-N.log`` in the stage's work folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from judgekit.errors import JudgekitError, ModelError, StageError
from judgekit.training.fitting import Listener
from judgekit.training.training_job import TrainingJob

Lines = queue.Queue[bytes | None]
GO, STOP = "go", "stop"
_WORKER = [sys.executable, "-P", "-m", "judgekit.training.worker"]
_POLL_SECONDS = 0.5
_GRACE_SECONDS = 10.0
_ERRORS: dict[str, type[JudgekitError]] = {"StageError": StageError, "ModelError": ModelError}


def run_ranks(job: TrainingJob, listener: Listener) -> None:
    """Run a job's processes until all have ended.

    :raises StageError: a process failed, or the nodes asked for are not there
    """
    job.work.mkdir(parents=True, exist_ok=True)
    path = job.work.absolute() / "job.json"
    job.write(path)
    for log in job.work.glob("rank-*.log"):
        log.unlink()
    with _workers(job, path) as (workers, lines):
        for message in _messages(job, workers, lines):
            if "error" in message:
                raise _ERRORS.get(message["kind"], StageError)(message["error"])
            if "crash" in message:
                raise _death(job, workers, message["crash"])
            if "series" in message:
                listener.on_step(message["step"], message["series"])
            else:
                _answer(workers, STOP if listener.on_saved(message["step"]) else GO)


@contextlib.contextmanager
def _workers(job: TrainingJob, path: Path) -> Iterator[tuple[list[subprocess.Popen[bytes]], Lines]]:
    """The processes (or the one ``srun`` that has them) and what they write; none is left at the end."""
    reading, writing = os.pipe()
    workers: list[subprocess.Popen[bytes]] = []
    try:
        try:
            start = _start_step if job.trainer.nodes > 1 else _start_children
            start(job, path, writing, workers)
        finally:
            os.close(writing)
        lines: Lines = queue.Queue()
        threading.Thread(target=_read, args=(reading, lines), daemon=True).start()
        yield workers, lines
    finally:
        for worker in workers:
            _end(worker)


def _read(reading: int, lines: Lines) -> None:
    """Pass lines on until nobody is left to write any, which None says."""
    with open(reading, "rb") as file:
        for line in file:
            lines.put(line)
    lines.put(None)


def _start_children(job: TrainingJob, path: Path, writing: int, workers: list[subprocess.Popen[bytes]]) -> None:
    """One process per device of this node."""
    shared = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    for rank in range(job.trainer.devices):
        own = shared | {"LOCAL_RANK": str(rank), "NODE_RANK": "0"}
        with (job.work / f"rank-{rank}.log").open("wb") as log:
            command = [*_WORKER, str(path)]
            workers.append(_start(command, own, writing, log))


def _start_step(job: TrainingJob, path: Path, writing: int, workers: list[subprocess.Popen[bytes]]) -> None:
    """One step of the SLURM job, with a process per device of every node."""
    nodes, devices = job.trainer.nodes, job.trainer.devices
    if shutil.which("srun") is None or "SLURM_JOB_ID" not in os.environ:
        raise StageError(
            f"{job.stage}: training on {nodes} nodes needs a SLURM job that has them, and this is none. Submit the run "
            "with as many nodes and one task, or set trainer.nodes=1."
        )
    held = int(os.environ.get("SLURM_JOB_NUM_NODES", os.environ.get("SLURM_NNODES", "1")))
    if held < nodes:
        raise StageError(f"{job.stage}: the SLURM job has {held} nodes. Set trainer.nodes={held} (now {nodes}).")
    command = [
        "srun",
        f"--nodes={nodes}",
        f"--ntasks={nodes * devices}",
        f"--ntasks-per-node={devices}",
        "--kill-on-bad-exit=1",
        "--overlap",  # the run itself may be a step that holds the job's resources
        "--unbuffered",
        f"--error={job.work.absolute() / 'rank-%t.log'}",
        *_WORKER,
        str(path),
    ]
    with (job.work / "rank-all.log").open("wb") as log:
        workers.append(_start(command, dict(os.environ), writing, log))


def _start(command: list[str], environment: dict[str, str], writing: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches the run alone, which then ends its workers in order.
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=writing, stderr=log, env=environment, start_new_session=True
    )


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


def _messages(job: TrainingJob, workers: list[subprocess.Popen[bytes]], lines: Lines) -> Iterator[dict[str, Any]]:
    """What the workers say, until all have ended.

    :raises StageError: one ended without a word
    """
    failed = False
    while True:
        try:
            line = lines.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            # What a worker wrote before it ended arrives before the next look.
            if failed:
                raise _death(job, workers) from None
            failed = any(worker.poll() for worker in workers)
            continue
        if line is None:
            break
        message: dict[str, Any] = json.loads(line)
        yield message
    if any([worker.wait() for worker in workers]):
        raise _death(job, workers)


def _death(job: TrainingJob, workers: list[subprocess.Popen[bytes]], told: str = "") -> StageError:
    """The error for processes that ended for a reason nobody foresaw.

    :param told: what one of them said; it may only have noticed that another was gone
    """
    time.sleep(_POLL_SECONDS)
    codes = {rank: code for rank, worker in enumerate(workers) if (code := worker.poll())}
    killed = {rank: code for rank, code in codes.items() if code < 0}
    ended = "; ".join(f"process {rank} of {job.processes} ended with code {code}" for rank, code in killed.items())
    logs = ", ".join(str(path) for path in sorted(job.work.glob("rank-*.log")) if path.stat().st_size)
    return StageError(
        f"{job.stage}: {ended or told or f'processes ended with codes {list(codes.values())}'}. Finished steps up to "
        f"the last checkpoint are kept; the same command goes on from there.{f' More in {logs}.' if logs else ''}"
    )


def _answer(workers: list[subprocess.Popen[bytes]], word: str) -> None:
    """Tell every worker; one that has just died is noticed elsewhere."""
    for worker in workers:
        assert worker.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            worker.stdin.write(f"{word}\n".encode())
            worker.stdin.flush()


def _end(worker: subprocess.Popen[bytes]) -> None:
    """End a process and wait for it."""
    if worker.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            worker.stdin.close()
    if worker.poll() is None:
        worker.terminate()
    try:
        worker.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()
