"""Looking after the cache of generations: what is told, removed, kept and joined."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from judgekit.cli import main
from judgekit.errors import DataError
from judgekit.sampling.base import Generation, SamplingParams
from judgekit.sampling.cache import GenerationCache, generation_keys
from judgekit.sampling.cache_maintenance import (
    HeldGenerations,
    compact,
    everything,
    of_weights,
    older_than,
    prune,
    survey,
)
from tests.helpers import ScriptedSampler
from tests.processes import finish, sample_stage, start

PARAMS = SamplingParams(temperature=0.8, top_p=0.95, max_new_tokens=16)
GENERATION = Generation("text", (1, 2), "eos", 3)
FIRST, SECOND = "a" * 32, "b" * 32
DAY = 86_400


def fill(root: Path, weights: str, numbers: range, text: str = "text", about: str = "") -> None:
    """One segment."""
    cache = GenerationCache(root, weights, about)
    keys = [generation_keys(weights, (number,), PARAMS, [0])[0] for number in numbers]
    made = [replace(GENERATION, text=f"{text} {number}") for number in numbers]
    cache.put_batch(list(zip(keys, made, strict=True)))
    cache.close()


def texts(root: Path, weights: str, numbers: range) -> list[str | None]:
    cache = GenerationCache(root, weights)
    found = [cache.get(generation_keys(weights, (number,), PARAMS, [0])[0]) for number in numbers]
    cache.close()
    return [generation.text if generation else None for generation in found]


def age(root: Path, weights: str, days: float) -> None:
    folder = root / "generations" / weights[:16]
    for path in (*folder.iterdir(), folder):
        os.utime(path, times=(time.time() - days * DAY,) * 2)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two sets of weights: one in three segments with a damaged and a torn line, 40 days old, and a fresh one."""
    fill(tmp_path, FIRST, range(4), about="the first")
    fill(tmp_path, FIRST, range(2, 6), text="later")
    fill(tmp_path, FIRST, range(6, 8))
    last = max((tmp_path / "generations" / FIRST[:16]).glob("*.seg"))
    data = last.read_bytes()
    last.write_bytes(data.replace(b"text 6", b"text 9") + data[: len(data) // 4])
    age(tmp_path, FIRST, 40)
    fill(tmp_path, SECOND, range(3))
    return tmp_path


def test_what_is_held_is_told(root: Path) -> None:
    first, second = survey(root)
    size = sum(path.stat().st_size for path in first.folder.glob("*.seg"))
    assert replace(first, used=second.used) == HeldGenerations(first.folder, "the first", 7, 3, size, 1, second.used)
    assert (first.weights, second.weights) == (FIRST[:16], SECOND[:16])
    assert 39 <= (second.used - first.used).days <= 40
    assert (second.about, second.generations, second.corrupt) == ("", 3, 0)
    again, _ = survey(root)
    assert again == first, "looking is no use"


def test_reading_is_use(root: Path) -> None:
    age(root, SECOND, 1)
    assert texts(root, FIRST, range(1)) == ["text 0"]
    second, first = survey(root)
    assert first.weights == FIRST[:16] and first.used > second.used


def test_stores_without_generations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert survey(tmp_path) == []
    with pytest.raises(DataError, match="no such folder"):
        survey(tmp_path / "absent")
    assert main(["cache", "info", str(tmp_path)]) == 0
    assert main(["cache", "info", str(tmp_path / "absent")]) == 2
    assert "holds no generations" in capsys.readouterr().out


# --- removing


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        (older_than(timedelta(days=30)), [SECOND]),
        (older_than(timedelta(days=50)), [FIRST, SECOND]),
        (of_weights(SECOND), [FIRST]),
        (of_weights("BBB"), [FIRST]),
        (everything, []),
    ],
)
def test_only_what_is_wanted_is_removed(root: Path, wanted: Callable[[HeldGenerations], bool], left: list[str]) -> None:
    told = list(prune(root, wanted, dry_run=True))
    assert len(survey(root)) == 2
    assert [held for held, _ in prune(root, wanted)] == [held for held, _ in told]
    assert all(free for _, free in told)
    assert [held.weights for held in survey(root)] == [weights[:16] for weights in left]


