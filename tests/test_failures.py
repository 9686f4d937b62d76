"""What a user sees when something outside the program is wrong: one paragraph that says what to mend, and exit code 2.

After mending it the same command must work: nothing half written may be taken for whole.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from judgekit.cli import main
from tests.integration.judge_model import make_judge_model

PROJECT = Path(__file__).resolve().parents[1]
QUICK = ["loss=sft", "recipe.warm_start.enabled=false", "recipe.validate=false", "recipe.plans=1"]
OWN = "+data.sources.own={kind: jsonl, pairs: given, path: own.jsonl}"
GOOD = {"instruction": "Say yes.", "response_a": "Yes.", "response_b": "No.", "label": "A"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_judge_model(tmp_path_factory.mktemp("model") / "model")


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


@pytest.fixture
def judgekit(model: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run the smallest whole experiment; gives the exit code and everything on stderr."""

    def run(*overrides: str, command: str = "run", flags: tuple[str, ...] = ()) -> tuple[int, str]:
        conf = ["--config-dir", str(PROJECT / "tests" / "integration" / "conf")]
        every = ["experiment=killed", f"model.path={model}", *QUICK, *overrides]
        code = main([command, *conf, *flags, *dict((text.split("=")[0], text) for text in every).values()])
        return code, capfd.readouterr().err

    return run


def paragraph(error: str) -> str:
    """The one paragraph that ends what was printed, its only account of the failure."""
    before, mark, told = error.rpartition("judgekit: ")
    assert mark and (not before or before.endswith("\n"))
    assert "judgekit: " not in before
    for unwanted in ("Traceback", "Error executing job", "Set the environment variable", "Error:"):
        assert unwanted not in error
    assert told.endswith("\n") and "\n\n" not in told
    assert told[:40] not in before
    return told.removesuffix("\n")


def status(run_dir: Path) -> str:
    return str(json.loads((run_dir / "manifest.json").read_text(encoding="utf-8"))["status"])


def write_rows(path: Path, *lines: Any) -> Path:
    path.write_bytes(
        b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    )
    return path


