"""The offline W&B run, read back from its transaction log with W&B's own record types."""

from __future__ import annotations

import json
import logging
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai  # noqa: F401  W&B prints an advertisement where this is imported
import pytest
import wandb
from wandb.proto import wandb_internal_pb2

from judgekit.run_folder import RunFolder
from judgekit.schema.logger import LoggerConfig
from judgekit.tracking import Place, make_tracker, read_series, wandb_run
from judgekit.tracking.base import Tracker

CONFIG = {"seed": 2, "recipe": {"name": "evalplanner", "plans": 3}, "model": {"name": "tiny"}, "data": {"name": "d"}}
KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def _fresh_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """W&B as in a new process, with no login and no server."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "no-config"))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    yield
    wandb.teardown()


def records(run_dir: Path) -> Iterator[Any]:
    """The records of the only current segment: LevelDB's log format after a header of 7 bytes."""
    wandb.teardown()  # its service writes the last records after a run's finish returned
    (path,) = run_dir.glob("wandb/offline-run-*/*.wandb")
    data, at, held = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while at + 7 <= len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        held = data[at + 7 : at + 7 + length] if kind in (1, 2) else held + data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()  # type: ignore[attr-defined,unused-ignore]
            record.ParseFromString(held)
            yield record


def of_kind(run_dir: Path, kind: str) -> list[Any]:
    return [getattr(record, kind) for record in records(run_dir) if record.WhichOneof("record_type") == kind]


def values(items: Any) -> dict[str, Any]:
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def losses(run_dir: Path) -> list[tuple[int, float]]:
    history = [values(record.item) for record in of_kind(run_dir, "history")]
    return [(row["step/dpo1"], row["train/dpo1/loss"]) for row in history if "train/dpo1/loss" in row]


def tracker_in(run_dir: Path, **settings: Any) -> Tracker:
    place = Place("run", "sweep-7", 3, {"recipe.plans": 3})
    return make_tracker(LoggerConfig(name="wandb", **settings), run_dir, CONFIG, "demo", place)


MANIFEST = {
    "status": "finished",
    "judges": ["sft", "dpo1", "dpo1-vote8"],
    "final_judge": "dpo1",
    "benchmarks": {"starter": {}},
    "stages": [{"tokens": {"prompt": 10, "generated": 5}, "generations": {"sampled": 2}, "seconds": 1.5}],
    "seconds": 3.0,
}


def test_the_offline_run_holds_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    adapter = tmp_path / "judge"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    run_dir = tmp_path / "run"
    tracker = tracker_in(run_dir)
    for step in (1, 2):
        tracker.log("dpo1", step, {"train/dpo1/loss": 1 / step})
    tracker.summary({"eval/dpo1/starter/accuracy": 0.5, "eval/dpo1/starter/delta_bias": None})
    tracker.table("judgments", ["id", "verdict", "text"], [["p1", "A", "<b>"], ["p2", None, "\x1b[31m"]])
    splits = tmp_path / "splits"
    splits.mkdir()
    (splits / "d1.jsonl").write_text("{}\n")
    tracker.artifact("splits", "dataset", splits, used=True)
    tracker.artifact("judge-dpo1", "model", adapter)
    (run_dir / "manifest.json").write_text(json.dumps(MANIFEST))
    tracker.finish("finished")

    (run,) = of_kind(run_dir, "run")
    assert (run.project, run.run_group, run.job_type, run.display_name) == ("judgekit", "sweep-7", "run", "demo #3")
    assert list(run.tags) == ["evalplanner", "tiny", "d"]
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert {name: config[name] for name in CONFIG} == CONFIG
    assert config["sweep"] == {"name": "sweep-7", "job": 3, "recipe.plans": 3}
    assert losses(run_dir) == [(1, 1.0), (2, 0.5)]
    assert ("train/dpo1/loss", "step/dpo1") in {(m.name, m.step_metric) for m in of_kind(run_dir, "metric")}
    summary: dict[str, Any] = {}
    for record in of_kind(run_dir, "summary"):
        summary |= values(record.update)
    assert summary["eval/dpo1/starter/accuracy"] == 0.5
    assert "eval/dpo1/starter/delta_bias" not in summary
    # Names that runs of different recipes share, for W&B's parallel coordinates.
    assert summary["final/starter/accuracy"] == 0.5
    assert (summary["cost/prompt_tokens"], summary["cost/run_seconds"]) == (10, 3.0)
    (table,) = run_dir.glob("wandb/offline-run-*/files/media/table/judgments*.json")
    assert json.loads(table.read_text())["data"] == [["p1", "A", "<b>"], ["p2", None, "\x1b[31m"]]
    lineage = [(a.name, a.type, a.use_after_commit) for a in of_kind(run_dir, "artifact") if a.type != "run_table"]
    assert lineage == [("splits", "dataset", True), ("judge-dpo1", "model", False)]
    (artifact,) = [a for a in of_kind(run_dir, "artifact") if a.type == "model"]
    assert [(c.path, c.local_path) for c in artifact.manifest.contents] == [
        ("adapter_config.json", str(adapter / "adapter_config.json"))
    ]
    assert of_kind(run_dir, "exit")[0].exit_code == 0
    assert wandb.run is None
    assert capfd.readouterr() == ("", "")
    assert [p for p in tmp_path.rglob("*") if p.is_file() and KEY.encode() in p.read_bytes()] == []


