"""``hydra/sweeper=optuna``: jobs proposed by what earlier ones reached."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra_plugins.judgekit_launchers.optuna_sweeper import distribution
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from judgekit.cli import main
from judgekit.errors import StageError
from judgekit.schema.config import RunConfig
from judgekit.sweep_folder import read_sweep
from tests.sweeps.jobs import finish

SEARCH = ["run", "-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "loss.beta=interval(0.05,0.5)"]


def run_recipe(config: RunConfig, run_dir: Path) -> None:
    """Best at a β of 0.2; some losses fail."""
    with Path("ran.txt").open("a") as file:
        file.write(f"{config.loss.beta}\n")
    if config.loss.name == "ipo":
        raise StageError("this loss does not work")
    finish(config, run_dir, judges=["dpo1"], benchmarks={"starter": {}})
    reached = 1 - abs(config.loss.beta - 0.2)
    (run_dir / "metrics.json").write_text(json.dumps({"eval/dpo1/starter/consistent_accuracy": reached}))


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    module: Any = ModuleType("judgekit.runner")
    module.run_recipe = run_recipe
    monkeypatch.setitem(sys.modules, "judgekit.runner", module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["judgekit"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield tmp_path
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_search_finds_the_best_and_goes_on_where_it_stopped(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(SEARCH) == 0
    (folder,) = (place / "outputs" / "sweeps").iterdir()
    jobs = read_sweep(folder).jobs
    tried = [float(line) for line in (place / "ran.txt").read_text().split()]
    assert [float(job.overrides[0].partition("=")[2]) for job in jobs] == tried and len(tried) == 3
    best = min(range(3), key=lambda number: abs(tried[number] - 0.2))
    assert f"Best of 3 jobs: #{best}, final/starter/consistent_accuracy" in capsys.readouterr().err
    assert (folder / "report.html").exists()
    # The same proposals again, none of which is run again.
    assert main(SEARCH) == 0
    assert len((place / "ran.txt").read_text().split()) == 3
    assert f"Best of 3 jobs: #{best}" in capsys.readouterr().err


def test_jobs_that_fail_are_results_too(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, "hydra.sweeper.n_jobs=3", "loss.name=ipo,dpo", "hydra.sweeper.seed=4"]) == 0
    (folder,) = (place / "outputs" / "sweeps").iterdir()
    names = [job.overrides[1] for job in read_sweep(folder).jobs]
    assert len(names) == 3 and set(names) <= {"loss.name=ipo", "loss.name=dpo"}
    assert "Best of 3 jobs" in capsys.readouterr().err


def test_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH[:-1], "loss.beta=0.1"]) == 2
    assert "there is nothing to search" in capsys.readouterr().err
    assert main([*SEARCH, "hydra.sweeper.metric=charm", "hydra.sweeper.n_trials=1"]) == 2
    assert "No job has the number 'charm'" in capsys.readouterr().err
    assert main([*SEARCH, "loss.name=ipo", "hydra.sweeper.n_trials=1"]) == 2
    assert "this loss does not work" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("k=a,b", CategoricalDistribution(["a", "b"])),
        ("k=choice(1,2.5)", CategoricalDistribution(["1", "2.5"])),
        ("k=interval(0.1,1)", FloatDistribution(0.1, 1.0)),
        ("k=tag(log,interval(1e-6,1e-4))", FloatDistribution(1e-6, 1e-4, log=True)),
        ("k=int(interval(1,5))", IntDistribution(1, 5)),
        ("k=range(1,6,2)", IntDistribution(1, 5, step=2)),
        ("k=range(0,1,0.5)", CategoricalDistribution(["0.0", "0.5"])),
    ],
)
def test_what_is_searched(text: str, expected: optuna.distributions.BaseDistribution) -> None:
    (override,) = OverridesParser.create().parse_overrides([text])
    assert distribution(override) == expected
