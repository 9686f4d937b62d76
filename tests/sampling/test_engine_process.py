"""Engine processes: answers, deaths and what is left behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from judgekit.sampling.engine_process import EngineDied, EngineProcess, wait_for_any
from tests.sampling.echo_engine import DIE, HANG

MODULE = "tests.sampling.echo_engine"


@pytest.fixture
def engine() -> Iterator[EngineProcess]:
    started = EngineProcess(MODULE, {}, {})
    started.wait_until_ready(60)
    yield started
    started.close()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def receive(engine: EngineProcess, count: int) -> list[Any]:
    found: list[Any] = []
    while len(found) < count:
        found += engine.receive()
    return found


def test_commands_are_answered_however_long(engine: EngineProcess) -> None:
    for ticket in range(20):
        engine.send({"ticket": ticket, "prompt": list(range(5, 30_005))})
    answers = receive(engine, 20)
    assert [answer["ticket"] for answer in answers] == list(range(20))
    assert all(len(answer["ids"]) == 30_000 for answer in answers)


def test_a_clean_end_leaves_neither_process_nor_log(engine: EngineProcess) -> None:
    log, pid = engine.log, engine.process.pid
    again = EngineProcess(MODULE, {}, {})
    again.wait_until_ready(60)
    again.close()
    assert not again.log.exists() and not alive(again.process.pid)
    assert log.exists() and alive(pid)


def test_a_death_quotes_the_last_lines_and_keeps_the_log() -> None:
    engine = EngineProcess(MODULE, {}, {})
    engine.wait_until_ready(60)
    engine.send({"ticket": 1, "prompt": [DIE]})
    with pytest.raises(EngineDied) as caught:
        receive(engine, 1)
    told = str(caught.value)
    assert "SIGKILL (killed from outside, or out of memory)" in told and str(engine.process.pid) in told
    assert "loading weights\n  CUDA error: something is wrong" in told and str(engine.log) in told
    engine.close()
    assert engine.log.exists()
    engine.log.unlink()


def test_an_engine_that_does_not_start_says_why() -> None:
    engine = EngineProcess(MODULE, {"fail": True}, {})
    with pytest.raises(EngineDied, match="exit code 1.*\n.*\n  no memory left"):
        engine.wait_until_ready(60)
    engine.close()
    engine.log.unlink()


def test_an_engine_that_takes_too_long_is_given_up() -> None:
    engine = EngineProcess(MODULE, {"slow": 60}, {})
    with pytest.raises(EngineDied, match="not ready within 1 s"):
        engine.wait_until_ready(1)
    engine.close()
    assert not alive(engine.process.pid)


def test_whoever_answers_first_is_heard_first(engine: EngineProcess) -> None:
    slow = EngineProcess(MODULE, {}, {})
    slow.wait_until_ready(60)
    slow.send({"ticket": 1, "prompt": [HANG]})
    engine.send({"ticket": 2, "prompt": [5]})
    ((number, [answer]),) = wait_for_any([slow, engine])
    assert (number, answer["ticket"]) == (1, 2)
    slow.close()


def test_answers_beside_a_death_are_given_first(engine: EngineProcess) -> None:
    doomed = EngineProcess(MODULE, {}, {})
    doomed.wait_until_ready(60)
    doomed.process.kill()
    doomed.process.wait()
    engine.send({"ticket": 2, "prompt": [5]})
    select.select([engine], [], [], 60)
    ((number, [answer]),) = wait_for_any([doomed, engine])
    assert (number, answer["ticket"]) == (1, 2)
    with pytest.raises(EngineDied):
        wait_for_any([doomed, engine])
    doomed.close()


PARENT = """
import time
from judgekit.sampling.engine_process import EngineProcess
engine = EngineProcess("judgekit.sampling.vllm_engine", {"engine": {}, "ends": []}, {})
print(engine.process.pid, flush=True)
time.sleep(3600)
"""


def test_an_engine_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    (tmp_path / "vllm").mkdir()
    # Importing the engine never ends, as loading weights takes long.
    (tmp_path / "vllm" / "__init__.py").write_text("import time\ntime.sleep(3600)\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{Path.cwd()}", "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    time.sleep(0.5)
    assert alive(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 20
    while alive(pid):
        assert time.monotonic() < deadline, "the engine is still there"
        time.sleep(0.05)
