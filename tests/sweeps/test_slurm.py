from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from judgekit.errors import StageError
from judgekit.schema.launchers import SlurmLauncherConfig
from judgekit.sweep_folder import Sweep, SweepJob, read_sweep
from judgekit.sweeps import slurm
from judgekit.sweeps.launching import launch
from tests.sweeps.jobs import prepare

WHOLE = SlurmLauncherConfig(
    partition="gpu",
    account="lab",
    qos="high",
    constraint="a100",
    nodes=2,
    tasks_per_node=4,
    gpus_per_node=4,
    cpus_per_task=8,
    memory=1.5,
    minutes=90,
    max_parallel=2,
    signal_seconds=120,
    setup=["module load cuda", "source env.sh"],
    sbatch={"mail-type": "FAIL", "nice": "10"},
)


def script(cluster: Path) -> list[str]:
    return (cluster / "sbatch.script").read_text().splitlines()


def test_the_submission_script(cluster: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    launch(folder, "sweep", WHOLE, prepare(folder, [0, 1, 2]))
    lines = script(cluster)
    assert [line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")] == [
        "account=lab",
        "array=0-2%2",
        "constraint=a100",
        "cpus-per-task=8",
        f"error={folder}/jobs/slurm/%A_%a_0_log.err",
        "gpus-per-node=4",
        "job-name=sweep",
        "mail-type=FAIL",
        "mem=1536M",
        "nice=10",
        "nodes=2",
        "ntasks-per-node=4",
        "open-mode=append",
        f"output={folder}/jobs/slurm/%A_%a_0_log.out",
        "partition=gpu",
        "qos=high",
        "requeue",
        "signal=B:USR2@120",
        "time=90",
    ]
    shell = [line for line in lines if line and not line.startswith("#")]
    assert shell == [
        "set -e",
        "module load cuda",
        "source env.sh",
        "set +e",
        "export SUBMITIT_EXECUTOR=slurm",
        # The shell makes way for Python, which therefore gets the signal.
        f"exec {sys.executable} -u -m submitit.core._submit {folder}/jobs/slurm",
    ]


def test_a_setup_that_fails_ends_the_job(cluster: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    config = SlurmLauncherConfig(setup=["cd /no/such/folder", "true"], container=f"touch {ran};")
    launch(tmp_path / "sweep", "sweep", config, prepare(tmp_path / "sweep", [0]))
    done = subprocess.run(["bash", str(cluster / "sbatch.script")], capture_output=True, text=True)
    assert done.returncode != 0 and "/no/such/folder" in done.stderr and not ran.exists()


@pytest.mark.parametrize(
    ("sbatch", "told"),
    [
        ({"wckey": "judges"}, ["requeue", "wckey=judges"]),
        ({"wckey": None}, ["requeue"]),
        ({"requeue": None}, []),
    ],
)
def test_options_of_sbatch_are_given_and_left_out(
    cluster: Path, tmp_path: Path, sbatch: dict[str, str | None], told: list[str]
) -> None:
    launch(tmp_path / "sweep", "sweep", SlurmLauncherConfig(sbatch=sbatch), prepare(tmp_path / "sweep", [0]))
    options = [line.removeprefix("#SBATCH --") for line in script(cluster)]
    assert [option for option in options if option.startswith(("requeue", "wckey"))] == told


def test_srun_starts_one_process(cluster: Path, tmp_path: Path) -> None:
    config = SlurmLauncherConfig(
        srun_args=["--container-image=judge.sqsh", "--label"],
        python="/opt/python",
        container="apptainer exec judge.sif",
    )
    launch(tmp_path / "sweep", "sweep", config, prepare(tmp_path / "sweep", [0]))
    lines = script(cluster)
    assert "#SBATCH --signal=USR2@90" in lines
    (command,) = [line for line in lines if line.startswith("srun")]
    assert command.endswith(
        "--nodes=1 --ntasks=1 --container-image=judge.sqsh --label apptainer exec judge.sif /opt/python "
        f"-u -m submitit.core._submit {tmp_path}/sweep/jobs/slurm"
    )


def test_the_ids_are_written_down(cluster: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "sweep"
    launch(folder, "sweep", SlurmLauncherConfig(), prepare(folder, [0, 1]))
    assert [job.ids for job in read_sweep(folder).jobs] == [["12_0"], ["12_1"]]
    assert capsys.readouterr().err == (f"2 jobs submitted: 12\nFollow them with: judgekit sweep status {folder}\n")
    assert sorted(path.name for path in (folder / "jobs").glob("*.yaml")) == ["0.yaml", "1.yaml"]


def test_what_slurm_refuses_is_told(cluster: Path, tmp_path: Path) -> None:
    (cluster / "sbatch.refuses").touch()
    with pytest.raises(StageError, match=r"SLURM refused the jobs: invalid partition specified: gold\. Check hydra"):
        launch(tmp_path / "sweep", "sweep", SlurmLauncherConfig(partition="gold"), prepare(tmp_path / "sweep", [0]))
    assert read_sweep(tmp_path / "sweep").jobs[0].ids == []


def test_a_machine_without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StageError, match=r"no SLURM on this machine.*hydra/launcher=local"):
        launch(tmp_path / "sweep", "sweep", SlurmLauncherConfig(), prepare(tmp_path / "sweep", [0]))
    assert slurm.queue(["12_0"]) is None


def test_the_queue_is_asked_once_for_all(cluster: Path) -> None:
    (cluster / "squeue.says").write_text("12_0|RUNNING\n12_1|CANCELLED by 0\n13|PENDING\n99|RUNNING\n")
    assert slurm.queue(["12_0", "12_1", "13"]) == {"12_0": "RUNNING", "12_1": "CANCELLED", "13": "PENDING"}
    assert (cluster / "squeue.asked").read_text() == "--noheader --array --states=all --jobs=12,13 --format=%i|%T\n"
    assert not (cluster / "sacct.asked").exists()


def test_accounting_knows_what_the_queue_forgot(cluster: Path) -> None:
    (cluster / "squeue.says").write_text("12_0|RUNNING\n")
    (cluster / "sacct.says").write_text("12_0|PENDING\n12_1|TIMEOUT\n")
    assert slurm.queue(["12_0", "12_1"]) == {"12_0": "RUNNING", "12_1": "TIMEOUT"}


def test_forgotten_jobs_and_a_controller_that_does_not_answer(cluster: Path) -> None:
    (cluster / "squeue.says").unlink()
    assert slurm.queue(["12_0"]) is None
    (cluster / "squeue.error").write_text("slurm_load_jobs error: Invalid job id specified\n")
    assert slurm.queue(["12_0"]) == {}


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***\n", "TIMEOUT"),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01T00:00:00 ***\n", "CANCELLED"),
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch.\n", "OUT_OF_MEMORY"),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 1 DUE TO PREEMPTION ***\n", "PREEMPTED"),
        ("An answer says: CANCELLED AT noon\n", None),
        ("", None),
    ],
)
def test_the_output_tells_how_a_job_ended(tmp_path: Path, text: str, state: str | None) -> None:
    sweep = Sweep(tmp_path, "s", "", SlurmLauncherConfig())
    (tmp_path / "jobs" / "slurm").mkdir(parents=True)
    (tmp_path / "jobs" / "slurm" / "12_0_0_log.err").write_text(text + "bye\n")
    assert slurm.evidence(sweep, SweepJob(0, [], "0", "", ["12_0"])) == state
    assert slurm.evidence(sweep, SweepJob(0, [], "0", "", [])) is None


def test_cancelling(cluster: Path) -> None:
    slurm.cancel([])
    assert not (cluster / "scancel.asked").exists()
    slurm.cancel(["12_0", "12_3"])
    assert (cluster / "scancel.asked").read_text() == "12_0 12_3\n"
    (cluster / "scancel.says").unlink()
    with pytest.raises(StageError, match="scancel refused: slurm_load_jobs error"):
        slurm.cancel(["12_0"])
