"""Programs that tests start as processes of their own, to run side by side or to be killed.

``python -m tests.processes PROGRAM JSON_ARGUMENTS``
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock

from judgekit import locks
from judgekit.rows import Demonstration, write_rows
from judgekit.sampling import cache as cache_module
from judgekit.sampling.base import Request, SamplingParams
from judgekit.sampling.cache import GenerationCache
from judgekit.sampling.session import sample_all
from judgekit.store import Artifact, Store, Workspace
from tests.helpers import ScriptedSampler

PROJECT = Path(__file__).resolve().parents[1]


def start(program: str, **arguments: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.processes", program, json.dumps(arguments, default=str)]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str], timeout: float = 60) -> dict[str, Any]:
    """What the program printed; fails when it did not end well."""
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, err
    result: dict[str, Any] = json.loads(out)
    return result


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def build(
    root: str, log: str, hold: float = 0.0, marker_lock: bool = False, worker: bool = False, stale: float = 45.0
) -> dict[str, Any]:
    """Build one stage that takes ``hold`` seconds; with ``worker`` a forked process stays around meanwhile.

    :param stale: seconds without a sign of life after which a lock is taken over
    """
    vars(locks).update(BEAT_SECONDS=stale / 10, STALE_SECONDS=stale)
    if marker_lock:
        vars(locks)["FileLock"] = filelock.SoftFileLock

    def write(workspace: Workspace) -> None:
        if worker:
            forked = multiprocessing.get_context("fork").Process(target=time.sleep, args=(30,))
            forked.start()
        with Path(log).open("a") as file:
            file.write(f"{forked.pid if worker else os.getpid()}\n")
        (workspace.path / "half.txt").write_text("half")
        time.sleep(hold)
        (workspace.path / "half.txt").write_text("whole")

    artifact = Store(Path(root)).stage("slow", 1, {}, [], write)
    return {"reused": artifact.reused, "text": artifact.file("half.txt").read_text()}


def sample_stage(root: Path, sampler: ScriptedSampler) -> Artifact:
    """Twelve samples of five prompts, written as rows: in five batches of at most three, the last one alone."""
    params = SamplingParams(temperature=0.8, top_p=0.95, max_new_tokens=8, seed=3)
    requests = [Request(f"r{i}", tuple(range(i + 2)), params, samples=tuple(range(3 - i % 2))) for i in range(5)]

    def write(workspace: Workspace) -> None:
        samples = sample_all(sampler, GenerationCache(root, "f" * 64), requests, workspace=workspace)
        rows = [Demonstration(f"{name}-{index}", (), value.text) for (name, index), value in samples.items()]
        workspace.count(rows=write_rows(workspace.path / "rows.jsonl", rows))

    return Store(root).stage("samples", 1, {}, [], write)


def sample(root: str, log: str, die_at: str = "", batch: int = 0, pause: float = 0.0) -> dict[str, Any]:
    """Run ``sample_stage``; killed ``before``, ``within`` or ``after`` writing a batch, or at the ``rename``."""
    put = GenerationCache.put_batch
    calls = []

    def put_batch(self: GenerationCache, rows: Any) -> None:
        calls.append(rows)
        now = len(calls) == batch + 1
        if now and die_at == "before":
            die()
        if now and die_at == "within":
            vars(cache_module)["_write_all"] = write_half
        put(self, rows)
        if now and die_at == "after":
            die()

    def write_half(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[: len(data) // 2])
        die()

    GenerationCache.put_batch = put_batch  # type: ignore[method-assign]
    if die_at == "rename":
        Path.rename = lambda self, target: die()  # type: ignore[method-assign,assignment,return-value]
    artifact = sample_stage(Path(root), ScriptedSampler(batch_size=3, entangled=True, log=Path(log), pause=pause))
    return {"reused": artifact.reused}


def put_many(root: str, batches: int, first: int) -> dict[str, Any]:
    """Append many batches of two generations each to the cache."""
    sampler = ScriptedSampler()
    cache = GenerationCache(Path(root), "f" * 64)
    params = SamplingParams(0.0, 1.0, 8)
    for number in range(first, first + batches):
        request = Request("r", (number,), params, samples=(0, 1))
        keys = cache.keys_of(request.prompt_ids, params, request.samples)
        generations = sampler.run([request], ((0, 0), (0, 1)))
        cache.put_batch(list(zip(keys, generations, strict=True)))
    return {"known": len(cache)}


PROGRAMS: dict[str, Callable[..., dict[str, Any]]] = {"build": build, "sample": sample, "put_many": put_many}

if __name__ == "__main__":
    print(json.dumps(PROGRAMS[sys.argv[1]](**json.loads(sys.argv[2]))))
