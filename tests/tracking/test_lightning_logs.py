"""Lightning's CSV and TensorBoard loggers: what they hold at the end, also of a run that was resumed."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from judgekit.errors import MissingExtraError
from judgekit.schema.logger import LoggerConfig
from judgekit.tracking import Place, make_tracker, read_series
from judgekit.tracking.base import Tracker
from tests.tracking.test_wandb_run import MANIFEST

CONFIG = {"seed": 2, "recipe": {"name": "evalplanner", "plans": 3}, "data": {"train_sources": ("a", "b")}}


def tracker_in(run_dir: Path, name: Literal["csv", "tensorboard"]) -> Tracker:
    return make_tracker(LoggerConfig(name=name), run_dir, CONFIG, "demo", Place("run", "sweep", 1, {"loss": "dpo"}))


def record(run_dir: Path, name: Literal["csv", "tensorboard"]) -> None:
    """Two sessions; the second does the last steps of the first again."""
    first = tracker_in(run_dir, name)
    first.log("sft", 1, {"train/sft/loss": 3.0})
    for step in (1, 2, 3):
        first.log("dpo1", step, {"train/dpo1/loss": float(step), "train/dpo1/none": None})
    first.finish("interrupted")
    second = tracker_in(run_dir, name)
    for step in (2, 3, 4):
        second.log("dpo1", step, {"train/dpo1/loss": 10.0 * step})
    second.table("judgments", ["id"], [["1"]])
    second.artifact("judge", "model", run_dir)
    second.summary({"eval/dpo1/starter/accuracy": 0.5})
    (run_dir / "manifest.json").write_text(json.dumps(MANIFEST))
    second.finish("finished")
    assert len(read_series(run_dir)) == 5


WANTED = {"train/sft/loss": [(1, 3.0)], "train/dpo1/loss": [(1, 1.0), (2, 20.0), (3, 30.0), (4, 40.0)]}


def test_csv(tmp_path: Path) -> None:
    record(tmp_path, "csv")
    with (tmp_path / "csv" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = {name: [(int(row["step"]), float(row[name])) for row in rows if row[name]] for name in WANTED}
    assert {name: sorted(points) for name, points in found.items()} == WANTED
    held = yaml.safe_load((tmp_path / "csv" / "hparams.yaml").read_text())
    assert (held["recipe.plans"], held["sweep/loss"]) == (3, "dpo")


def test_tensorboard(tmp_path: Path) -> None:
    record(tmp_path, "tensorboard")
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    found = {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}
    assert {name: found[name] for name in WANTED} == WANTED
    assert found["final/starter/accuracy"][0][1] == 0.5 and found["cost/generated_tokens"][0][1] == 5.0
    assert any("hparams" in tag for tag in events.summary_metadata)


def test_tensorboard_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise ModuleNotFoundError("no tensorboard")

    monkeypatch.setattr("lightning.pytorch.loggers.TensorBoardLogger", missing)
    with pytest.raises(MissingExtraError, match=r"judgekit-lab\[tensorboard\]"):
        tracker_in(tmp_path, "tensorboard")
