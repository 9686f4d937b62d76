"""The run's folder: what is found in it, and that no other module spells its names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import judgekit
from judgekit.errors import DataError
from judgekit.run_folder import BIAS_FILE, JUDGE_FILE, WANDB, RunFolder, judge_folder

PACKAGE = Path(judgekit.__file__).parent
HOMES = {"run_folder.py", "sweep_folder.py"}
RUN = RunFolder(Path("run"))
FILES = {path.name for path in (RUN.config, RUN.manifest, RUN.metrics, RUN.series, RUN.report, RUN.bias)} | {
    JUDGE_FILE, BIAS_FILE, "run.log", "sweep.json",
}  # fmt: skip
FOLDERS = {path.parent.name for path in (RUN.pairs(""), RUN.responses(""), RUN.verdicts("", ""), RUN.scores("", ""))}
FOLDERS |= {RUN.judge.name, WANDB, RUN.export.name, "jobs"}
STAGES = {
    ("commands/rank.py", "responses"): "the command's own output folder",
    ("runner.py", "judge"): "a training stage's weights in the store",
    ("stages/lab.py", "judge"): "a training stage's weights in the store",
    ("stages/training.py", "judge"): "a training stage's weights in the store",
}
"""Folders of the same names elsewhere."""


def spelled(module: Path) -> Iterator[tuple[str, int]]:
    """Names of a run's files in a module's code, and of its folders where a path is put together."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and Path(node.value).name in FILES:
            yield Path(node.value).name, node.lineno
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant):
            if node.right.value in FOLDERS:
                yield str(node.right.value), node.lineno


def test_no_other_module_spells_a_name_of_the_run_folder() -> None:
    found = set()
    for module in sorted(PACKAGE.rglob("*.py")):
        place = module.relative_to(PACKAGE).as_posix()
        found |= {(place, name) for name, _ in spelled(module) if place not in HOMES}
    assert found == set(STAGES)


def test_the_names_are_those_that_other_tools_read() -> None:
    assert [path.as_posix() for path in (RUN.config, RUN.manifest, RUN.metrics, RUN.series, RUN.report, RUN.bias)] == [
        "run/config.yaml", "run/manifest.json", "run/metrics.json", "run/metrics.jsonl", "run/report.html",
        "run/bias.json",
    ]  # fmt: skip
    assert RUN.pairs("llmbar").as_posix() == "run/pairs/llmbar.jsonl"
    assert RUN.verdicts("dpo1", "llmbar").as_posix() == "run/verdicts/dpo1.llmbar.jsonl"
    assert RUN.responses("oasst").as_posix() == "run/responses/oasst.jsonl"
    assert RUN.scores("dpo1", "oasst").as_posix() == "run/scores/dpo1.oasst.jsonl"
    assert (RUN.judge / JUDGE_FILE).as_posix() == "run/judge/judge.yaml"


def test_a_folder_without_readable_files(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.read_metrics() == run.known_metrics() == run.known_manifest() == {}
    with pytest.raises(DataError, match="Name the folder of a run"):
        run.read_manifest()
    run.manifest.write_text("[]")
    run.metrics.write_text("{")
    assert run.known_manifest() == run.known_metrics() == {} and not run.is_finished("digest")
    with pytest.raises(DataError, match="not JSON.*Delete it to start anew"):
        run.read_metrics()
    assert RunFolder(run.manifest).known_manifest() == {}  # a file where the folder should be


def test_the_folder_of_a_judge_is_known_by_its_description(tmp_path: Path) -> None:
    (tmp_path / "run" / "judge").mkdir(parents=True)
    assert judge_folder(tmp_path / "run") is None
    (tmp_path / "run" / "judge" / "judge.yaml").touch()
    assert judge_folder(tmp_path / "run") == judge_folder(tmp_path / "run" / "judge") == tmp_path / "run" / "judge"
