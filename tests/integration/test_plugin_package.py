"""A package with a prompt, loss, sampler, benchmark, bias control and recipe of its own, installed beside judgekit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.training.tiny import make_model

pytestmark = pytest.mark.integration

PROJECT = Path(__file__).parents[2]
SMALL = [
    "sampler=canned", "benchmark=riddles", "store=store",
    "sampler.judge_tokens=64",
    "model.max_length=1024", "model.dtype=float32", "data.response_tokens=64", "data.first_round=6",
    "data.validation=0", "data.held_out=0", "recipe.sft.max_steps=1",
    "hydra.run.dir=out", "trainer.max_tokens=1024", "data.sources.starter=null",
    "data.sources.maths=null", "data.sources.constraints.count=24",
]  # fmt: skip
RUN = [
    *SMALL, "recipe=self_taught", "prompt=terse", "loss=hinge", "recipe.validate=false",
    "recipe.warm_start.enabled=false", "recipe.iterations=1", "recipe.dpo.max_steps=1", "recipe.judgments=2",
]  # fmt: skip


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment: judgekit as its wheel lays it out, its dependencies by path, and the package by pip."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    inner = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    shutil.copytree(PROJECT / "judgekit", inner / "judgekit")
    shutil.copytree(PROJECT / "conf", inner / "judgekit" / "conf")
    shutil.copytree(PROJECT / "launchers" / "hydra_plugins", inner / "hydra_plugins")
    (inner / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    package = shutil.copytree(PROJECT / "tests" / "sample_package", folder / "sample_package")
    install = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", str(package)]
    # The environment's own setuptools builds it.
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *install], check=True, timeout=300)
    return python


def judgekit(python: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from judgekit.cli import main; sys.exit(main())"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [python, "-c", code, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )


def test_a_run_uses_what_the_package_adds(python: Path, tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", max_position_embeddings=1024)
    (tmp_path / "riddles.jsonl").write_text('{"riddle": "What has keys?", "right": "a piano", "wrong": "a door"}\n')
    run = [*RUN, f"model.path={model}", "benchmark.riddles.path=riddles.jsonl"]
    checked = judgekit(python, tmp_path, "check", *run)
    assert checked.returncode == 0, checked.stderr
    assert "benchmark/riddles" in checked.stdout and "train/dpo1" in checked.stdout
    done = judgekit(python, tmp_path, "run", *run)
    assert done.returncode == 0, done.stderr
    numbers = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert numbers["eval/dpo1/riddles/accuracy"] == 0.5 and numbers["eval/dpo1/riddles/sections/solved"] == 1
    assert numbers["train/dpo1/loss"] > 0


def test_a_run_of_its_recipe_under_its_control(python: Path, tmp_path: Path) -> None:
    alone = judgekit(python, tmp_path, "check", "recipe=direct")
    assert alone.returncode == 0 and "demonstrations/direct" in alone.stdout, alone.stderr
    told = judgekit(python, tmp_path, "explain", "bias.length_gap")
    assert told.returncode == 0 and "over so many times as long" in told.stdout
    model = make_model(tmp_path / "model", max_position_embeddings=1024)
    (tmp_path / "riddles.jsonl").write_text('{"riddle": "What has keys?", "right": "a piano", "wrong": "a door"}\n')
    run = [*SMALL, "recipe=direct", f"model.path={model}", "benchmark.riddles.path=riddles.jsonl"]
    done = judgekit(python, tmp_path, "run", *run, "bias.length_gap=1.3", "recipe.share=0.5")
    assert done.returncode == 0, done.stderr
    stages = {stage["name"]: stage for stage in json.loads((tmp_path / "out" / "manifest.json").read_text())["stages"]}
    kept, dropped = stages["pairs"]["rows"]["constraints"], stages["pairs"]["dropped"]
    uneven = dropped["one response much longer (bias.length_gap)"]
    assert 0 < uneven < kept
    assert stages["demonstrations/direct"]["rows"]["demonstrations"] == 2 * 3  # half of D1's six in both orders
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["eval/direct/riddles/accuracy"] == 0.5


def test_a_wrong_name_is_compared_with_its_names(python: Path, tmp_path: Path) -> None:
    wrong = judgekit(python, tmp_path, "check", *RUN, "prompt=ters")
    assert wrong.returncode == 2 and "Did you mean 'terse'?" in wrong.stderr
