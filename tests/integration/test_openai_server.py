"""``sampler=openai`` against a real server: free and constrained replies, refusals, and a server that is killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from judgekit.cli import main
from judgekit.errors import StageError
from judgekit.models import obtain
from judgekit.samplers.hf import HfConfig
from judgekit.samplers.openai import OpenAIConfig
from judgekit.samplers.vllm import VllmConfig
from judgekit.sampling.base import SamplingParams
from judgekit.sampling.cache import GenerationCache
from judgekit.sampling.hf import HfSampler
from judgekit.sampling.openai import server_sampler
from judgekit.sampling.text import TextRequest, TextSampler, ask_for_verdict
from judgekit.sampling.vllm_environment import environment
from judgekit.schema.models import ModelConfig
from judgekit.store import Workspace
from judgekit.weights import Weights
from tests.helpers import seed_model
from tests.sampling.hostile import ENCODED

pytestmark = pytest.mark.integration

CONTEXT = 2048
CHOICES, LEAD, STOPS = ("[[A]]", "[[B]]"), "\n[Final Verdict]\n", ("[Final Verdict]", "[[")
GREEDY = SamplingParams(temperature=0.0, top_p=1.0, max_new_tokens=24)


def seed_config() -> ModelConfig:
    return seed_model(max_length=CONTEXT)


class VllmServer:
    """vLLM serving the seed model at a fixed port, so that it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = taken.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "server.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        # In float32: which of two near words comes first in bfloat16 is a matter of the CPU.
        options = {
            "--model": str(obtain(seed_config())), "--served-model-name": "seed", "--dtype": "float32",
            "--max-model-len": str(CONTEXT), "--max-num-batched-tokens": str(CONTEXT),
            "--host": "127.0.0.1", "--port": str(self.port), "--api-key": "sk-served",
        }  # fmt: skip
        # Seeds of single requests and prefill in chunks do not go together on a CPU.
        flags = ["--enforce-eager", "--no-enable-chunked-prefill"]
        words = [word for pair in options.items() for word in pair]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *words, *flags],
                stdout=log,
                stderr=log,
                env=os.environ | environment(VllmConfig(cpu_memory=1.0), 0),
                start_new_session=True,
            )
        deadline = time.monotonic() + 400
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                    return
            except OSError:
                time.sleep(0.5)
        pytest.fail(f"the server did not start:\n{self.log.read_text()[-3000:]}")

    def kill(self) -> None:
        """SIGKILL to the server and its engine."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    running = VllmServer(tmp_path_factory.mktemp("server"))
    try:
        running.start()
        yield running
    finally:
        running.kill()


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGEKIT_SERVED_KEY", "sk-served")


def judge_of(server: VllmServer, root: Path, **settings: Any) -> TextSampler:
    defaults: dict[str, Any] = {"api_key_env": "JUDGEKIT_SERVED_KEY", "dialect": "vllm", "concurrency": 4, "retries": 1}
    return server_sampler(OpenAIConfig(base_url=server.url, **defaults | settings), root)


def question(name: str, text: str, params: SamplingParams = GREEDY, **settings: Any) -> TextRequest:
    return TextRequest(name, ({"role": "user", "content": text},), params, **settings)


def test_replies_prefill_and_refusals(server: VllmServer, tmp_path: Path) -> None:
    drawn = SamplingParams(temperature=0.8, top_p=0.95, max_new_tokens=12, stop=(".",), seed=3)
    requests = [
        question("asked", "What is the capital of France?"),
        question("begun", "What is the capital of France?", prefill="The capital of Italy is Rome. That of France is"),
        question("drawn", "Name a colour.", drawn, samples=(0, 1, 2)),
        question("long", "word " * 3000),
        question("huge", "x" * 200_000),
        question("half", "a \ud83d b"),
        *(question(name, text) for name, text in ENCODED.items()),
    ]
    workspace = Workspace(tmp_path / "work")
    judge = judge_of(server, tmp_path, price_prompt=1.0, price_generated=4.0)
    replies = judge.ask(requests, workspace)
    judge.close()
    assert judge.max_length == CONTEXT
    assert "Paris" in replies.generations["asked", 0].text and "Paris" in replies.generations["begun", 0].text
    assert len({replies.generations["drawn", sample].text for sample in range(3)}) == 3
    assert replies.generations["asked", 0].finish == "eos" and replies.generations["asked", 0].tokens <= 24
    refused = {name: reason.partition(":")[0] for name, reason in replies.refused.items()}
    special = "text holds a special token of the server's model"
    assert refused == {
        "long": "too long", "huge": "too long", "half": "text holds a lone surrogate",
        "NUL": "text holds a NUL character", "chat markers": special,
    }  # fmt: skip
    assert "2048 tokens" in replies.refused["long"]
    counts = workspace.counts()
    assert counts["tokens"]["generated"] == sum(reply.tokens for reply in replies.generations.values())
    assert counts["cost"] == pytest.approx((counts["tokens"]["prompt"] + 4 * counts["tokens"]["generated"]) / 1e6)


def test_constrained_verdicts_have_the_probabilities_of_the_model(server: VllmServer, tmp_path: Path) -> None:
    """The same model asked in this process gives the same probabilities, up to arithmetic in 16 bits."""
    from transformers import AutoTokenizer

    pairs = [("a stone", "an apple"), ("an apple", "a stone"), ("a pear", "a pear"), ("rain", "a car")]
    texts = [f"Which is a fruit, A: {a}, or B: {b}? Answer with [[A]] or [[B]]." for a, b in pairs]
    requests = [question(str(number), text, prefill=f"Both were looked at.{LEAD}") for number, text in enumerate(texts)]
    params = SamplingParams(temperature=0.0, top_p=1.0, max_new_tokens=16, choices=CHOICES)
    chosen = [TextRequest(request.id, request.prompt, params, prefill=request.prefill) for request in requests]
    judge = judge_of(server, tmp_path, verdict="constrained")
    served = dict(judge.ask(chosen, None).generations)
    folder, model = obtain(seed_config()), seed_config()
    cache = GenerationCache(tmp_path, "f" * 64)
    local = TextSampler(
        AutoTokenizer.from_pretrained(folder), HfSampler(Weights(folder), model, HfConfig(device="cpu")), cache, CONTEXT
    )
    expected = local.ask(chosen, None).generations
    assert {reply.text for reply in served.values()} <= set(CHOICES)
    for name, reply in served.items():
        assert reply.choice_probs is not None and expected[name].choice_probs is not None
        assert sum(reply.choice_probs.values()) == pytest.approx(1.0)
        assert reply.choice_probs["[[A]]"] == pytest.approx(expected[name].choice_probs["[[A]]"], abs=0.03)
    reasons = SamplingParams(temperature=0.0, top_p=1.0, max_new_tokens=400)
    request = question("whole", texts[0], reasons)
    decided, refused = ask_for_verdict(judge, [request], CHOICES, LEAD, STOPS, None, "test")
    judge.close()
    local.close()
    assert refused == {} and decided["whole", 0].text.endswith(CHOICES) and 0 < (decided["whole", 0].p_first or 0) < 1


def test_the_command_judges_through_the_server(
    server: VllmServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"instruction": f"Name {n} colours.", "response_a": "red, blue", "response_b": "rain"} for n in range(3)]
    Path("pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = (f"sampler.base_url={server.url}", "sampler.api_key_env=JUDGEKIT_SERVED_KEY", "sampler.dialect=vllm")
    command = ["judge", "pairs.jsonl", "-o", "v.jsonl", "--sampler", "openai", "--verdict", "constrained", *settings]
    assert main([*command, "prompt=pairwise", "prompt.reasoning=false"]) == 0
    verdicts = [json.loads(line) for line in Path("v.jsonl").read_text().splitlines()]
    assert [row["order"] for row in verdicts] == ["ab", "ba"] * 3
    assert all(row["verdict"] in ("A", "B") and 0 < row["p_a"] < 1 for row in verdicts)
    assert not any(b"sk-served" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


class KillsTheServer:
    """Progress of sampling that ends the server after some replies."""

    def __init__(self, server: VllmServer, after: int) -> None:
        self.server, self.after, self.done = server, after, 0

    def begin(self, samples: int, cached: int) -> None:
        """Nothing to do."""

    def advance(self, samples: int, tokens: int) -> None:
        self.done += samples
        if self.done >= self.after:
            self.server.kill()


def test_a_killed_server_costs_what_was_under_way_and_a_new_one_goes_on(server: VllmServer, tmp_path: Path) -> None:
    params = SamplingParams(temperature=0.8, top_p=0.95, max_new_tokens=40, seed=1)
    requests = [question(str(number), f"Write about the number {number}.", params) for number in range(24)]
    judge = judge_of(server, tmp_path)
    killing = KillsTheServer(server, after=8)
    asked = TextSampler(None, judge.sampler, judge.cache, 0, lambda title: killing)
    with pytest.raises(StageError) as caught:
        asked.ask(requests, Workspace(tmp_path / "work"))
    assert str(caught.value).startswith(f"{server.url} cannot be reached: ")
    assert "run the same command again to go on" in str(caught.value)
    kept = len(judge.cache)
    assert 8 <= kept == killing.done < 24
    judge.close()

    server.start()
    again = judge_of(server, tmp_path)
    assert len(again.cache) == kept
    noted = KillsTheServer(server, after=1000)
    workspace = Workspace(tmp_path / "work")
    replies = TextSampler(None, again.sampler, again.cache, 0, lambda title: noted).ask(requests, workspace)
    assert len(replies.generations) == 24 and noted.done == 24 - kept
    assert workspace.counts()["generations"] == {"sampled": 24, "cached": 0}
    again.close()
