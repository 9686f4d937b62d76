from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from judgekit.errors import StageError
from judgekit.sampling import session
from judgekit.sampling.base import Batch, Finished, Generation, Refusal, Request, SamplingParams
from judgekit.sampling.cache import GenerationCache
from judgekit.sampling.session import sample_all
from judgekit.store import Store, Workspace
from tests.helpers import ScriptedSampler
from tests.processes import finish, sample_stage, start

PARAMS = SamplingParams(temperature=0.8, top_p=0.95, max_new_tokens=16)
WEIGHTS = "f" * 64
BATCHES = 5


def requests_of(count: int, samples: int = 2) -> list[Request]:
    return [Request(f"r{i}", tuple(range(i + 1)), PARAMS, samples=tuple(range(samples))) for i in range(count)]


@pytest.fixture
def cache(tmp_path: Path) -> GenerationCache:
    return GenerationCache(tmp_path, WEIGHTS)


class Recorder:
    def __init__(self) -> None:
        self.begun: list[tuple[int, int]] = []
        self.advanced: list[tuple[int, int]] = []

    def begin(self, samples: int, cached: int) -> None:
        self.begun.append((samples, cached))

    def advance(self, samples: int, tokens: int) -> None:
        self.advanced.append((samples, tokens))


# --- one process


def test_samples_come_in_the_order_of_the_requests_and_only_once(cache: GenerationCache) -> None:
    requests = list(reversed(requests_of(3)))
    sampler = ScriptedSampler(batch_size=4)
    samples = sample_all(sampler, cache, requests)
    assert list(samples) == [("r2", 0), ("r2", 1), ("r1", 0), ("r1", 1), ("r0", 0), ("r0", 1)]
    assert {name: value.text for name, value in samples.items()} == {
        (f"r{i}", s): f"r{i}: sample {s} at 0.8" for i in range(3) for s in range(2)
    }
    assert [len(batch) for batch in sampler.batches] == [4, 2]
    again = ScriptedSampler()
    assert dict(sample_all(again, cache, requests)) == dict(samples)
    assert again.batches == []


def test_only_what_is_missing_is_sampled_and_counted(tmp_path: Path, cache: GenerationCache) -> None:
    sample_all(ScriptedSampler(), cache, requests_of(2, samples=2))
    sampler, workspace, progress = ScriptedSampler(batch_size=3), Workspace(tmp_path / "work"), Recorder()
    samples = sample_all(sampler, cache, requests_of(3, samples=3), workspace=workspace, progress=progress)
    assert sampler.batches == [((0, 2), (1, 2), (2, 0)), ((2, 1), (2, 2))]
    assert len(samples) == 9
    length = len("r0: sample 0 at 0.8")
    counts = workspace.counts()
    assert counts["generations"] == {"sampled": 5, "cached": 4}
    assert counts["tokens"] == {"prompt": 1 + 2 + 3 * 3, "generated": 5 * length}
    assert counts["used"] == {"prompt": 3 * (1 + 2 + 3), "generated": 9 * length}, "whoever drew them"
    assert progress.begun == [(9, 4)] and progress.advanced == [(3, 3 * length), (2, 2 * length)]


def test_equal_prompts_share_their_samples(tmp_path: Path, cache: GenerationCache) -> None:
    workspace, sampler = Workspace(tmp_path / "work"), ScriptedSampler()
    requests = [Request(name, (1, 2), PARAMS) for name in ("first", "second")]
    samples = sample_all(sampler, cache, requests, workspace=workspace)
    assert sampler.batches == [((0, 0),)]
    assert samples["first", 0] == samples["second", 0]
    assert workspace.counts()["generations"] == {"sampled": 1, "cached": 0}


def test_no_requests_need_no_sampler(cache: GenerationCache) -> None:
    assert dict(sample_all(ScriptedSampler(), cache, [])) == {}


def test_a_sample_asked_for_twice_is_refused(cache: GenerationCache) -> None:
    with pytest.raises(ValueError, match="asked for twice"):
        sample_all(ScriptedSampler(), cache, [Request("r", (1,), PARAMS), Request("r", (2,), PARAMS)])


