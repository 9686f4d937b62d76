from __future__ import annotations

import io
import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet
import pytest
from rich.console import Console

from judgekit.cli import main
from judgekit.commands.sweep import find_sweep
from judgekit.errors import DataError
from judgekit.schema.config import RunConfig
from judgekit.schema.launchers import LocalLauncherConfig, SlurmLauncherConfig
from judgekit.store import write_json_atomic
from judgekit.sweep_folder import read_sweep
from judgekit.sweeps.board import board
from judgekit.sweeps.collect import collect
from judgekit.sweeps.launching import launch
from judgekit.sweeps.status import JobStatus
from tests.sweeps.jobs import finish, prepare

STAGE = {"tokens": {"prompt": 10, "generated": 5}, "generations": {"sampled": 2, "cached": 1}, "seconds": 1.25}


@pytest.fixture
def folder(cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep of three jobs on SLURM: one done, one running, one cancelled."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "sweep"
    launch(folder, "sweep", SlurmLauncherConfig(), prepare(folder, [0, 1, 2]))
    finish(RunConfig(seed=0), folder / "0-seed", stages=[STAGE, STAGE | {"cost": 0.25}])
    write_json_atomic(folder / "0-seed" / "metrics.json", {"eval/sft/own/accuracy": 0.5, "eval/sft/own/tie_rate": None})
    (cluster / "squeue.says").write_text("12_0|COMPLETED\n12_1|RUNNING\n12_2|CANCELLED\n")
    return folder


def test_status(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["sweep", "status", "sweep"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["job", "state", "stage", "slurm", "overrides"],
        ["0", "done", "12_0", "seed=0"],
        ["1", "running", "starting", "12_1", "seed=1"],
        ["2", "cancelled", "cancelled", "12_2", "seed=2"],
        ["3", "jobs:", "1", "done,", "1", "running,", "1", "cancelled"],
    ]
    assert main(["sweep", "status", "--json", "sweep"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(job["num"], job["state"], job["ids"]) for job in found][2] == (2, "cancelled", ["12_2"])


def test_states_show_however_long_errors_and_overrides_are(folder: Path) -> None:
    """Each job has a line of its own at any width, and what ended it stands below in full."""
    first, second, third = read_sweep(folder).jobs
    error = f"/a/long/path/{'x' * 200}.jsonl, line 3: {'no such field ' * 10}"
    found = [
        JobStatus(replace(first, overrides=["recipe.plans=1", "seed=0"]), "failed", error, 3, 3725.4, "node17"),
        JobStatus(replace(second, overrides=["recipe.plans=2", "seed=0"]), "running", "pairs: 3/4", 1, 61.0, "node17"),
        JobStatus(replace(third, overrides=[f"recipe.plans={9 * 30 * '1'}", "seed=0"]), "queued"),
    ]
    for width in (60, 100, 200):
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(board(found))
        text = console.export_text()
        lines = text.splitlines()
        jobs = [line.split() for line in lines if re.match(r"\d ", line)]
        assert [job[:2] for job in jobs] == [["0", "failed"], ["1", "running"], ["2", "queued"]]
        assert max(map(len, lines)) <= width
        assert error.replace(" ", "") in text.replace("\n", "").replace(" ", "")
    assert lines[0].split() == ["job", "state", "stage", "tries", "time", "slurm", "node", "overrides"]
    assert jobs[0][2:] == ["3", "1:02:05", "12_0", "node17", "recipe.plans=1"], "seed is the same in all"
    assert jobs[1][2:] == ["pairs:", "3/4", "1:01", "12_1", "node17", "recipe.plans=2"]


def test_sweeps_are_found_by_part_of_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="outputs/sweeps: there is no sweep here"):
        find_sweep("latest")
    for number, name in enumerate(("rho-a", "rho-b", "plans")):
        place = tmp_path / "outputs" / "sweeps" / name
        launch(place, "sweep", LocalLauncherConfig(), prepare(place, []))
        os.utime(place / "sweep.json", (number, number))
    found = {name: find_sweep(name).name for name in ("plan", "rho-b", "latest", "outputs/sweeps/rho-a")}
    assert found == {"plan": "plans", "rho-b": "rho-b", "latest": "plans", "outputs/sweeps/rho-a": "rho-a"}
    with pytest.raises(DataError, match="several sweeps have that in their names: rho-a, rho-b"):
        find_sweep("rho")
    assert main(["sweep", "status", "rho-a", "plans"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line for line in told if line.startswith("outputs")] == ["outputs/sweeps/rho-a", "outputs/sweeps/plans"]
    assert main(["sweep", "status", "none"]) == 2 and "none/sweep.json: no such file" in capsys.readouterr().err


def test_a_controller_that_forgets_for_a_moment_gets_no_job_twice(
    tmp_path: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As while SLURM reads its configuration anew: it answers, and knows no job that waits."""
    monkeypatch.chdir(tmp_path)
    launch(tmp_path / "sweep", "sweep", SlurmLauncherConfig(), prepare(tmp_path / "sweep", [0]))
    (cluster / "squeue").write_text(
        f"#!/bin/sh\n[ -e {cluster}/looked ] && echo '12|PENDING'\ntouch {cluster}/looked\n"
    )
    assert main(["sweep", "retry", "sweep"]) == 0
    assert capsys.readouterr().err.endswith("Nothing to do: 1 queued.\n")
    assert read_sweep(tmp_path / "sweep").jobs[0].ids == ["12"]


def test_retry_may_change_the_limits_of_jobs(folder: Path, cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (cluster / "sbatch.next").write_text("40")
    for wrong, told in (("minutes", "not a setting"), ("minutes=0", "launcher.minutes"), ("minuts=3", "minutes")):
        assert main(["sweep", "retry", "sweep", wrong]) == 2
        assert told in capsys.readouterr().err
    assert read_sweep(folder).jobs[2].ids == ["12_2"], "nothing was submitted"
    frozen = folder / "jobs" / "2.yaml"
    text = frozen.read_text()
    frozen.write_text(text.replace("  nodes: 1\n", "  nodes: 2\n"))
    assert main(["sweep", "retry", "sweep", "minutes=90"]) == 2
    assert "trainer.nodes: training takes 2 nodes, and its SLURM job has 1" in capsys.readouterr().err
    assert read_sweep(folder).launcher == SlurmLauncherConfig(), "nothing is changed"
    frozen.write_text(text)
    assert main(["sweep", "retry", "sweep", "minutes=90", "hydra.launcher.memory=8"]) == 0
    launcher = read_sweep(folder).launcher
    assert isinstance(launcher, SlurmLauncherConfig) and (launcher.minutes, launcher.memory) == (90, 8.0)
    script = next(path for path in (folder / "jobs" / "slurm").glob("*.sh") if "--time=90" in path.read_text())
    assert "--mem=8" in script.read_text()


def test_retry_submits_what_is_not_done_and_not_under_way(
    folder: Path, cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (cluster / "sbatch.next").write_text("40")
    frozen = {path: path.read_bytes() for path in (folder / "jobs").glob("*.yaml")}
    assert main(["sweep", "retry", "sweep"]) == 0
    assert "Starting 1 of 3 jobs again: #2\n" in capsys.readouterr().err
    assert [job.ids for job in read_sweep(folder).jobs] == [["12_0"], ["12_1"], ["12_2", "40"]]
    assert {path: path.read_bytes() for path in (folder / "jobs").glob("*.yaml")} == frozen
    (cluster / "squeue.says").write_text("12_1|RUNNING\n40|PENDING\n")
    assert main(["sweep", "retry", "sweep"]) == 0
    assert capsys.readouterr().err == "Nothing to do: 1 done, 1 running, 1 queued.\n"


def test_cancel(folder: Path, cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["sweep", "cancel", "sweep"]) == 0
    assert (cluster / "scancel.asked").read_text() == "12_1\n"
    assert capsys.readouterr().err == "1 jobs cancelled. Start them again with: judgekit sweep retry sweep\n"
    main(["sweep", "status", "--json", "sweep"])
    found = json.loads(capsys.readouterr().out)
    assert [(job["state"], job["detail"]) for job in found][1] == ("cancelled", "by judgekit sweep cancel")


def test_collect_has_a_row_for_every_job(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["sweep", "collect", "sweep"]) == 0
    assert capsys.readouterr().out == "sweep/sweep.parquet\nsweep/sweep.csv\nsweep/report.html\n"
    rows = pyarrow.parquet.read_table(folder / "sweep.parquet").to_pylist()
    assert [(row["job"], row["state"], row["seed"], row["loss"]) for row in rows] == [
        (0, "done", 0, "dpo"), (1, "running", 1, "dpo"), (2, "cancelled", 2, "dpo"),
    ]  # fmt: skip
    assert [row["eval/sft/own/accuracy"] for row in rows] == [0.5, None, None]
    cost = {name.removeprefix("cost/"): value for name, value in rows[0].items() if name.startswith("cost/")}
    assert cost == {
        "prompt_tokens": 20, "generated_tokens": 10, "sampled": 4, "drawn_tokens": 30, "stage_seconds": 2.5,
        "run_seconds": 1.5, "price": 0.25,
    }  # fmt: skip
    assert pyarrow.csv.read_csv(folder / "sweep.csv").column_names == list(rows[0])


def test_columns_of_mixed_values(folder: Path) -> None:
    sweep = read_sweep(folder)
    for job, value in zip(sweep.jobs, ("1", "0.5", "null"), strict=True):
        job.overrides[:] = [f"+loss.beta={value}", "recipe.sft.betas=[1,2]", "name='x'"]
    rows = collect(sweep)
    assert [row["loss.beta"] for row in rows] == [1, 0.5, "null"]
    assert rows[0]["recipe.sft.betas"] == "[1,2]" and rows[0]["name"] == "x"
    sweep.write()
    assert main(["sweep", "collect", str(folder), "-o", str(folder / "mine.parquet")]) == 0
    assert pyarrow.parquet.read_table(folder / "mine.parquet")["loss.beta"].to_pylist() == ["1", "0.5", "null"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["status", "bin"], "bin/sweep.json: no such file"),
        (["collect", "sweep", "-o", "table.xlsx"], "table.xlsx: a table ends in .csv or .parquet"),
    ],
)
def test_mistakes(folder: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["sweep", *arguments]) == 2
    assert told in capsys.readouterr().err


def test_text_from_outside_cannot_redraw_a_terminal(folder: Path) -> None:
    job = read_sweep(folder).jobs[0]
    console = Console(width=80, record=True, file=sys.stderr)
    console.print(board([JobStatus(job, "failed", "\x1b[2J[bold]x[/bold]\x07")]))
    text = console.export_text()
    assert "\x1b" not in text and "\x07" not in text and "[bold]x[/bold]" in text