BAD_LINES: dict[str, tuple[Any, str]] = {
    "a missing field": (
        {"instruction": "Say no.", "response_a": "No.", "label": "A"},
        ", line 3, field 'response_b': missing",
    ),
    "a label that is none": (GOOD | {"label": "C"}, ", line 3, field 'label': "),
    "broken UTF-8": (b'{"instruction": "Sa\xff"}', ", line 3: not UTF-8"),
    "broken JSON": (b'{"instruction": "Say', ", line 3: not JSON"),
    "no object": ([1, 2], ", line 3: holds list where an object belongs"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_of_a_source_is_named(judgekit: Callable[..., tuple[int, str]], place: Path, name: str) -> None:
    bad, expected = BAD_LINES[name]
    write_rows(place / "own.jsonl", GOOD, GOOD | {"instruction": "Say so."}, bad)
    code, error = judgekit(OWN)
    assert code == 2
    assert paragraph(error).startswith(f"own.jsonl{expected}")
    (run_dir,) = (place / "outputs").glob("killed*")
    assert status(run_dir) == "failed"
    assert not list((place / "outputs" / "store").rglob("stage.json"))


def test_a_mended_source_is_read_anew(judgekit: Callable[..., tuple[int, str]], place: Path) -> None:
    for lines, expected in (([GOOD, b"{"], 2), ([GOOD, GOOD | {"instruction": "Say so."}], 0)):
        write_rows(place / "own.jsonl", *lines)
        code, error = judgekit(OWN)
        assert code == expected, error
    (run_dir,) = (place / "outputs").glob("killed*")
    assert status(run_dir) == "finished"
    (pairs,) = (place / "outputs" / "store" / "stages" / "pairs").glob("*/pairs.jsonl")
    assert sum('"subset": "own"' in line for line in pairs.read_text().splitlines()) == 2


def test_a_folder_that_is_no_model(judgekit: Callable[..., tuple[int, str]], place: Path) -> None:
    (place / "empty").mkdir()
    code, error = judgekit("model.path=empty")
    assert code == 2
    assert paragraph(error) == "empty is not a model folder: config.json is missing."
    code, error = judgekit("model.path=nowhere")
    assert code == 2
    assert "model.path (override model.path=nowhere)" in paragraph(error)


def test_pickled_weights_are_refused(judgekit: Callable[..., tuple[int, str]], place: Path, model: Path) -> None:
    (place / "old").mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (place / "old" / name).write_bytes((model / name).read_bytes())
    (place / "old" / "pytorch_model.bin").write_bytes(b"\x80\x04")
    code, error = judgekit("model.path=old")
    assert code == 2
    assert paragraph(error).startswith("old has no usable weights: pytorch_model.bin is a pickle")


@pytest.mark.parametrize("content", [b"{", b"not safetensors at all"])
def test_damaged_weights_are_named(
    judgekit: Callable[..., tuple[int, str]], place: Path, model: Path, content: bytes
) -> None:
    (place / "torn").mkdir()
    for file in model.iterdir():
        (place / "torn" / file.name).write_bytes(file.read_bytes())
    (place / "torn" / "model.safetensors").write_bytes(content)
    code, error = judgekit("model.path=torn")
    assert code == 2
    assert "torn" in paragraph(error)


def test_a_store_that_cannot_be_made(judgekit: Callable[..., tuple[int, str]], place: Path) -> None:
    (place / "file").write_text("not a folder")
    code, error = judgekit("store=file/store")
    assert code == 2
    assert paragraph(error).startswith("Cannot use file/store/stages/instructions/")
    assert "choose another store folder" in error


@pytest.fixture
def disk(place: Path) -> Iterator[Callable[[str], Path]]:
    """A file system of its own, mounted again with other options when called again."""
    folder = place / "disk"
    folder.mkdir()
    mounted = []

    def mount(options: str) -> Path:
        options += ",remount" if mounted else ""
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True)
        if done.returncode != 0:
            if "CI" in os.environ:
                pytest.fail(f"cannot mount a disk: {done.stderr}")
            pytest.skip("mounting a disk of its own takes root")
        mounted.append(options)
        return folder

    yield mount
    if mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_store_that_may_not_be_written(judgekit: Callable[..., tuple[int, str]], disk: Callable[[str], Path]) -> None:
    disk("ro")
    code, error = judgekit("store=disk/store")
    assert code == 2
    told = paragraph(error)
    assert told.startswith("Cannot use disk/store/stages/instructions/") and "Read-only file system" in told
    assert "choose another store folder" in told


@pytest.mark.parametrize("size", ["16k", "128k"])
def test_a_full_disk_says_so_and_the_run_goes_on_with_more(
    judgekit: Callable[..., tuple[int, str]], place: Path, disk: Callable[[str], Path], size: str
) -> None:
    disk(f"size={size}")
    code, error = judgekit("store=disk/store")
    assert code == 2
    assert paragraph(error).startswith("The disk is full, writing to disk/store/")
    assert "run the same command again" in error
    before = {path: path.stat().st_mtime_ns for path in (place / "disk").rglob("stage.json")}
    disk("size=64m")
    code, error = judgekit("store=disk/store")
    assert code == 0, error
    assert {path: path.stat().st_mtime_ns for path in before} == before, "what was finished is kept"
    code, _ = judgekit("store=elsewhere")
    assert code == 0
    files = [
        {
            path.relative_to(place / root): path.read_bytes()
            for pattern in ("stages/**/*.jsonl", "stages/**/*.safetensors")
            for path in (place / root).glob(pattern)
        }
        for root in ("disk/store", "elsewhere")
    ]
    assert files[0] == files[1]


def test_a_benchmark_that_is_not_there(judgekit: Callable[..., tuple[int, str]], place: Path) -> None:
    llmbar = "benchmark=[starter,llmbar]"
    code, error = judgekit(llmbar, "benchmark.llmbar.path=nowhere")
    assert code == 2
    assert "benchmark.llmbar.path (override benchmark.llmbar.path=nowhere)" in paragraph(error)
    assert not (place / "outputs").exists()
    (place / "empty").mkdir()
    code, error = judgekit(llmbar, "benchmark.llmbar.path=empty")
    assert code == 2
    assert paragraph(error).startswith("empty: holds no dataset.json")


def test_every_failed_job_of_a_grid_is_told_and_the_others_finish(
    judgekit: Callable[..., tuple[int, str]], place: Path
) -> None:
    for name, lines in {"good": [GOOD], "bad": [GOOD, {}], "worse": [GOOD, GOOD, b"{"]}.items():
        write_rows(place / f"{name}.jsonl", *lines)
    source = ["+data.sources.own.kind=jsonl", "+data.sources.own.pairs=given"]
    code, error = judgekit(*source, "+data.sources.own.path=bad.jsonl,good.jsonl,worse.jsonl", flags=("-m",))
    assert code == 2
    first, *told = paragraph(error).splitlines()
    assert first == "2 of 3 jobs failed:"
    folders = sorted((place / "outputs" / "sweeps").glob("*/[0-9]*/"))
    assert [status(folder) for folder in folders] == ["failed", "finished", "failed"]
    for line, folder, expected in zip(told, folders[::2], ("bad.jsonl, line 2", "worse.jsonl, line 3"), strict=True):
        assert line.startswith(f"  {folder.relative_to(place)}: {expected}")


CONFIGS = {
    "not YAML": ("seed: [1, 2\nname: x\n", ["mine.yaml", "line 2"]),
    "a tab": ("seed:\n\t1\n", ["mine.yaml", "line 2"]),
    "a typo": ("# @package _global_\nrecipe:\n  plan: 3\n", ["recipe.plan", "recipe.plans"]),
    "out of range": ("# @package _global_\nloss:\n  beta: 0\n", ["loss.beta", "mine.yaml", "allowed: more than 0"]),
    "a list": ("- 1\n", ["mine"]),
}


@pytest.mark.parametrize("command", [["run"], ["check"], ["run", "-m"], ["run", "--cfg", "job"]], ids=" ".join)
@pytest.mark.parametrize("name", CONFIGS)
def test_a_mistake_in_ones_own_file_is_one_paragraph(
    place: Path, capsys: pytest.CaptureFixture[str], name: str, command: list[str]
) -> None:
    text, needed = CONFIGS[name]
    if "--cfg" in command and "YAML" not in name and "tab" not in name:
        needed = needed[:0]  # showing a configuration judges no values
    (place / "own" / "experiment").mkdir(parents=True)
    (place / "own" / "experiment" / "mine.yaml").write_text(text)
    code = main([*command, "--config-dir", "own", "experiment=mine"])
    error = capsys.readouterr().err
    if needed:
        assert code == 2
        told = paragraph(error)
        for part in needed:
            assert part in told
    assert "Traceback" not in error


def test_a_config_folder_that_is_not_there(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--config-dir", "nowhere", "experiment=mine"]) == 2
    assert "nowhere" in paragraph(capsys.readouterr().err)


def test_the_installed_command_ends_with_2(place: Path) -> None:
    command = [Path(sys.executable).with_name("judgekit"), "run", "recipe.plan=3"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert paragraph(done.stderr).startswith("The configuration has a mistake:\n  recipe.plan")
