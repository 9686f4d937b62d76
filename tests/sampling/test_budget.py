"""Thoughts with a budget: where they end, what is sampled behind them, and what counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from judgekit.prompts.thoughts import split_thought
from judgekit.sampling.base import Batch, Generation, Request, SamplingParams
from judgekit.sampling.budget import ThinkingSampler
from judgekit.sampling.cache import GenerationCache
from judgekit.sampling.text import TextRequest, ask_for_verdict
from judgekit.store import Workspace
from tests.helpers import ScriptedSampler
from tests.training.tiny import make_model

PARAMS = SamplingParams(0.0, 1.0, 20)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return AutoTokenizer.from_pretrained(make_model(tmp_path_factory.mktemp("tiny") / "model"))


@pytest.fixture(scope="module")
def opening(tokenizer: Any) -> Any:
    """Its template opens the thought."""
    found = AutoTokenizer.from_pretrained(tokenizer.name_or_path)
    found.chat_template = tokenizer.chat_template.replace("assistant\n{%", "assistant\n<think>\n{%")
    return found


class Speaker(ScriptedSampler):
    """Says a text from where its prompt ends, token by token, up to a stop, its limit or the end.

    :param closed: what it says once a thought was closed that it had not closed itself
    """

    def __init__(self, tokenizer: Any, text: str, closed: str) -> None:
        super().__init__()
        self.tokenizer, self.text, self.closed = tokenizer, text, closed
        self.asked: list[Request] = []

    def run(self, requests: Sequence[Request], batch: Batch) -> list[Generation]:
        self.asked += [requests[index] for index, _ in batch]
        return [self.say(requests[index]) for index, _ in batch]

    def say(self, request: Request) -> Generation:
        begun = self.tokenizer.decode(request.prompt_ids).rpartition("assistant\n")[2].removeprefix("<think>\n")
        said = self.text[len(begun) :] if self.text.startswith(begun) else self.closed
        params = request.params
        if params.choices:
            return Generation(params.choices[1], (1,), "choice", 9, dict.fromkeys(params.choices, 0.5))
        ids = self.tokenizer.encode(said)
        for count in range(1, min(len(ids), params.max_new_tokens) + 1):
            text = self.tokenizer.decode(ids[:count])
            if any(stop in text for stop in params.stop):
                place = min(text.find(stop) for stop in params.stop if stop in text)
                return Generation(text[:place], tuple(ids[:count]), "stop", len(request.prompt_ids))
        if len(ids) > params.max_new_tokens:
            cut = tuple(ids[: params.max_new_tokens])
            return Generation(self.tokenizer.decode(cut), cut, "length", len(request.prompt_ids))
        return Generation(said, tuple(ids), "eos", len(request.prompt_ids))


def judge(told: Any, sampler: Speaker, cache: Path, budget: int, max_length: int = 500) -> ThinkingSampler:
    return ThinkingSampler(told, sampler, GenerationCache(cache, "f" * 64), max_length, budget=budget)


QUESTION = TextRequest("q", ({"role": "user", "content": "which?"},), PARAMS)


@pytest.mark.parametrize(
    ("text", "budget", "reply", "finish", "forced"),
    [
        ("<think>[[A]]? No.</think>\n\nIt is [[B]]", 40, "<think>[[A]]? No.</think>\n\nIt is [[B]]", "eos", 0),
        ("<think>[[A]]? No. Or so.</think>[[A]]", 16, "<think>[[A]]? No\n</think>\n\n[[B]]", "eos", 1),
        ("[THINK]Hm[/THINK]It is [[A]]", 40, "[THINK]Hm[/THINK]It is [[A]]", "eos", 0),
        ("<think>Hm</think>" + 30 * "w", 40, "<think>Hm</think>" + 20 * "w", "length", 0),
        ("<think>Hm", 40, "<think>Hm", "eos", 0),  # it ends in its thought
        ("It is [[A]]", 40, "It is [[A]]", "eos", 0),  # no thought
        ("It is [[A]]", 4, "It is [[A]]", "eos", 0),  # no thought, longer than one may be
        (30 * "w", 40, 20 * "w", "length", 0),
        (30 * "w", 4, 20 * "w", "length", 0),
    ],
)
def test_a_reply_is_its_thought_and_what_is_said_behind_it(
    tmp_path: Path, tokenizer: Any, text: str, budget: int, reply: str, finish: str, forced: int
) -> None:
    workspace = Workspace(tmp_path / "work")
    found = judge(tokenizer, Speaker(tokenizer, text, "[[B]]"), tmp_path, budget).ask([QUESTION], workspace)
    said = found.generations["q", 0]
    assert (said.text, said.finish, found.refused) == (reply, finish, {})
    assert workspace.counts()["rows"] == ({"thought closed at sampler.thinking_tokens": 1} if forced else {})


@pytest.mark.parametrize(
    ("text", "budget", "reply"),
    [
        ("Hm.</think>\n\n[[A]]", 40, "<think>\nHm.</think>\n\n[[A]]"),
        ("Hm, and on and on", 4, "<think>\nHm,\n</think>\n\n[[B]]"),
    ],
)
def test_a_thought_that_the_template_opens_has_the_same_budget(
    tmp_path: Path, opening: Any, text: str, budget: int, reply: str
) -> None:
    sampler = Speaker(opening, text, "[[B]]")
    workspace = Workspace(tmp_path / "work")
    said = judge(opening, sampler, tmp_path, budget).ask([QUESTION], workspace).generations["q", 0]
    assert said.text == reply and split_thought(said.text).closed
    follow_up = opening.decode(sampler.asked[-1].prompt_ids)
    assert follow_up.endswith("assistant\n" + reply[: reply.index("</think>")] + "</think>" + "\n\n" * (budget == 4))
    tokens = workspace.counts()["tokens"]
    assert tokens["generated"] == len(said.token_ids) > tokens["thought"] > 0


def test_stops_and_verdicts_are_looked_for_behind_the_thought(tmp_path: Path, tokenizer: Any) -> None:
    sampler = Speaker(tokenizer, "<think>Say [[A]]?</think>I say [[A]], so.", "")
    model = judge(tokenizer, sampler, tmp_path, 40)
    stopping = replace(QUESTION, params=replace(PARAMS, stop=("[[A]]",)))
    assert model.ask([stopping], None).generations["q", 0].text == "<think>Say [[A]]?</think>I say "
    decided, _ = ask_for_verdict(model, [QUESTION], ("[[A]]", "[[B]]"), "\n", ("[[A]]",), None, "test")
    assert decided["q", 0].text == "<think>Say [[A]]?</think>I say\n[[B]]"


def test_thought_and_answer_have_to_fit_into_the_context(tmp_path: Path, tokenizer: Any) -> None:
    sampler = Speaker(tokenizer, "<think>Hm</think>[[A]]", "")
    size = len(tokenizer.apply_chat_template(list(QUESTION.prompt), add_generation_prompt=True)["input_ids"])
    short = judge(tokenizer, sampler, tmp_path / "short", 40, max_length=size + 59).ask([QUESTION], None)
    assert list(short.refused) == ["q"] and short.refused["q"].startswith("too long") and not short.generations
    fits = judge(tokenizer, sampler, tmp_path / "fits", 40, max_length=size + 60).ask([QUESTION], None)
    assert fits.generations["q", 0].text == "<think>Hm</think>[[A]]"
