"""Hostile text with the tokenizer of the real seed model: characters stay characters, or the row is refused."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from judgekit.models import obtain
from judgekit.prompts.evalplanner import EvalPlanner, EvalPlannerPrompt
from judgekit.rows import ORDERS, ResponsePair
from judgekit.sampling.base import Generation, Request, SamplingParams
from judgekit.sampling.cache import GenerationCache
from judgekit.sampling.text import TextRequest, TextSampler
from judgekit.store import Workspace
from tests.helpers import ScriptedSampler, seed_model
from tests.sampling.hostile import ENCODED, REFUSED

pytestmark = pytest.mark.integration


class Keeps(ScriptedSampler):
    """Keeps the prompts it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.prompts: dict[str, tuple[int, ...]] = {}

    def _generate(self, request: Request, sample: int, mark: str) -> Generation:
        self.prompts[request.id] = request.prompt_ids
        return super()._generate(request, sample, mark)


@pytest.mark.parametrize("place", ["instruction", "response_a", "response_b", "prefill"])
def test_characters_stay_characters_or_the_row_is_refused(tmp_path: Path, place: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(obtain(seed_model()))
    special = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    protocol, params = EvalPlanner(EvalPlannerPrompt()), SamplingParams(0.0, 1.0, 64)
    texts = {"plain": "ordinary"} | ENCODED | {name: text for name, (text, _) in REFUSED.items()}
    requests = []
    for name, text in texts.items():
        slots = {"instruction": "q", "response_a": "a", "response_b": "b"} | (
            {} if place == "prefill" else {place: text}
        )
        pair = ResponsePair(name, label="A", **slots)
        prefill = text if place == "prefill" else ""
        requests += [
            TextRequest(f"{name}/{order}", protocol.judge_prompt(pair, order), params, prefill=prefill)
            for order in ORDERS
        ]
    sampler, workspace = Keeps(), Workspace(tmp_path / "work")
    judge = TextSampler(tokenizer, sampler, GenerationCache(tmp_path, "f" * 64), max_length=8192)
    started = time.monotonic()
    replies = judge.ask(requests, workspace)
    assert time.monotonic() - started < 30
    judge.close()
    expected = [token for token in sampler.prompts["plain/ab"] if token in special]
    assert len(expected) == 5  # system and user, begun and ended, and the begun reply
    for name, text in ENCODED.items():
        for order in ORDERS:
            ids = sampler.prompts[f"{name}/{order}"]
            assert [token for token in ids if token in special] == expected
            assert text in tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    reasons = {f"{name}/{order}": reason for name, (_, reason) in REFUSED.items() for order in ORDERS}
    assert {name: reason.partition(":")[0] for name, reason in replies.refused.items()} == reasons
    long = replies.refused["long/ab"]
    assert int(long.split()[2]) > 40_000 and long.endswith("the limit is 8128 (model.max_length)")
    assert workspace.counts()["dropped"] == {"too long": 4, "text holds a lone surrogate": 2}
