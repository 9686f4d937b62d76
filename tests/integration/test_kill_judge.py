"""``judgekit judge`` killed at any moment and given again: the same bytes, no row twice, at most a batch redone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from tests.integration.judge_model import make_judge_model
from tests.integration.place import PATIENCE, enter, forks

pytestmark = pytest.mark.integration

COMMAND = Path(sys.executable).with_name("judgekit")
PAIRS = 14
OUTPUT = "out.jsonl"


class Folder:
    """Where the command is typed."""

    def __init__(self, path: Path, model: Path) -> None:
        path.mkdir(exist_ok=True)
        self.path, self.output = path, path / OUTPUT
        rows = [
            {"id": f"p{number}", "instruction": "why " * (number % 5 + 1) + str(number), "response_a": "so " * number,
             "response_b": "because", "label": None}
            for number in range(PAIRS)
        ]  # fmt: skip
        (path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.command = [
            "judge", "in.jsonl", "--judge", str(model), "-o", OUTPUT, "--chunk", "4", "prompt=pairwise",
            "judge.tokens=24", "sampler.batch_size=3", "--temperature", "1.0",
        ]  # fmt: skip

    @property
    def begun(self) -> int:
        """Batches that were begun, over all processes."""
        file = self.path / "begun.txt"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def start(self) -> ForkServerProcess:
        process = forks.Process(target=enter, args=(str(self.path), self.command))
        process.start()
        return process

    def finish(self) -> None:
        process = self.start()
        process.join(PATIENCE)
        assert process.exitcode == 0, (self.path / "terminal.txt").read_text()[-3000:]

    def kill_at(self, batch: int) -> bool:
        """Kill as soon as so many batches were begun; False when the process was faster."""
        process = self.start()
        deadline = time.monotonic() + PATIENCE
        while self.begun < batch:
            assert time.monotonic() < deadline
            if not process.is_alive():
                return False
            time.sleep(0.0005)
        assert process.pid is not None
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
        return True


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_judge_model(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture(scope="module")
def reference(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = Folder(tmp_path_factory.mktemp("reference"), model)
    folder.finish()
    return folder


def test_the_installed_command_gives_the_same_bytes(reference: Folder, model: Path, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "place", model)
    done = subprocess.run([COMMAND, *folder.command], cwd=folder.path, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert folder.output.read_bytes() == reference.output.read_bytes()
    assert done.stdout == "" and f"{PAIRS} pairs, {2 * PAIRS} verdicts" in done.stderr


@pytest.mark.parametrize("part", range(5))
def test_killed_anywhere_it_continues(reference: Folder, model: Path, tmp_path: Path, part: int) -> None:
    whole = reference.output.read_bytes()
    assert len(whole.splitlines()) == 2 * PAIRS
    folder = Folder(tmp_path / "place", model)
    kills = sum(folder.kill_at(max(1, reference.begun * eighth // 8)) for eighth in (part, part + 2))
    assert kills
    assert whole.startswith(folder.output.read_bytes())
    folder.finish()
    assert folder.output.read_bytes() == whole
    assert folder.begun <= reference.begun + kills


def test_a_torn_line_is_repaired_and_a_finished_file_left_alone(reference: Folder, model: Path, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "place", model)
    folder.finish()
    whole, begun, state = folder.output.read_bytes(), folder.begun, folder.output.stat()
    folder.finish()
    assert folder.begun == begun and folder.output.stat().st_mtime_ns == state.st_mtime_ns
    folder.output.write_bytes(whole[:-40])
    folder.finish()
    assert folder.output.read_bytes() == whole == reference.output.read_bytes()
    assert folder.begun == begun, "what was torn is in the cache"
