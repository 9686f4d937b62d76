from __future__ import annotations

import errno
import json
import logging
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from judgekit import locks
from judgekit.errors import StageError
from judgekit.store import Artifact, Store, Workspace, file_digest, write_json_atomic
from tests.processes import finish, start


def write_two(workspace: Workspace) -> None:
    (workspace.path / "rows.jsonl").write_text("1\n2\n")
    (workspace.path / "deep").mkdir()
    (workspace.path / "deep" / "more.txt").write_text("ü")
    workspace.count(rows=2)
    workspace.drop("empty", 3)
    workspace.drop("empty")
    workspace.generations(sampled=5, cached=7)
    workspace.tokens(prompt=11, generated=13)


def make(store: Store, build: Callable[[Workspace], None] = write_two) -> Artifact:
    return store.stage("pairs/d1", 1, {"b": (1, 2), "a": "x"}, ["input"], build)


def refuse(workspace: Workspace) -> None:
    raise AssertionError("built again")


def wait_for(path: Path, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists() or not path.read_text():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


# --- one process


def test_a_stage_is_built_once_and_described(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert not store.has("pairs/d1", 1, {"b": (1, 2), "a": "x"}, ["input"])
    built, found = make(store), make(store, refuse)
    assert (built.reused, found.reused) == (False, True)
    assert built.path == found.path == tmp_path / "stages" / "pairs" / "d1" / built.digest
    assert found.info == built.info
    assert store.has("pairs/d1", 1, {"a": "x", "b": [1, 2]}, ["input"])
    info = found.info
    assert (info.rows, info.dropped) == ({"rows": 2}, {"empty": 4})
    assert (info.generations, info.tokens) == ({"sampled": 5, "cached": 7}, {"prompt": 11, "generated": 13})
    assert list(info.files) == ["deep/more.txt", "rows.jsonl"]
    assert info.files["deep/more.txt"].size == 2
    assert info.files["rows.jsonl"].sha256 == file_digest(found.file("rows.jsonl"))
    assert info.inputs == ["input"] and info.config == {"a": "x", "b": [1, 2]}
    assert {path.name for path in found.path.parent.iterdir()} == {built.digest, f"{built.digest}.lock"}
    with pytest.raises(StageError, match=r"no file 'other'.*rows\.jsonl"):
        found.file("other")


def test_a_digest_tells_apart_all_that_determines_a_stage(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = make(store)
    digests = [
        store.digest_of("a", 1, {"x": 1}, ["i", "j"]),
        store.digest_of("b", 1, {"x": 1}, ["i", "j"]),
        store.digest_of("a", 2, {"x": 1}, ["i", "j"]),
        store.digest_of("a", 1, {"x": 2}, ["i", "j"]),
        store.digest_of("a", 1, {"x": 1}, ["j", "i"]),
        store.digest_of("a", 1, {"x": 1}, [made]),
    ]
    assert len(set(digests)) == len(digests)
    assert digests[-1] == store.digest_of("a", 1, {"x": 1}, [made.digest])


@pytest.mark.parametrize("name", ["", "../up", "a//b", "/a", "a/", "a b", "a/../b"])
def test_a_stage_name_is_a_plain_relative_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a stage name"):
        Store(tmp_path).stage(name, 1, {}, [], refuse)


def test_a_failed_build_keeps_its_scratch_but_not_its_half_written_files(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def fail(workspace: Workspace) -> None:
        (workspace.path / "rows.jsonl").write_text("half")
        (workspace.path / "rows.jsonl.partial").write_text("half")
        (workspace.scratch / "checkpoint").write_text("step 7")
        raise RuntimeError("the model diverged")

    def resume(workspace: Workspace) -> None:
        assert list(workspace.path.iterdir()) == []
        assert (workspace.scratch / "checkpoint").read_text() == "step 7"
        (workspace.path / "rows.jsonl").write_text("whole")

    with pytest.raises(RuntimeError, match="diverged"):
        make(store, fail)
    assert not store.has("pairs/d1", 1, {"b": (1, 2), "a": "x"}, ["input"])
    made = make(store, resume)
    assert {path.name for path in made.path.iterdir()} == {"rows.jsonl", "stage.json"}
    assert not made.path.with_name(f"{made.digest}.partial").exists()


def test_scratch_left_by_a_kill_after_the_rename_is_cleared(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = make(store)
    left = made.path.with_name(f"{made.digest}.partial")
    (left / "scratch").mkdir(parents=True)
    assert make(store, refuse).info == made.info
    assert not left.exists()


def damage_json(folder: Path) -> None:
    text = (folder / "stage.json").read_text()
    (folder / "stage.json").write_text(text[: len(text) // 2])


def damage_fields(folder: Path) -> None:
    (folder / "stage.json").write_text('{"files": []}')


def damage_digest(folder: Path) -> None:
    text = (folder / "stage.json").read_text()
    (folder / "stage.json").write_text(text.replace(folder.name, "0" * 16))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no record": (lambda folder: (folder / "stage.json").unlink(), "stage.json is missing"),
    "torn record": (damage_json, "stage.json is corrupt"),
    "foreign record": (damage_fields, "stage.json is corrupt"),
    "other digest": (damage_digest, "belongs to another stage"),
    "no file": (lambda folder: (folder / "rows.jsonl").unlink(), "rows.jsonl is missing"),
    "torn file": (lambda folder: (folder / "rows.jsonl").write_text("1"), "rows.jsonl has 1 bytes instead of 4"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_stage_is_set_aside_and_built_again(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path)
    made = make(store)
    before = made.file("deep/more.txt").read_bytes()
    break_it, reason = DAMAGES[name]
    break_it(made.path)
    assert not store.has("pairs/d1", 1, {"b": (1, 2), "a": "x"}, ["input"])
    again = make(store)
    assert not again.reused
    assert again.file("deep/more.txt").read_bytes() == before
    assert len(list(made.path.parent.glob(f"{made.digest}.broken-*"))) == 1
    assert reason in caplog.text and str(made.path) in caplog.text


def test_json_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    write_json_atomic(path, {"a": "ü"})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json_atomic(path, {"a": float("nan")})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": "ü"}
    assert list(tmp_path.iterdir()) == [path]


def test_importing_store_and_cache_loads_nothing_heavy() -> None:
    code = "import sys, judgekit.store, judgekit.sampling.session; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "hydra", "omegaconf", "numpy"} & set(out)


# --- a disk that refuses


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A file system of its own; call it with mount options to remount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root; the tests with /dev/full cover the message")

    def remount(options: str = "size=128k") -> Path:
        subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)
        return folder

    yield remount
    subprocess.run(["umount", "-l", str(folder)], check=True)


def write_much(workspace: Workspace) -> None:
    (workspace.scratch / "kept").touch()
    with (workspace.path / "big").open("wb") as file:
        file.write(bytes(1 << 20))


def test_a_full_disk_ends_the_stage_and_space_resumes_it(small_disk: Callable[[str], Path]) -> None:
    root = small_disk("size=128k")
    store = Store(root)
    with pytest.raises(StageError, match="disk is full") as caught:
        make(store, write_much)
    digest = store.digest_of("pairs/d1", 1, {"b": (1, 2), "a": "x"}, ["input"])
    assert str(root / "stages" / "pairs" / "d1" / digest) in str(caught.value)
    assert "free space" in str(caught.value)
    assert not store.has("pairs/d1", 1, {"b": (1, 2), "a": "x"}, ["input"])
    assert (root / "stages" / "pairs" / "d1" / f"{digest}.partial" / "scratch" / "kept").exists()
    small_disk("size=4m")
    assert make(store, write_much).info.files["big"].size == 1 << 20


def test_a_read_only_store_gives_what_it_has_and_refuses_the_rest(small_disk: Callable[[str], Path]) -> None:
    root = small_disk("size=1m")
    store = Store(root)
    made = make(store)
    small_disk("ro")
    assert make(store, refuse).info == made.info
    with pytest.raises(StageError, match="Read-only file system") as caught:
        store.stage("other", 1, {}, [], write_two)
    assert str(root / "stages" / "other") in str(caught.value) and "another store folder" in str(caught.value)


def write_to_full_device(workspace: Workspace) -> None:
    with open("/dev/full", "wb") as file:
        file.write(b"x")


def raise_wrapped(workspace: Workspace) -> None:
    try:
        raise OSError(errno.ENOSPC, "No space left on device")
    except OSError as error:
        raise RuntimeError("unexpected pos 64 vs 0") from error


def raise_text(workspace: Workspace) -> None:
    raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize("build", [write_to_full_device, raise_wrapped, raise_text])
def test_a_full_disk_is_recognised_however_it_is_reported(tmp_path: Path, build: Callable[[Workspace], None]) -> None:
    with pytest.raises(StageError, match="disk is full"):
        make(Store(tmp_path), build)


def test_a_store_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StageError, match="Not a directory"):
        make(Store(tmp_path / "file"))


def test_a_refusal_elsewhere_is_not_blamed_on_the_store(tmp_path: Path) -> None:
    def read_foreign(workspace: Workspace) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/somewhere/else")

    with pytest.raises(PermissionError):
        make(Store(tmp_path), read_foreign)


# --- several processes


def test_of_eight_processes_one_builds(tmp_path: Path) -> None:
    log = tmp_path / "log"
    processes = [start("build", root=tmp_path, log=log, hold=1.0) for _ in range(8)]
    results = [finish(process) for process in processes]
    assert len(log.read_text().split()) == 1
    assert sorted(result["reused"] for result in results) == [False] + [True] * 7
    assert {result["text"] for result in results} == {"whole"}


@pytest.mark.parametrize("marker_lock", [False, True], ids=["kernel lock", "marker file"])
def test_others_go_on_when_the_builder_is_killed(tmp_path: Path, marker_lock: bool) -> None:
    log = tmp_path / "log"
    holder = start("build", root=tmp_path, log=log, hold=60, marker_lock=marker_lock)
    wait_for(log)
    others = [start("build", root=tmp_path, log=log, marker_lock=marker_lock) for _ in range(2)]
    time.sleep(0.7)
    assert all(process.poll() is None for process in others)
    holder.kill()
    holder.wait()
    killed = time.monotonic()
    results = [finish(process, timeout=10) for process in others]
    assert time.monotonic() - killed < 5
    assert sorted(result["reused"] for result in results) == [False, True]
    assert {result["text"] for result in results} == {"whole"}


@pytest.mark.parametrize("marker_lock", [False, True], ids=["kernel lock", "marker file"])
def test_a_builder_that_stands_still_is_taken_over_and_harms_nothing_when_it_wakes(
    tmp_path: Path, marker_lock: bool
) -> None:
    """As a process of a node that lost its network looks to the others."""
    log = tmp_path / "log"
    silent = start("build", root=tmp_path, log=log, hold=2.0, marker_lock=marker_lock, stale=2)
    wait_for(log)
    silent.send_signal(signal.SIGSTOP)
    try:
        others = [start("build", root=tmp_path, log=log, marker_lock=marker_lock, stale=2) for _ in range(3)]
        results = [finish(process) for process in others]
    finally:
        silent.send_signal(signal.SIGCONT)
    assert sorted(result["reused"] for result in results) == [False, True, True]
    assert {result["text"] for result in results} == {"whole"}
    _, error = silent.communicate(timeout=30)
    assert silent.returncode != 0 and "StageError: Another process took" in error
    (built,) = (tmp_path / "stages" / "slow").glob("*/half.txt")
    assert built.read_text() == "whole"
    assert not list((tmp_path / "stages" / "slow").glob("*.holder*"))


def test_a_slow_builder_that_shows_life_keeps_its_lock(tmp_path: Path) -> None:
    log = tmp_path / "log"
    slow = start("build", root=tmp_path, log=log, hold=4.0, stale=1.5)
    wait_for(log)
    assert finish(start("build", root=tmp_path, log=log, stale=1.5)) == {"reused": True, "text": "whole"}
    assert finish(slow)["reused"] is False
    assert len(log.read_text().split()) == 1


def test_a_worker_that_outlives_the_builder_does_not_hold_the_stage(tmp_path: Path) -> None:
    log = tmp_path / "log"
    holder = start("build", root=tmp_path, log=log, hold=60, worker=True)
    wait_for(log)
    holder.kill()
    worker = int(log.read_text())
    try:
        os.kill(worker, 0)
        result = finish(start("build", root=tmp_path, log=tmp_path / "log2"), timeout=10)
    finally:
        os.kill(worker, signal.SIGKILL)
    assert result == {"reused": False, "text": "whole"}


def test_who_waits_is_told_for_whom(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "FIRST_NOTICE_SECONDS", 0.1)
    log = tmp_path / "log"
    holder = start("build", root=tmp_path, log=log, hold=1.5)
    wait_for(log)
    with caplog.at_level(logging.WARNING):
        assert Store(tmp_path).stage("slow", 1, {}, [], refuse).reused
    notices = [record.message for record in caplog.records if "Waiting" in record.message]
    assert len(notices) == 1 and f"process {holder.pid} on " in notices[0] and "stage slow" in notices[0]
    finish(holder)


# --- several users


@pytest.fixture
def masked() -> Iterator[Callable[[int], None]]:
    """Sets the umask, and puts the old one back."""
    before = os.umask(0)
    os.umask(before)
    yield lambda mask: os.umask(mask) and None
    os.umask(before)


def write_weights(workspace: Workspace) -> None:
    (workspace.path / "judge").mkdir()
    save_file({"w": torch.zeros(2)}, workspace.path / "judge" / "adapter_model.safetensors")
    (workspace.path / "rows.jsonl").write_text("1\n")


@pytest.mark.parametrize(
    ("mask", "file", "folder"), [(0o022, 0o644, 0o755), (0o002, 0o664, 0o775), (0o077, 0o600, 0o700)]
)
def test_files_of_a_stage_are_for_those_the_umask_lets(
    tmp_path: Path, masked: Callable[[int], None], mask: int, file: int, folder: int
) -> None:
    """Weights too, which their library writes for their owner alone."""
    masked(mask)
    made = make(Store(tmp_path / "store"), write_weights)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "store").rglob("*")}
    assert {mode for path, mode in modes.items() if path.is_file()} == {file}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {folder}
    assert (made.path / "judge" / "adapter_model.safetensors") in modes


def as_user(user: int, group: int, act: Callable[[], None]) -> None:
    """Let another user do something, in a process of its own."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(group)
            os.setuid(user)
            act()
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


@pytest.fixture
def common() -> Iterator[Path]:
    """A folder that every user can reach."""
    if os.geteuid() != 0:
        pytest.fail("only root can act as other users") if os.environ.get("CI") else pytest.skip("needs root")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


def test_another_user_reads_what_is_there_and_is_told_what_may_not_be_written(
    common: Path, masked: Callable[[int], None]
) -> None:
    masked(0o022)
    made = make(Store(common / "store"), write_weights)

    def read() -> None:
        found = make(Store(common / "store"), refuse)
        assert found.reused and load_file(found.path / "judge" / "adapter_model.safetensors")["w"].tolist() == [0, 0]
        with pytest.raises(StageError, match="Permission denied. Make that folder readable and writable"):
            Store(common / "store").stage("other", 1, {}, [], write_two)

    as_user(65534, 65534, read)
    assert made.path.is_dir()


def test_a_group_builds_in_one_store_and_takes_over_from_its_members(
    common: Path, masked: Callable[[int], None]
) -> None:
    masked(0o002)
    root = common / "store"
    root.mkdir()
    os.chown(root, 1001, 3000)
    root.chmod(0o2775)  # new folders are the group's too

    def killed() -> None:
        store = Store(root)
        with suppress(KeyboardInterrupt):
            store.stage("pairs/d1", 1, {"b": (1, 2), "a": "x"}, ["input"], stop)
        os._exit(0)

    def stop(workspace: Workspace) -> None:
        write_weights(workspace)
        (workspace.scratch / "half").write_text("done")
        os._exit(0)  # its holder file and what it built stay behind

    def rest(workspace: Workspace) -> None:
        assert (workspace.scratch / "half").read_text() == "done"
        write_two(workspace)

    as_user(1001, 3000, killed)
    as_user(1002, 3000, lambda: make(Store(root), rest) and None)
    assert make(Store(root), refuse).info.rows == {"rows": 2}
