"""Local records: kept by a kill, merged, never doubled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from judgekit.errors import DataError
from judgekit.run_folder import RunFolder
from judgekit.schema.logger import LoggerConfig
from judgekit.tracking import make_tracker, read_series
from judgekit.tracking.local_files import LocalTracker


def steps(run_dir: Path) -> list[tuple[str, int]]:
    return [(point.stage, point.step) for point in read_series(run_dir)]


def test_series_lines_are_on_disk_before_the_run_ends(tmp_path: Path) -> None:
    tracker = LocalTracker(tmp_path)
    tracker.log("dpo1", 1, {"train/dpo1/loss": 0.69, "train/dpo1/lr": 1e-4})
    line = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert line.pop("time").endswith("+00:00")
    assert line == {"stage": "dpo1", "step": 1, "values": {"train/dpo1/loss": 0.69, "train/dpo1/lr": 1e-4}}


def test_a_stage_done_again_replaces_its_steps_from_the_first_it_logs(tmp_path: Path) -> None:
    first = LocalTracker(tmp_path)
    for step in (1, 2, 3):
        first.log("sft", step, {"train/sft/loss": step})
    for step in (1, 2, 3):
        first.log("dpo1", step, {"train/dpo1/loss": step})
    second = LocalTracker(tmp_path)
    second.log("dpo1", 2, {"train/dpo1/loss": 20})
    second.log("dpo1", 2, {"validation/dpo1/accuracy": 0.5})
    second.finish("finished")
    assert steps(tmp_path) == [("sft", 1), ("sft", 2), ("sft", 3), ("dpo1", 1), ("dpo1", 2), ("dpo1", 2)]
    assert read_series(tmp_path)[-2].values == {"train/dpo1/loss": 20}


def test_a_torn_last_line_is_cut_and_the_next_line_is_whole(tmp_path: Path) -> None:
    LocalTracker(tmp_path).log("sft", 1, {"train/sft/loss": 1.0})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"time": "2026-01-01", "stage": "sf')
    LocalTracker(tmp_path).log("sft", 2, {"train/sft/loss": 0.5})
    assert steps(tmp_path) == [("sft", 1), ("sft", 2)]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"time": "", "stage": "sft", "step": 1, "values": {}}\nnonsense\n')
    with pytest.raises(DataError, match=r"metrics\.jsonl, line 2"):
        read_series(tmp_path)


def test_summary_merges_and_writes_null_for_what_is_not_a_number(tmp_path: Path) -> None:
    tracker = LocalTracker(tmp_path)
    tracker.summary({"eval/sft/starter/accuracy": 0.5, "eval/sft/starter/delta_bias": None})
    tracker.summary({"eval/dpo1/starter/accuracy": 0.75, "train/dpo1/loss": float("nan")})
    expected = {
        "eval/dpo1/starter/accuracy": 0.75,
        "eval/sft/starter/accuracy": 0.5,
        "eval/sft/starter/delta_bias": None,
        "train/dpo1/loss": None,
    }
    assert json.loads((tmp_path / "metrics.json").read_text()) == expected == RunFolder(tmp_path).read_metrics()
    assert not list(tmp_path.glob("*.partial"))


def test_a_summary_that_is_not_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(DataError, match=r"metrics\.json"):
        LocalTracker(tmp_path).summary({"a": 1})


def test_the_local_logger_is_files_only(tmp_path: Path) -> None:
    tracker = make_tracker(LoggerConfig(), tmp_path, {}, "run", None)
    tracker.table("judgments", ["id"], [["1"]])
    tracker.artifact("adapter", "model", tmp_path)
    tracker.finish("finished")
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]
