"""Grids as they are typed: Hydra composes, the launchers freeze and start."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from judgekit.cli import main
from judgekit.schema.config import RunConfig
from judgekit.sweep_folder import read_frozen, read_sweep
from judgekit.sweeps.job import SlurmJob, thaw
from tests.sweeps.jobs import FAILS, ran

SLURM = "hydra/launcher=slurm"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The command is typed in an empty folder; what Hydra sets for its process is put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["judgekit"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield tmp_path
    root.handlers[:] = handlers
    root.setLevel(level)


def sweeps(place: Path) -> list[Path]:
    return sorted((place / "outputs" / "sweeps").iterdir())


def test_editing_the_configuration_changes_no_submitted_job(place: Path, cluster: Path) -> None:
    (place / "own" / "experiment").mkdir(parents=True)
    mine = place / "own" / "experiment" / "mine.yaml"
    mine.write_text("# @package _global_\nname: mine\nloss: {beta: 0.25}\n")
    assert main(["run", "--config-dir", "own", "-m", "experiment=mine", SLURM, "seed=7,8"]) == 0
    mine.write_text("- broken\n")
    (sweep,) = sweeps(place)
    for job in read_sweep(sweep).jobs:
        SlurmJob(sweep, job.num)()
        config = thaw(read_frozen(sweep / "jobs" / f"{job.num}.yaml"))
        assert (config.name, config.loss.beta, config.seed) == ("mine", 0.25, 7 + job.num)
        manifest = json.loads((sweep / job.folder / "manifest.json").read_text())
        assert manifest["config_digest"] == job.config_digest
    assert ran(sweep) == [7, 8]


def test_what_a_job_is_frozen_with(place: Path, cluster: Path) -> None:
    variables = "+hydra.job.env_set.OWN=${seed}"
    assert main(["run", "-m", SLURM, "seed=3", variables, "hydra.launcher.partition=gpu"]) == 0
    (sweep,) = sweeps(place)
    frozen = read_frozen(sweep / "jobs" / "0.yaml")
    assert frozen.environment == {"OWN": "3"}
    assert frozen.cwd == str(place)
    assert Path(frozen.run_dir).parent == sweep
    assert frozen.logging["handlers"]["file"]["filename"] == f"{frozen.run_dir}/run.log"
    assert frozen.command == ["judgekit run", "-m", SLURM, "seed=3", variables, "hydra.launcher.partition=gpu"]
    held = read_sweep(sweep)
    assert [job.overrides for job in held.jobs] == [["seed=3"]]
    assert held.launcher.partition == "gpu"  # type: ignore[union-attr]


def test_mistakes_in_the_launcher_are_told_before_anything_is_submitted(
    place: Path, cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "-m", SLURM, "seed=3", "hydra.launcher.minutes=0", "hydra.launcher.memory=lots"]) == 2
    assert capsys.readouterr().err == (
        "judgekit: The configuration has 2 mistakes:\n"
        "  hydra.launcher.memory: 'lots' is not a number\n"
        "  hydra.launcher.minutes: 0 is out of range; allowed: at least 1\n"
    )
    assert not (cluster / "sbatch.script").exists()


def test_a_wrong_value_far_into_a_grid_starts_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = ",".join(str(number) for number in range(9))
    assert main(["run", "-m", f"seed={values},x"]) == 2
    assert "'x' is not a whole number" in capsys.readouterr().err
    assert not (place / "outputs" / "sweeps").exists()


def test_grids_that_differ_have_folders_that_differ(place: Path) -> None:
    assert main(["run", "-m", "seed=5,6"]) == 0
    assert main(["run", "-m", "seed=5,7"]) == 0
    assert len(sweeps(place)) == 2
    assert [ran(sweep) for sweep in sweeps(place)] == [[5, 6], [5, 7]]


def test_every_job_has_a_log_and_a_failure_is_in_it_whole(place: Path) -> None:
    assert main(["run", "-m", f"seed={FAILS},6"]) == 2
    (sweep,) = sweeps(place)
    logs = {path.parent.name[0]: path.read_text() for path in sweep.glob("[0-9]*/run.log")}
    assert "Traceback" in logs["0"] and "StageError" in logs["0"] and logs["1"] == ""


def test_submitting_imports_no_torch(place: Path, cluster: Path) -> None:
    program = (
        "import sys\nfrom judgekit.cli import main\n"
        f"assert main(['run', '-m', {SLURM!r}, 'seed=1,2']) == 0\n"
        "print(sorted({'torch', 'transformers', 'lightning'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=place, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_defaults_are_those_of_the_configuration(place: Path) -> None:
    assert main(["run", "-m", "seed=6"]) == 0
    (sweep,) = sweeps(place)
    config = thaw(read_frozen(sweep / "jobs" / "0.yaml"))
    assert config.seed == 6 and config.loss == RunConfig().loss
