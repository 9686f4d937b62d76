from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet
import pytest

from judgekit.cli import main
from judgekit.schema.config import RunConfig
from judgekit.schema.launchers import SlurmLauncherConfig
from judgekit.store import write_json_atomic
from judgekit.sweep_folder import read_sweep
from judgekit.sweeps.board import table
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
    assert lines[1:] == [
        ["0", "done", "seed=0"],
        ["1", "running", "starting", "seed=1"],
        ["2", "cancelled", "cancelled", "seed=2"],
        ["3", "jobs:", "1", "done,", "1", "running,", "1", "cancelled"],
    ]
    assert main(["sweep", "status", "--json", "sweep"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(job["num"], job["state"], job["ids"]) for job in found][2] == (2, "cancelled", ["12_2"])


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
        "prompt_tokens": 20, "generated_tokens": 10, "sampled": 4, "stage_seconds": 2.5, "run_seconds": 1.5,
        "price": 0.25,
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
    from rich.console import Console

    job = read_sweep(folder).jobs[0]
    console = Console(width=80, record=True, file=sys.stderr)
    console.print(table([JobStatus(job, "failed", "\x1b[2J[bold]x[/bold]\x07")]))
    text = console.export_text()
    assert "\x1b" not in text and "\x07" not in text and "[bold]x[/bold]" in text
