from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from submitit.core.utils import UncompletedJobError

from judgekit.commands.sweep import cancel
from judgekit.errors import ConfigError, DataError, StageError
from judgekit.locks import held
from judgekit.schema.config import RunConfig
from judgekit.schema.launchers import LocalLauncherConfig, SlurmLauncherConfig
from judgekit.sweep_folder import Frozen, Sweep, SweepJob, history, read_frozen, read_sweep
from judgekit.sweeps import launching, local
from judgekit.sweeps.job import SlurmJob, main, run_job, thaw
from judgekit.sweeps.launching import launch
from judgekit.sweeps.status import statuses
from tests.sweeps.jobs import FAILS, FINE, HANGS, IS_BROKEN, IS_KILLED, LOCAL, finish, prepare, ran

SLURM = SlurmLauncherConfig()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local, "JOB", (sys.executable, "-m", "tests.sweeps.jobs"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    return tmp_path / "sweep"


def states(folder: Path) -> list[str]:
    return [status.state for status in statuses(read_sweep(folder))]


def test_a_repeated_sweep_executes_nothing_and_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        launch(folder, "sweep", LOCAL, prepare(folder, [FINE, 7]))
    assert ran(folder) == [FINE, 7]
    assert capsys.readouterr().err == (
        "#0: loss=dpo seed=0\n#0 done in 0 s\n#1: loss=dpo seed=7\n#1 done in 0 s\nReport: sweep/report.html\n"
        "Nothing to do: all 2 jobs in sweep are finished.\n"
    )


def test_a_report_that_cannot_be_written_costs_no_results(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(folder: Path) -> Path:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("judgekit.report.sweep.build_sweep_report", broken)
    launch(folder, "sweep", LOCAL, prepare(folder, [FINE]))
    assert "The report could not be written: a bug. Once mended: judgekit report sweep" in capsys.readouterr().err
    monkeypatch.undo()
    launch(folder, "sweep", LOCAL, prepare(folder, [FINE]))
    assert (folder / "report.html").exists(), "a finished sweep without a report gets one"


def test_another_configuration_runs_again(folder: Path) -> None:
    launch(folder, "sweep", LOCAL, prepare(folder, [FINE, 7]))
    launch(folder, "sweep", LOCAL, prepare(folder, [FINE, 8]))
    assert ran(folder) == [FINE, 7, 8]


def test_shards_that_would_wait_for_jobs_behind_them_are_refused(folder: Path) -> None:
    jobs = prepare(folder, [5, 5])
    for number, job in enumerate(jobs):
        job.frozen.config["sampler"] |= {"shards": 2, "shard": number}
    with pytest.raises(ConfigError, match="wait for each other, and 1 jobs run at a time.*n_jobs=2"):
        launch(folder, "sweep", LOCAL, jobs)
    assert ran(folder) == []
    for job in jobs:
        job.frozen.config["sampler"] |= {"shard_wait": 0.0}
    launch(folder, "sweep", LOCAL, jobs)
    assert ran(folder) == [5, 5]


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_a_job_that_fails_takes_no_other_with_it(folder: Path, n_jobs: int) -> None:
    seeds = [FAILS, FINE, *([IS_KILLED] if n_jobs > 1 else []), 9]
    with pytest.raises(StageError) as error:
        launch(folder, "sweep", LocalLauncherConfig(n_jobs=n_jobs), prepare(folder, seeds))
    first, *told = str(error.value).splitlines()
    assert first == f"{n_jobs // 2 + 1} of {len(seeds)} jobs failed:"
    assert told[:2] == ["  sweep/0-seed: the data are wrong", "in line 3"]
    assert told[2:] == (["  sweep/2-seed: killed ended without a word"] if n_jobs > 1 else [])
    expected = {FAILS: "failed", IS_KILLED: "killed"}
    assert states(folder) == [expected.get(seed, "done") for seed in seeds]
    assert sorted(ran(folder)) == sorted(seeds)
    (folder / "mended").touch()
    launch(folder, "sweep", LocalLauncherConfig(n_jobs=n_jobs), prepare(folder, seeds))
    assert states(folder) == ["done"] * len(seeds)
    assert len(ran(folder)) == len(seeds) + len(told[:1]) + len(told[2:])


def test_a_bug_keeps_its_traceback_and_the_others_run(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        launch(folder, "sweep", LOCAL, prepare(folder, [IS_BROKEN, FINE]))
    assert states(folder) == ["failed", "done"]


def test_a_terminal_shows_what_becomes_of_each_job_and_not_its_tables(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with pytest.raises(StageError):
        launch(folder, "sweep", LOCAL, prepare(folder, [FINE, FAILS]))
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == (
        "#0: loss=dpo seed=0\n#0 done in 0 s\n#1: loss=dpo seed=1\n#1 failed: the data are wrong\n"
        "Report: sweep/report.html\n"
    )
    assert (folder / "jobs" / "0.log").read_text() == "results of 0\n"


def test_an_interrupt_reaches_the_jobs_and_leaves_them_resumable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: object, found: object) -> None:
        if ran(folder) == [HANGS]:
            raise KeyboardInterrupt

    monkeypatch.setattr(local.Board, "show", interrupt)
    with pytest.raises(KeyboardInterrupt):
        launch(folder, "sweep", LocalLauncherConfig(n_jobs=2), prepare(folder, [HANGS]))
    assert states(folder) == ["interrupted"]


def test_cancelling_elsewhere_ends_running_jobs_and_starts_no_waiting_ones(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(self: object, found: object) -> None:
        if ran(folder) == [HANGS]:
            cancel(folder)

    monkeypatch.setattr(local.Board, "show", look)
    folder.mkdir()
    sweep, todo = launching.register(folder, "sweep", LOCAL, prepare(folder, [HANGS, FINE]))
    sweep.write()
    local.run_beside(sweep, todo, 1)
    assert ran(folder) == [HANGS]
    assert states(folder)[0] in ("interrupted", "cancelled") and states(folder)[1] == "cancelled"


def test_jobs_under_way_are_left_alone(folder: Path, cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    launch(folder, "sweep", SLURM, prepare(folder, [0, 1]))
    frozen = (folder / "jobs" / "0.yaml").read_bytes()
    (cluster / "squeue.says").write_text("12_0|RUNNING\n12_1|CANCELLED\n")
    (cluster / "sbatch.next").write_text("13")
    capsys.readouterr()
    launch(folder, "sweep", SLURM, prepare(folder, [5, 1]))
    assert [job.ids for job in read_sweep(folder).jobs] == [["12_0"], ["12_1", "13"]]
    assert (folder / "jobs" / "0.yaml").read_bytes() == frozen
    assert capsys.readouterr().err.splitlines()[:2] == [
        "#0 is running with another configuration and goes on with that.",
        "1 of 2 jobs in sweep are finished or under way.",
    ]


def test_waiting_shows_the_jobs_until_they_end(
    folder: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (cluster / "squeue.says").write_text("12_0|RUNNING\n12_1|PENDING\n")

    def sleep(seconds: float) -> None:
        finish(RunConfig(seed=0), folder / "0-seed")
        (cluster / "squeue.says").write_text("12_0|COMPLETED\n12_1|TIMEOUT\n")

    monkeypatch.setattr(launching, "sleep", sleep)
    with pytest.raises(StageError, match="1 of 2 jobs failed"):
        launch(folder, "sweep", replace(SLURM, wait=True), prepare(folder, [0, 1]))
    assert capsys.readouterr().err.splitlines() == [
        "2 jobs submitted: 12", "#0 running: starting", "#1 queued: pending", "#0 done", "#1 timed out: timeout",
        "Report: sweep/report.html",
    ]  # fmt: skip


def test_a_job_runs_from_its_frozen_file(folder: Path) -> None:
    folder.mkdir()
    prepared = prepare(folder, [3])
    sweep, todo = launching.register(folder, "sweep", LOCAL, prepared)
    path = sweep.files(todo[0]).config
    frozen = read_frozen(path)
    assert thaw(frozen) == RunConfig(seed=3)
    assert isinstance(thaw(frozen).recipe.sft.betas, tuple)  # type: ignore[union-attr]
    text = path.read_text()
    path.write_text(text.replace("seed: 3", "seeed: 3"))
    with pytest.raises(ConfigError, match="seeed"):
        run_job(sweep, todo[0])
    assert [event["event"] for event in history(sweep.files(todo[0]).events)] == ["started", "ended"]
    path.unlink()
    with pytest.raises(DataError, match="not a frozen job"):
        run_job(sweep, todo[0])


def test_a_job_runs_once_at_a_time(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder.mkdir()
    sweep, todo = launching.register(folder, "sweep", LOCAL, prepare(folder, [FINE]))
    with held(sweep.files(todo[0]).lock, "job 0"):
        launching.run(sweep, todo, [])
    assert ran(folder) == []
    assert "#0 is left out: job 0 is held by process" in capsys.readouterr().err


def test_a_slurm_job_resumes_and_skips_what_is_done(folder: Path) -> None:
    folder.mkdir()
    sweep, todo = launching.register(folder, "sweep", SLURM, prepare(folder, [FINE]))
    job = SlurmJob(sweep.folder, 0)
    again = job.checkpoint()
    assert again.function == job
    job()
    again.result()
    assert ran(folder) == [FINE]
    events = [event["event"] for event in history(sweep.files(todo[0]).events)]
    assert events == ["requeued", "started", "ended", "ended"]


@pytest.mark.parametrize(
    ("error", "noted"),
    [
        (SystemExit(-1), ["started"]),
        (subprocess.CalledProcessError(-15, ["scontrol", "requeue", "12"]), ["started"]),
        (subprocess.TimeoutExpired(["scontrol", "requeue", "12"], 60), ["started"]),
        (subprocess.CalledProcessError(1, ["git", "rev-parse"]), ["started", "ended"]),
    ],
)
def test_a_job_that_slurm_queues_again_has_not_ended(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, noted: list[str]
) -> None:
    """Also where SLURM stops it before its own request to be queued again is answered."""

    def stopped(config: RunConfig, run_dir: Path) -> None:
        raise error

    folder.mkdir()
    sweep, todo = launching.register(folder, "sweep", SLURM, prepare(folder, [FINE]))
    monkeypatch.setattr(sys.modules["judgekit.runner"], "run_recipe", stopped)
    with pytest.raises(type(error)):
        run_job(sweep, todo[0])
    assert [event["event"] for event in history(sweep.files(todo[0]).events)] == noted


def test_a_time_limit_is_told_as_such_whatever_was_under_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that takes every exception for its own, such as a lazy import, does not swallow it."""

    def runs_out(number: int, frame: object) -> None:
        raise UncompletedJobError("Job not requeued because: timed-out too many times.")

    def imports(config: RunConfig, run_dir: Path) -> None:
        try:
            signal.raise_signal(signal.SIGUSR2)
        except Exception as error:
            raise ModuleNotFoundError("Could not import module 'PreTrainedModel'") from error

    folder.mkdir()
    sweep, todo = launching.register(folder, "sweep", SLURM, prepare(folder, [FINE]))
    monkeypatch.setattr(sys.modules["judgekit.runner"], "run_recipe", imports)
    before = signal.signal(signal.SIGUSR2, runs_out)
    try:
        with pytest.raises(UncompletedJobError, match="timed-out"):
            SlurmJob(sweep.folder, 0)()
        assert signal.getsignal(signal.SIGUSR2) is runs_out
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert history(sweep.files(todo[0]).events)[-1]["status"] == "timed out"
    assert states(folder) == ["timed out"]


def test_the_program_of_one_job(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder.mkdir()
    launching.register(folder, "sweep", LOCAL, prepare(folder, [FINE, FAILS]))
    assert main([str(folder), "0"]) == 0
    assert main([str(folder), "1"]) == 2
    assert capsys.readouterr().err == "judgekit: the data are wrong\nin line 3\n"


@pytest.mark.parametrize("text", ["{", "{}", '{"launcher": {"name": "cloud"}}', "[]"])
def test_a_damaged_sweep_is_named_and_written_anew(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "sweep.json").write_text(text)
    with pytest.raises(DataError, match=r"sweep\.json: damaged"):
        read_sweep(folder)
    launch(folder, "sweep", LOCAL, prepare(folder, [FINE]))
    assert states(folder) == ["done"]
    with pytest.raises(DataError, match="no such file. Name the folder"):
        read_sweep(folder / "0-seed")


def test_the_manifest_of_a_sweep(folder: Path) -> None:
    launch(folder, "mine", LOCAL, prepare(folder, [FINE]))
    values = json.loads((folder / "sweep.json").read_text())
    assert values["name"] == "mine" and values["launcher"] == {"name": "local", "n_jobs": 1}
    (job,) = values["jobs"]
    assert job["overrides"] == ["loss=dpo", "seed=0"] and job["folder"] == "0-seed" and job["ids"] == []
    frozen = yaml.safe_load((folder / "jobs" / "0.yaml").read_text())
    assert set(frozen) == set(Frozen.__dataclass_fields__)


def test_two_shells_submit_a_sweep_once(folder: Path, cluster: Path) -> None:
    """Whoever comes second finds the jobs queued."""
    (cluster / "squeue.says").write_text("".join(f"12_{num}|PENDING\n" for num in range(2)))
    program = (
        "from pathlib import Path; from tests.sweeps.jobs import *; from judgekit.sweeps.launching import launch\n"
        "from judgekit.schema.launchers import SlurmLauncherConfig\n"
        f"folder = Path({str(folder)!r}); launch(folder, 'sweep', SlurmLauncherConfig(), prepare(folder, [0, 1]))"
    )
    shells = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    assert [shell.wait(60) for shell in shells] == [0, 0]
    assert [job.ids for job in read_sweep(folder).jobs] == [["12_0"], ["12_1"]]


def test_numbers_beyond_a_batch_are_added() -> None:
    sweep = Sweep(Path("x"), "s", "", LOCAL, (SweepJob(0, [], "0", "a"),))
    grown = sweep.with_jobs([SweepJob(1, [], "1", "b"), SweepJob(0, [], "0", "c")])
    assert [(job.num, job.config_digest) for job in grown.jobs] == [(0, "c"), (1, "b")]
