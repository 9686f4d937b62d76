"""``judgekit sync``: what it hands to ``wandb sync``, and what it says when that cannot upload."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from judgekit.cli import main


def offline(run_dir: Path, number: int = 1, status: str = "finished", age: float = 0.0) -> Path:
    """An offline record of a run."""
    record = run_dir / "wandb" / f"offline-run-2026-{number}" / f"run-{number}.wandb"
    record.parent.mkdir(parents=True)
    record.write_bytes(b":W&B")
    moment = time.time() - age
    os.utime(record, (moment, moment))
    (run_dir / "manifest.json").write_text(json.dumps({"status": status}))
    return record


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Folders handed to a ``wandb sync`` that uploads all but those of ``stubborn`` runs."""
    seen: list[str] = []

    def uploads(command: Sequence[str], **_: Any) -> None:
        assert command[1:4] == ["-m", "wandb", "sync"]
        for folder in map(Path, command[4:]):
            seen.append(folder.parents[1].name)
            if folder.parents[1].name != "stubborn":
                (record,) = folder.glob("*.wandb")
                record.with_suffix(".wandb.synced").touch()

    monkeypatch.setattr(subprocess, "run", uploads)
    return seen


def test_a_sweep_is_uploaded_once(tmp_path: Path, asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("0-a", "1-b"):
        offline(tmp_path / name)
    offline(tmp_path / "2-under-way", status="running")
    offline(tmp_path / "3-killed", status="running", age=600)
    (tmp_path / "0-a" / "wandb" / "superseded" / "offline-run-2025-1").mkdir(parents=True)
    (tmp_path / "0-a" / "wandb" / "superseded" / "offline-run-2025-1" / "run-1.wandb").touch()
    assert main(["sync", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert told.out == "3 uploaded, 0 were before\n" and "2-under-way is under way" in told.err
    assert asked == ["0-a", "1-b", "3-killed"]
    assert main(["sync", str(tmp_path), str(tmp_path / "0-a")]) == 0
    assert len(asked) == 3 and capsys.readouterr().out == "0 uploaded, 4 were before\n"


def test_what_cannot_be_uploaded_is_kept_and_told(
    tmp_path: Path, asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    offline(tmp_path / "stubborn")
    assert main(["sync", str(tmp_path / "stubborn")]) == 2
    told = capsys.readouterr().err
    assert "1 W&B runs could not be uploaded" in told and "wandb login" in told and "same command again" in told
    assert main(["sync", str(tmp_path / "nothing")]) == 2
    assert "logger=wandb" in capsys.readouterr().err
