"""What was varied in a sweep, means over its runs, and which runs stand beside which."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from judgekit.report.sweep.cells import cell, shown_cell
from judgekit.report.sweep.panels import goodness, heat_maps, key_panels, settings
from judgekit.report.sweep.study import balanced, grouped, ordered, read_study, short_names, swept, view, written
from judgekit.schema.launchers import SlurmLauncherConfig
from tests.report.sweep_folder import make_sweep

METRIC = "consistent_accuracy"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    grid = {"recipe.plans": [3, 1], "recipe.executions": [2, 4], "loss": ["dpo", "ipo"], "seed": [1, 2]}
    # plans 3, executions 2, ipo has no finished run.
    return make_sweep(tmp_path_factory.mktemp("study") / "sweep", grid, pairs=20, failed={2}, missing={3})


def test_keys_are_swept_when_they_differ() -> None:
    assert swept([{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 1}]) == {"b": ("x", "y", None)}
    assert swept([{"a": True}, {"a": 1}])["a"] == (True, 1)
    assert ordered([3, 0.5, 1]) == (0.5, 1, 3)
    assert ordered([True, "x"]) == (True, "x")
    assert short_names(["recipe.plans", "loss", "a.beta", "b.beta"]) == {
        "recipe.plans": "plans", "loss": "loss", "a.beta": "a.beta", "b.beta": "b.beta",
    }  # fmt: skip
    assert [written(value) for value in (None, True, 0.1, 1e-06, 3, "x")] == ["–", "true", "0.1", "1e-06", "3", "x"]


def test_a_view_holds_the_finished_runs(folder: Path) -> None:
    study = read_study(folder)
    assert study.command.startswith("judgekit run -m recipe.plans=3,1")
    assert [run.state for run in study.runs[:5]] == ["done", "done", "failed", "never started", "done"]
    seen = view(study, "arena")
    assert seen is not None and seen.metric == METRIC and len(seen.runs) == 14
    assert seen.keys == ("recipe.plans", "recipe.executions", "loss")
    assert seen.values["recipe.plans"] == (1, 3) and seen.seeds == 2
    assert {run.judge for run in seen.runs} == {"dpo1"}
    other = view(study, "arena", judge="sft")
    assert other is not None and {run.judge for run in other.runs} == {"sft"}
    assert view(study, "elsewhere") is None and view(study, "arena", "no_such_metric") is None


def test_means_have_intervals_over_seeds_else_over_pairs(folder: Path) -> None:
    seen = view(read_study(folder), "arena")
    assert seen is not None
    runs = seen.settings()[(3, 4, "dpo")]
    values = [run.rate(METRIC).value for run in runs]
    found = cell(runs, METRIC)
    assert found is not None and (found.runs, found.seeds) == (2, 2)
    low, high = stats.t.interval(0.95, 1, loc=np.mean(values), scale=stats.sem(values))
    assert found.mean == pytest.approx(np.mean(values))
    assert found.interval == pytest.approx((max(0.0, low), min(1.0, high)))
    alone = cell(runs[:1], METRIC)
    rate = runs[0].rate(METRIC)
    assert alone is not None and alone.interval == (rate.low, rate.high)
    same_seed = [run for run in seen.runs if run.values["seed"] == 1]
    over = cell(same_seed, METRIC)
    assert over is not None and over.interval is None and over.runs == 7
    assert cell(runs, "no_such_metric") is None
    assert shown_cell(None, METRIC) == "–"


def test_averages_are_over_settings_that_every_value_has(folder: Path) -> None:
    seen = view(read_study(folder), "arena")
    assert seen is not None
    # Without ipo where executions are 2, plans are only compared on the three other settings.
    kept = {run.at(("recipe.executions", "loss")) for run in balanced(seen, ["recipe.plans"])}
    assert kept == {(2, "dpo"), (4, "dpo"), (4, "ipo")}
    assert len(balanced(seen, seen.keys)) == len(seen.runs)


def test_heat_maps_and_panels(folder: Path) -> None:
    seen = view(read_study(folder), "arena")
    assert seen is not None
    maps = heat_maps(seen)
    assert [(m.down, m.across) for m in maps] == [
        ("recipe.plans", "recipe.executions"), ("recipe.plans", "loss"), ("recipe.executions", "loss"),
    ]  # fmt: skip
    first = maps[0]
    groups = grouped(balanced(seen, (first.down, first.across)), (first.down, first.across))
    assert first.cells[1, 0] == cell(groups[(3, 2)], METRIC)
    assert {first.shares[place] for place in first.best} == {1.0} and min(first.shares.values()) == 0.0
    panels = {panel.key: panel for panel in key_panels(seen)}
    plans = panels["recipe.plans"].figures[0].chart
    assert plans is not None and [line.name for line in plans.lines] == ["2", "4"]
    assert panels["recipe.plans"].averaged == ("loss",)
    assert panels["loss"].figures[0].chart is None and [row[0] for row in panels["loss"].figures[0].rows] == [
        "dpo",
        "ipo",
    ]
    assert [figure.metric for figure in panels["loss"].figures] == [METRIC, "first_position_rate", "invalid_rate"]


def test_a_hole_in_a_map_stays_a_hole(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "sweep", {"recipe.plans": [1, 3], "loss": ["a", "b"]}, pairs=6, failed={3})
    seen = view(read_study(folder), "arena")
    assert seen is not None
    (only,) = heat_maps(seen)
    assert only.cells[1, 1] is None and (1, 1) not in only.shares


def test_settings_come_best_first_with_what_they_cost(folder: Path) -> None:
    seen = view(read_study(folder), "arena")
    assert seen is not None
    found = settings(seen, [METRIC], None)
    means = [one.cells[METRIC].mean for one in found if one.cells[METRIC] is not None]
    assert means == sorted(means, reverse=True) and found[0].best and len(found) == 7
    big = next(one for one in found if one.values == (3, 4, "ipo"))
    assert big.cost == {"tokens": 12 * 49_000, "seconds": 60 + 25 * 12}
    assert settings(seen, [METRIC], 8)[0].cost.keys() == {"tokens", "GPU-seconds"}
    assert goodness("first_position_rate", 0.5) > goodness("first_position_rate", 0.4)
    assert goodness("invalid_rate", 0.0) > goodness("invalid_rate", 0.1)


def test_gpus_are_known_on_slurm(tmp_path: Path) -> None:
    launcher = SlurmLauncherConfig(gpus_per_node=4, nodes=2)
    assert read_study(make_sweep(tmp_path / "sweep", {"seed": [1]}, pairs=4, launcher=launcher)).gpus == 8