@pytest.mark.parametrize("use", ["reads", "writes"])
def test_what_is_in_use_is_kept(root: Path, use: str) -> None:
    age(root, SECOND, 1)
    cache = GenerationCache(root, FIRST)
    key = generation_keys(FIRST, (0 if use == "reads" else 100,), PARAMS, [0])[0]
    if use == "writes":
        cache.put_batch([(key, GENERATION)])
    assert [(held.weights, free) for held, free in prune(root, everything)] == [
        (SECOND[:16], True),
        (FIRST[:16], False),
    ]
    assert list(compact(root)) == []
    assert cache.get(key) is not None
    cache.close()
    assert [free for _, free in prune(root, everything)] == [True]
    assert cache.get(key) is None, "removed once nobody had it open"
    cache.put_batch([(key, GENERATION)])
    assert [free for _, free in prune(root, everything)] == [False], "opened again"


def test_a_killed_process_uses_nothing_and_a_running_one_loses_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    process = start("sample", root=tmp_path, log=log, pause=0.3)
    while len(log.read_text().splitlines()) < 3:
        time.sleep(0.01)
    assert [free for _, free in prune(tmp_path, everything)] == [False]
    process.kill()
    process.wait()
    (held,) = survey(tmp_path)
    assert held.generations > 0
    running = start("sample", root=tmp_path, log=log, pause=0.2)
    removed = 0
    while running.poll() is None:
        removed += sum(free for _, free in prune(tmp_path, everything))
        time.sleep(0.01)
    finish(running)
    assert removed <= 1, "at most before it began"


def test_finished_stages_do_not_miss_what_is_removed(tmp_path: Path) -> None:
    finish(start("sample", root=tmp_path, log=tmp_path / "log"))
    assert len(survey(tmp_path)) == 1
    assert main(["cache", "prune", str(tmp_path), "--all"]) == 0
    assert survey(tmp_path) == []
    sampler = ScriptedSampler()
    assert sample_stage(tmp_path, sampler).reused
    assert sampler.batches == [] and survey(tmp_path) == []


# --- joining


def test_segments_are_joined_without_a_change_to_what_is_found(root: Path) -> None:
    before = texts(root, FIRST, range(8))
    assert before == ["text 0", "text 1", "text 2", "text 3", "later 4", "later 5", None, "text 7"]
    age(root, FIRST, 40)
    (told,) = compact(root)
    assert [(held.segments, held.corrupt, held.generations) for held in told] == [(3, 1, 7), (1, 0, 7)]
    assert told[1].size < told[0].size and abs((told[1].used - told[0].used).total_seconds()) < 1
    assert texts(root, FIRST, range(8)) == before
    assert list(compact(root)) == []
    fill(root, FIRST, range(8), text="last")
    assert texts(root, FIRST, range(8)) == [*before[:6], "last 6", "text 7"]


# --- the command


def test_the_command_tells_and_removes(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "info", str(root)]) == 0
    printed = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if "│" in line]
    assert [row[:3] + row[4:6] for row in rows] == [
        [FIRST[:16], "the first", "7", "3", "1"],
        [SECOND[:16], "", "3", "1", "0"],
        ["all", "", "10", "4", "1"],
    ]
    assert main(["cache", "prune", str(root), "--older-than", "30d", "--dry-run"]) == 0
    assert f"{FIRST[:16]} (unused for 40 days" in (printed := capsys.readouterr().out)
    assert "would be removed" in printed and len(survey(root)) == 2
    assert main(["cache", "compact", str(root)]) == 0
    assert f"{FIRST[:16]}: 3 segments, now 1" in capsys.readouterr().out
    assert main(["cache", "prune", str(root), "--older-than", "4w"]) == 0
    assert [held.weights for held in survey(root)] == [SECOND[:16]]
    assert main(["cache", "prune", str(root), "--weights", "c"]) == 2
    assert "no weights begin with 'c'" in capsys.readouterr().err
    cache = GenerationCache(root, SECOND)
    assert main(["cache", "prune", str(root), "--weights", SECOND]) == 0
    assert "in use by a process, kept" in capsys.readouterr().out
    cache.close()
    assert main(["cache", "prune", str(root), "--weights", SECOND]) == 0
    assert survey(root) == []


@pytest.mark.parametrize(
    "arguments", [[], ["--older-than", "30"], ["--older-than", "soon"], ["--all", "--weights", "a"]]
)
def test_unclear_wishes_are_refused(root: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["cache", "prune", str(root), *arguments])
    assert stop.value.code == 2 and len(survey(root)) == 2
