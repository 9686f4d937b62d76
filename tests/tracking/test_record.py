"""The manifest of a run: what it holds at every moment of its life."""

from __future__ import annotations

import dataclasses
import json
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from judgekit.schema.config import RunConfig
from judgekit.store import Store, Workspace
from judgekit.tracking import record as record_module
from judgekit.tracking.base import FanOut, Number, Status
from judgekit.tracking.record import RunRecord, git_state, versions


class Noted:
    """A tracker that keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def log(self, stage: str, step: int, values: Mapping[str, Number]) -> None:
        self.calls.append(("log", stage, step, dict(values)))

    def summary(self, values: Mapping[str, Number]) -> None:
        self.calls.append(("summary", dict(values)))

    def table(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        self.calls.append(("table", name, list(columns), [list(row) for row in rows]))

    def artifact(self, name: str, kind: str, folder: Path, used: bool = False) -> None:
        self.calls.append(("artifact", name, kind, folder, used))

    def finish(self, status: Status) -> None:
        self.calls.append(("finish", status))


@pytest.fixture
def noted() -> Noted:
    return Noted()


@pytest.fixture
def run(tmp_path: Path, noted: Noted, monkeypatch: pytest.MonkeyPatch) -> RunRecord:
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/judgekit run", "seed=1", "name=with space"])
    return RunRecord(tmp_path / "runs" / "one", RunConfig(name="über", seed=1), noted)


def manifest(run: RunRecord) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(run.folder.manifest.read_text(encoding="utf-8"))
    return values


def test_a_new_run_is_running_and_names_its_origin(run: RunRecord) -> None:
    held = manifest(run)
    assert held["status"] == "running" and held["finished"] is None
    assert (held["name"], held["seed"]) == ("über", 1)
    assert held["run_id"].startswith("über-")
    assert held["versions"]["torch"] and held["versions"]["python"] == sys.version.split()[0]
    assert (held["stages"], held["notes"], held["judges"], held["benchmarks"]) == ([], [], [], {})


def test_the_command_can_be_typed_again(run: RunRecord) -> None:
    assert shlex.split(manifest(run)["command"]) == ["judgekit", "run", "seed=1", "name=with space"]


def test_the_configuration_is_frozen_beside_it(run: RunRecord, tmp_path: Path, noted: Noted) -> None:
    held = yaml.safe_load(run.folder.config.read_text(encoding="utf-8"))
    assert held == json.loads(json.dumps(dataclasses.asdict(RunConfig(name="über", seed=1))))
    again = RunRecord(tmp_path / "runs" / "one", RunConfig(name="über", seed=1), noted)
    assert manifest(again)["run_id"] == run.manifest["run_id"], "a resumed run is the same run"
    assert manifest(again)["config_digest"] == run.manifest["config_digest"]
    other = RunRecord(tmp_path / "runs" / "one", RunConfig(name="über", seed=2), noted)
    assert manifest(other)["config_digest"] != run.manifest["config_digest"]
    assert (
        RunRecord(tmp_path / "runs" / "two", RunConfig(name="über", seed=1), noted).manifest["run_id"]
        != (run.manifest["run_id"])
    )


def build(workspace: Workspace) -> None:
    (workspace.path / "rows.jsonl").write_text("{}\n")
    workspace.count(rows=1)
    workspace.drop("too long", 2)
    workspace.generations(sampled=3, cached=4)
    workspace.tokens(prompt=5, generated=6)


def test_stages_are_recorded_as_they_come(run: RunRecord, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger=record_module.__name__)
    store = Store(tmp_path / "store")
    run.begin("pairs")
    assert manifest(run)["current_stage"] == "pairs"
    for _ in range(2):
        run.stage("pairs", store.stage("pairs", 1, {}, [], build))
    first, second = manifest(run)["stages"]
    assert (first["status"], second["status"]) == ("computed", "reused")
    assert {key: first[key] for key in ("name", "rows", "dropped", "generations", "tokens")} == {
        "name": "pairs",
        "rows": {"rows": 1},
        "dropped": {"too long": 2},
        "generations": {"sampled": 3, "cached": 4},
        "tokens": {"prompt": 5, "generated": 6},
    }
    assert (Path(first["path"]) / "rows.jsonl").exists() and first["path"].endswith(first["digest"])
    assert caplog.messages == ["pairs: 1 rows; 0 s", "pairs: 1 rows; found in the store"]


def test_progress_is_written_now_and_then_and_ends_with_its_stage(
    run: RunRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.begin("chains")
    run.progress(1, 9)
    assert "progress" not in manifest(run)
    monkeypatch.setattr(record_module, "PROGRESS_SECONDS", 0.0)
    run.progress(2, 9)
    assert manifest(run)["progress"] == {"done": 2, "total": 9}
    run.stage("chains", Store(tmp_path / "store").stage("chains", 1, {}, [], build))
    assert "progress" not in manifest(run)
    run.progress(3, None)
    run.begin("train")
    assert "progress" not in manifest(run)
    run.progress(4, None)
    run.finish("finished")
    assert "progress" not in manifest(run)


def test_what_a_server_charged_is_recorded(run: RunRecord, tmp_path: Path) -> None:
    def asked(workspace: Workspace) -> None:
        workspace.tokens(5, 6, 0.25)
        workspace.tokens(1, 1, 0.5)
        build(workspace)

    store = Store(tmp_path / "store")
    for name, made in (("asked", asked), ("free", build)):
        run.stage(name, store.stage(name, 1, {}, [], made))
    stages = manifest(run)["stages"]
    assert stages[0]["cost"] == 0.75 and stages[0]["tokens"] == {"prompt": 11, "generated": 13}
    assert "cost" not in stages[1]


def test_notes_numbers_and_the_end(run: RunRecord, noted: Noted) -> None:
    run.begin("pairs")
    run.note("a benchmark was left out")
    run.summary({"eval/seed/starter/n": 3, "nothing": None})
    run.finish("finished")
    held = manifest(run)
    assert held["notes"] == ["a benchmark was left out"]
    assert held["status"] == "finished" and held["finished"] and held["seconds"] >= 0
    assert "current_stage" not in held and "error" not in held
    assert noted.calls == [("summary", {"eval/seed/starter/n": 3, "nothing": None}), ("finish", "finished")]


@pytest.mark.parametrize(("status", "error"), [("failed", "StageError: full"), ("interrupted", None)])
def test_another_end_says_why(run: RunRecord, noted: Noted, status: Status, error: str | None) -> None:
    run.finish(status, error)
    held = manifest(run)
    assert (held["status"], held.get("error")) == (status, error)
    assert noted.calls == [("finish", status)]


def test_versions_leave_out_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_module, "PACKAGES", ("numpy", "no-such-package"))
    assert versions().keys() == {"python", "numpy"}


def test_the_revision_is_that_of_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "checkout" / "judgekit" / "tracking"
    package.mkdir(parents=True)
    monkeypatch.setattr(record_module, "__file__", str(package / "record.py"))
    assert git_state() is None

    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=n", "-c", "user.email=e@example.com", *arguments]
        return subprocess.run(command, cwd=package, check=True, capture_output=True, text=True).stdout.strip()

    (package / "record.py").write_text("one")
    git("init", "-q", str(tmp_path / "checkout"))
    assert git_state() is None, "no commit yet"
    git("add", ".")
    git("commit", "-q", "-m", "first")
    revision = git("rev-parse", "HEAD")
    assert git_state() == {"revision": revision, "dirty": False}
    (package / "untracked.txt").write_text("outputs do not count")
    assert git_state() == {"revision": revision, "dirty": False}
    (package / "record.py").write_text("two")
    assert git_state() == {"revision": revision, "dirty": True}
    monkeypatch.setenv("PATH", "")
    assert git_state() is None, "no git"


def test_every_tracker_is_told_everything(tmp_path: Path) -> None:
    trackers = [Noted(), Noted()]
    both = FanOut(trackers)
    both.log("dpo1", 2, {"loss": 0.5})
    both.summary({"n": 1})
    both.table("judgments", ["a", "b"], iter([(1, 2), (3, 4)]))
    both.artifact("judge", "model", tmp_path)
    both.finish("finished")
    assert (
        trackers[0].calls
        == trackers[1].calls
        == [
            ("log", "dpo1", 2, {"loss": 0.5}),
            ("summary", {"n": 1}),
            ("table", "judgments", ["a", "b"], [[1, 2], [3, 4]]),
            ("artifact", "judge", "model", tmp_path, False),
            ("finish", "finished"),
        ]
    )