def test_of_a_large_artifact_only_the_place_is_noted(tmp_path: Path) -> None:
    judge = tmp_path / "judge"
    judge.mkdir()
    (judge / "model.safetensors").write_bytes(bytes(2_000))
    tracker = tracker_in(tmp_path / "run", artifact_gb=1e-6)
    tracker.artifact("judge-sft", "model", judge)
    tracker.finish("finished")
    (artifact,) = [a for a in of_kind(tmp_path / "run", "artifact") if a.type == "model"]
    assert [(c.ref, c.local_path) for c in artifact.manifest.contents] == [((judge / "model.safetensors").as_uri(), "")]
    assert json.loads(artifact.metadata)["bytes"] == 2_000


def test_a_resumed_run_goes_on_under_its_id_in_one_complete_segment(tmp_path: Path) -> None:
    first = tracker_in(tmp_path)
    first.summary({"eval/sft/starter/accuracy": 0.25})
    first.log("sft", 1, {"train/sft/loss": 3.0})
    for step in (1, 2, 3):
        first.log("dpo1", step, {"train/dpo1/loss": float(step)})
    first.finish("interrupted")
    assert of_kind(tmp_path, "exit")[0].exit_code == 1
    (run,) = of_kind(tmp_path, "run")

    second = tracker_in(tmp_path)
    for step in (2, 3, 4):
        second.log("dpo1", step, {"train/dpo1/loss": step * 10.0})
    second.finish("finished")
    (again,) = of_kind(tmp_path, "run")
    assert again.run_id == run.run_id
    assert losses(tmp_path) == [(1, 1.0), (2, 20.0), (3, 30.0), (4, 40.0)]
    assert [v["train/sft/loss"] for h in of_kind(tmp_path, "history") if "train/sft/loss" in (v := values(h.item))] == [
        3.0
    ]
    summary = [values(record.update) for record in of_kind(tmp_path, "summary")]
    assert any(row.get("eval/sft/starter/accuracy") == 0.25 for row in summary)
    assert len(list(tmp_path.glob("wandb/superseded/offline-run-*"))) == 1
    assert [(p.stage, p.step) for p in read_series(tmp_path)] == [("sft", 1), *(("dpo1", s) for s in (1, 2, 3, 4))]


def test_two_folders_are_two_runs(tmp_path: Path) -> None:
    for name in ("a", "b"):
        tracker_in(tmp_path / name).finish("finished")
    (one,), (other,) = of_kind(tmp_path / "a", "run"), of_kind(tmp_path / "b", "run")
    assert one.run_id != other.run_id


def test_a_failing_wandb_warns_once_and_the_files_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = tracker_in(tmp_path)

    def broken(*_: object, **__: object) -> None:
        raise ConnectionError("service is gone")

    monkeypatch.setattr(wandb.Run, "log", broken)
    with caplog.at_level(logging.WARNING):
        for step in (1, 2, 3):
            tracker.log("dpo1", step, {"train/dpo1/loss": 1.0})
        tracker.summary({"eval/dpo1/starter/accuracy": 1.0})
        tracker.table("judgments", ["id"], [["1"]])
        tracker.finish("finished")
    assert [text.count("service is gone") for name, _, text in caplog.record_tuples if name.startswith("judge")] == [1]
    assert len(read_series(tmp_path)) == 3
    assert RunFolder(tmp_path).read_metrics() == {"eval/dpo1/starter/accuracy": 1.0}


@pytest.mark.parametrize("key", [None, KEY], ids=["no login", "no server"])
def test_online_falls_back_to_offline(
    key: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if key:
        monkeypatch.setenv("WANDB_API_KEY", key)
    monkeypatch.setattr(wandb_run, "INIT_SECONDS", 1)
    with caplog.at_level(logging.WARNING):
        tracker = tracker_in(tmp_path, mode="online")
        tracker.log("dpo1", 1, {"train/dpo1/loss": 1.0})
        tracker.finish("finished")
    assert f"judgekit sync {tmp_path}" in caplog.text
    assert losses(tmp_path) == [(1, 1.0)]