class Broken(ScriptedSampler):
    """Leaves out a sample, in the plan or in the run."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def plan(self, requests: Sequence[Request]) -> list[Batch]:
        plan = super().plan(requests)
        return plan[1:] if self.where == "plan" else plan

    def run(self, requests: Sequence[Request], batch: Batch) -> list[Generation]:
        made = super().run(requests, batch)
        return made[1:] if self.where == "run" else made


@pytest.mark.parametrize("where", ["plan", "run"])
def test_a_sampler_that_leaves_something_out_is_caught(cache: GenerationCache, where: str) -> None:
    with pytest.raises(ValueError):
        sample_all(Broken(where), cache, requests_of(3))
    assert len(cache) == 0


def test_batches_that_another_process_finished_meanwhile_are_taken_over(
    tmp_path: Path, cache: GenerationCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "REFRESH_SECONDS", 0.0)
    requests, workspace, progress = requests_of(4), Workspace(tmp_path / "work"), Recorder()

    class Meanwhile(ScriptedSampler):
        def run(self, requests: Sequence[Request], batch: Batch) -> list[Generation]:
            if not self.batches:
                other = GenerationCache(tmp_path, WEIGHTS)
                sample_all(ScriptedSampler(lambda request, sample: "theirs"), other, requests[1:2])
            return super().run(requests, batch)

    sampler = Meanwhile(batch_size=2)
    samples = sample_all(sampler, cache, requests, workspace=workspace, progress=progress)
    assert [batch[0][0] for batch in sampler.batches] == [0, 2, 3]
    assert samples["r1", 0].text == "theirs"
    assert workspace.counts()["generations"] == {"sampled": 6, "cached": 2}
    assert sum(count for count, _ in progress.advanced) == 8 and (2, 0) in progress.advanced


def test_a_line_lost_after_planning_is_made_again(tmp_path: Path, cache: GenerationCache) -> None:
    requests = requests_of(3)
    sample_all(ScriptedSampler(), cache, requests[:1])
    partial = tmp_path / "work"

    class Dies(ScriptedSampler):
        def run(self, requests: Sequence[Request], batch: Batch) -> list[Generation]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample_all(Dies(), cache, requests, workspace=Workspace(partial))
    [path] = cache.folder.glob("*.seg")
    path.write_bytes(path.read_bytes().replace(b"sample 0", b"sample 9"))
    sampler = ScriptedSampler()
    samples = sample_all(sampler, GenerationCache(tmp_path, WEIGHTS), requests, workspace=Workspace(partial))
    assert [value.text for value in samples.values()] == [f"r{i}: sample {s} at 0.8" for i in range(3) for s in (0, 1)]
    assert sampler.batches == [((1, 0), (1, 1), (2, 0), (2, 1)), ((0, 0),)]


def test_a_line_damaged_in_use_is_named(tmp_path: Path, cache: GenerationCache) -> None:
    samples = sample_all(ScriptedSampler(), cache, requests_of(1))
    [path] = cache.folder.glob("*.seg")
    path.write_bytes(path.read_bytes().replace(b"sample 1", b"sample 9"))
    assert samples["r0", 0].text == "r0: sample 0 at 0.8"
    with pytest.raises(StageError, match="Run the same command again") as caught:
        samples["r0", 1]
    assert str(cache.folder) in str(caught.value)


def test_samples_of_different_parameters_are_kept_apart(cache: GenerationCache) -> None:
    hot, cold = (
        requests_of(1, samples=1)[0],
        replace(requests_of(1, samples=1)[0], params=replace(PARAMS, temperature=0)),
    )
    first, second = (sample_all(ScriptedSampler(), cache, [request])["r0", 0] for request in (hot, cold))
    assert (first.text, second.text) == ("r0: sample 0 at 0.8", "r0: sample 0 at 0")


# --- refusals


class Refusing(ScriptedSampler):
    """Refuses some samples."""

    def __init__(self, *refused: tuple[str, int]) -> None:
        super().__init__(batch_size=1)
        self.refused = refused

    def stream(self, requests: Sequence[Request], batches: Iterator[Batch]) -> Iterator[Finished]:
        for finished in super().stream(requests, batches):
            yield [
                (item, Refusal("too long", "9 tokens") if (requests[item[0]].id, item[1]) in self.refused else made)
                for item, made in finished
            ]


def test_a_refused_request_has_no_samples_and_is_asked_for_again(tmp_path: Path, cache: GenerationCache) -> None:
    requests = [*requests_of(3), Request("twin", (0, 1), PARAMS, samples=(1,))]  # equal to r1
    workspace, progress = Workspace(tmp_path / "work"), Recorder()
    samples = sample_all(Refusing(("r1", 1)), cache, requests, workspace=workspace, progress=progress)
    assert list(samples) == [("r0", 0), ("r0", 1), ("r2", 0), ("r2", 1)]
    assert {name: str(refusal) for name, refusal in samples.refused.items()} == {
        "r1": "too long: 9 tokens",
        "twin": "too long: 9 tokens",
    }
    assert workspace.counts()["generations"] == {"sampled": 5, "cached": 0}  # that of r1 was made, too
    assert sum(count for count, _ in progress.advanced) == 6
    sampler = ScriptedSampler()
    assert len(sample_all(sampler, cache, requests, workspace=Workspace(tmp_path / "work"))) == 7
    assert sampler.batches == [((1, 1),)]


# --- killed processes


@pytest.fixture
def reference(tmp_path: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Data files and record of a stage that nobody disturbed."""
    sampler = ScriptedSampler(batch_size=3, entangled=True)
    made = sample_stage(tmp_path / "reference", sampler)
    assert len(sampler.batches) == BATCHES
    return read(made.path)


