"""docs/extending.md as it is written: its files make a package, and everything in it is used."""

from __future__ import annotations

import json
import math
import re
import tomllib
from pathlib import Path

import pytest

from judgekit.registry import GROUP
from tests.plugins import PROJECT, fresh, install, judgekit, planned
from tests.training.tiny import make_model

PAGE = (PROJECT / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FILES = {text.partition("\n")[0].removeprefix("# "): text for _, text in BLOCKS}
MODULE = tomllib.loads(FILES["pyproject.toml"])["project"]["entry-points"][GROUP]["mine"]
CHOICES = {Path(name).parts[1]: Path(name).stem for name in FILES if name.startswith("conf/")}
ALL = [f"{group}={name}" for group, name in CHOICES.items()]
SMALL = [
    "seed=5", "store=store", "model.path=model", "model.dtype=float32", "model.max_length=2048",
    "sampler.judge_tokens=16", "sampler.temperature=0.7", "data.response_tokens=64", "data.first_round=4",
    "data.validation=0", "data.held_out=2", "data.sources.starter=null", "data.sources.maths=null",
    "data.sources.constraints.count=8", "recipe.judgments=3", "recipe.sft.max_steps=1", "trainer.max_tokens=2048",
    "trainer.accelerator=cpu", "benchmark=[starter,quiz]", "benchmark.quiz.path=quiz.jsonl",
    "bias.no_position_words=true",
]  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the page, as pip would install it."""
    folder = tmp_path_factory.mktemp("site")
    install(folder, MODULE)
    for name, text in FILES.items():
        if name != "pyproject.toml":
            path = folder / (MODULE if name.startswith("conf/") else "") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for inner in {path.parent for path in folder.rglob("*.py")}:
        (inner / "__init__.py").touch()
    return folder


def test_every_block_is_a_file_of_the_package() -> None:
    assert len(FILES) == len(BLOCKS)
    assert all(re.fullmatch(rf"pyproject\.toml|{MODULE}/[\w/]+\.py|conf/\w+/\w+\.yaml", name) for name in FILES)
    assert set(CHOICES) == {"prompt", "loss", "benchmark", "sampler", "recipe"}


def test_the_table_says_where_files_go() -> None:
    folders = re.findall(r"^\| .+ \| .+ \| `(judgekit/[^`]+)` \| `([\w.]+)` \|$", PAGE, re.MULTILINE)
    assert len(folders) == 6
    for folder, register in folders:
        assert (PROJECT / folder).is_dir()
        source = (PROJECT / Path(*register.split(".")[:-1])).with_suffix(".py").read_text(encoding="utf-8")
        assert re.search(rf"^{register.rpartition('.')[2]}\b.* = ", source, re.MULTILINE)


def test_a_recipe_is_short() -> None:
    own = [text for name, text in FILES.items() if "majority" in name]
    assert len(own) == 4
    assert sum(bool(line.strip()) for text in own for line in text.splitlines()) < 80


def test_the_recipe_is_valid_by_itself(site: Path, tmp_path: Path) -> None:
    stages = planned(tmp_path, "recipe=majority", path=(site,))
    assert stages["demonstrations/majority"]["reads"] == ["bias.no_position_words", "prompt", "recipe.agreement"]
    others = [choice for choice in ALL if not choice.startswith("recipe=")]
    assert "train/dpo5" in planned(tmp_path, "recipe=self_taught", *others, path=(site,))
    wrong = judgekit(tmp_path, "check", "recipe=majority", "sampler.temperature=0", path=(site,))
    assert wrong.returncode == 2 and "greedy judgments always agree" in wrong.stderr
    told = judgekit(tmp_path, "explain", "bias.no_position_words", "recipe=majority", path=(site,)).stdout
    assert "says first or second" in told and "demonstrations/majority" in told


def test_a_control_that_is_off_changes_no_key(site: Path, tmp_path: Path) -> None:
    off, without = planned(tmp_path, path=(site,)), planned(tmp_path)
    assert [(name, stage["digest"]) for name, stage in off.items()] == [
        (name, stage["digest"]) for name, stage in without.items()
    ]


def test_the_recipe_runs_with_everything_else_on_the_page(site: Path, tmp_path: Path) -> None:
    make_model(tmp_path / "model", max_position_embeddings=2048)
    quiz = {"question": "What has keys?", "good": "a piano", "bad": "a door"}
    (tmp_path / "quiz.jsonl").write_text(json.dumps(quiz) + "\n")
    done = fresh(tmp_path, "-m", "tests.extended_run", *ALL, *SMALL, path=(site,))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["selected"] == {
        "rows": {"demonstrations": 2},  # the first pair, both orders
        "dropped": {"names a position (bias.no_position_words)": 2 * 3, "no majority": 2 * 2},
    }
    # The first position each time: right in one order of each pair.
    assert found["metrics"]["eval/majority/quiz/accuracy"] == found["metrics"]["eval/seed/starter/accuracy"] == 0.5
    assert found["metrics"]["train/majority/loss"] > 0
    assert found["loss"] == pytest.approx([math.log(1 + math.exp(1.0 - 2.0 * (-4 / 2 + 9 / 3)))])
    assert found["quiz"] == ["a door"]
    assert set(found["tossed"]) == {"[[A]]", "[[B]]"} and len(found["tossed"]) == 32