def read(folder: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    data = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "stage.json"}
    record = json.loads((folder / "stage.json").read_text())
    return data, {name: value for name, value in record.items() if name not in ("seconds", "finished")}


def result_of(root: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    [folder] = [path for path in (root / "stages" / "samples").iterdir() if "." not in path.name]
    return read(folder)


@pytest.mark.parametrize("batch", [0, 2, BATCHES - 1])
@pytest.mark.parametrize("die_at", ["before", "within", "after"])
def test_killed_at_a_batch_the_same_bytes_come_out(
    tmp_path: Path, reference: tuple[dict[str, bytes], dict[str, Any]], die_at: str, batch: int
) -> None:
    root, log = tmp_path / "store", tmp_path / "log"
    killed = start("sample", root=root, log=log, die_at=die_at, batch=batch)
    assert killed.wait() == -9
    assert not Store(root).has("samples", 1, {}, [])
    assert finish(start("sample", root=root, log=log)) == {"reused": False}
    assert result_of(root) == reference
    repeated = len(log.read_text().splitlines()) - BATCHES
    assert repeated == (0 if die_at == "after" else 1)


def test_killed_before_the_rename_nothing_is_sampled_again(
    tmp_path: Path, reference: tuple[dict[str, bytes], dict[str, Any]]
) -> None:
    root, log = tmp_path / "store", tmp_path / "log"
    assert start("sample", root=root, log=log, die_at="rename").wait() == -9
    finish(start("sample", root=root, log=log))
    assert result_of(root) == reference
    assert len(log.read_text().splitlines()) == BATCHES


def test_killed_again_and_again_at_any_moment(
    tmp_path: Path, reference: tuple[dict[str, bytes], dict[str, Any]]
) -> None:
    root, log = tmp_path / "store", tmp_path / "log"
    log.touch()
    kills = 0
    for attempt in range(40):
        begun = len(log.read_text().splitlines())
        process = start("sample", root=root, log=log, pause=0.05)
        while process.poll() is None and len(log.read_text().splitlines()) == begun:
            time.sleep(0.002)
        time.sleep(0.03 + 0.017 * (attempt % 5))
        process.kill()
        if process.wait() == 0:
            break
        kills += 1
    assert process.returncode == 0 and kills >= 2
    assert result_of(root) == reference
    assert len(log.read_text().splitlines()) <= BATCHES + kills
