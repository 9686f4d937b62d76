"""Asking a server: what is sent, what comes back, what is repeated, refused, kept and told."""

from __future__ import annotations

import json
import logging
import math
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from judgekit.errors import ConfigError, JudgekitError, MissingExtraError, ModelError, StageError
from judgekit.samplers.openai import OpenAIConfig
from judgekit.sampling import server as server_module
from judgekit.sampling.base import Generation, SamplingParams
from judgekit.sampling.openai import OpenAISampler, server_sampler
from judgekit.sampling.server import public_url, retry_after
from judgekit.sampling.text import Decided, Replies, TextRequest, TextSampler, ask_for_verdict
from judgekit.store import Workspace
from tests.sampling.scripted_server import Answer, Body, ScriptedServer, echo, last, refusal, reply

GREEDY = SamplingParams(temperature=0.0, top_p=1.0, max_new_tokens=20)
DRAWN = SamplingParams(temperature=0.7, top_p=0.9, max_new_tokens=20, stop=("END",), seed=5)
KEY = "sk-recognisable-0123456789"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repetitions without long pauses, and a key that must not be found anywhere."""
    monkeypatch.setattr(server_module, "FIRST_PAUSE", 0.01)
    monkeypatch.setenv("JUDGEKIT_TEST_KEY", KEY)


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., Replies]:
    """Ask a server through the cache in one call."""

    def call(
        server: ScriptedServer, requests: list[TextRequest], workspace: Workspace | None = None, **settings: Any
    ) -> Replies:
        judge = judge_of(server, tmp_path, **settings)
        try:
            replies = judge.ask(requests, workspace)
            return Replies(dict(replies.generations), replies.refused)
        finally:
            judge.close()

    return call


def judge_of(server: ScriptedServer, root: Path, **settings: Any) -> TextSampler:
    defaults: dict[str, Any] = {"api_key_env": "JUDGEKIT_TEST_KEY", "retries": 2, "concurrency": 4}
    return server_sampler(OpenAIConfig(**defaults | {"base_url": server.url} | settings), root)


def question(text: str, params: SamplingParams = GREEDY, **settings: Any) -> TextRequest:
    return TextRequest(text, ({"role": "user", "content": f" {text}\n"},), params, **settings)


# --- what is sent and what comes back


def test_a_request_says_what_was_asked_and_no_more(ask: Callable[..., Replies]) -> None:
    with ScriptedServer() as server:
        replies = ask(server, [question("greedy"), question("drawn", DRAWN, samples=(0, 3))])
    greedy, *drawn = sorted(server.bodies, key=lambda body: len(json.dumps(body)))
    assert greedy == {
        "model": "m",
        "messages": [{"role": "user", "content": "greedy"}],
        "temperature": 0.0,
        "max_tokens": 20,
    }
    seeds = {body.pop("seed") for body in drawn}
    assert len(seeds) == 2 and all(0 <= seed < 2**63 for seed in seeds)
    assert drawn == [greedy | {
        "messages": [{"role": "user", "content": "drawn"}], "temperature": 0.7, "top_p": 0.9, "stop": ["END"],
    }] * 2  # fmt: skip
    assert server.headers["authorization"] == f"Bearer {KEY}"
    assert replies.generations["greedy", 0] == Generation("to greedy", (), "eos", 7, None, 3)
    assert replies.generations["drawn", 3].tokens == 3


@pytest.mark.parametrize(
    ("answer", "params", "finish"),
    [
        (reply("a", "length", generated=20), GREEDY, "length"),
        (reply("a", "stop"), DRAWN, "stop"),
        (reply("a", "stop", stop_reason="END"), DRAWN, "stop"),
        (reply("a", "stop", stop_reason=None), DRAWN, "eos"),
        (reply("a", "stop", stop_reason=128009), DRAWN, "eos"),
        (reply("a", "stop"), GREEDY, "eos"),
    ],
)
def test_how_a_reply_ended(ask: Callable[..., Replies], answer: Answer, params: SamplingParams, finish: str) -> None:
    with ScriptedServer(lambda body, number: answer) as server:
        assert ask(server, [question("q", params)]).generations["q", 0].finish == finish


def test_half_surrogates_in_a_reply_become_something_files_can_hold(ask: Callable[..., Replies]) -> None:
    with ScriptedServer(lambda body, number: reply("a \ud83d b \U0001f600")) as server:
        text = ask(server, [question("q")]).generations["q", 0].text
    assert text == "a \ufffd b \U0001f600"


def test_replies_tokens_and_cost_are_counted_and_found_again(tmp_path: Path, ask: Callable[..., Replies]) -> None:
    requests = [question(name) for name in "abc"]
    prices = {"price_prompt": 2.0, "price_generated": 10.0}
    with ScriptedServer() as server:
        first = Workspace(tmp_path / "first")
        made = ask(server, requests, first, **prices)
        again = Workspace(tmp_path / "again")
        assert ask(server, requests, again, **prices) == made
        free = Workspace(tmp_path / "free")
        ask(server, [question("d")], free)
    assert len(server.bodies) == 4
    counts = first.counts()
    assert counts["generations"] == {"sampled": 3, "cached": 0} and counts["tokens"] == {"prompt": 21, "generated": 9}
    assert math.isclose(counts["cost"], (21 * 2.0 + 9 * 10.0) / 1e6)
    assert again.counts()["generations"] == {"sampled": 0, "cached": 3} and again.counts()["cost"] == 0.0
    assert free.counts()["cost"] is None


def test_what_finishes_comes_at_once(tmp_path: Path) -> None:
    def slow(body: Body, number: int) -> Answer:
        answer = echo(body, number)
        answer.delay = 1.5 if last(body) == "slow" else 0.0
        return answer

    class Noted:
        def __init__(self) -> None:
            self.times: list[float] = []

        def begin(self, samples: int, cached: int) -> None: ...

        def advance(self, samples: int, tokens: int) -> None:
            self.times.append(time.monotonic())

    noted = Noted()
    with ScriptedServer(slow) as server:
        judge = judge_of(server, tmp_path)
        started = time.monotonic()
        TextSampler(None, judge.sampler, judge.cache, 0, lambda title: noted).ask(
            [question("slow"), *(question(f"fast{i}") for i in range(6))], None
        )
        judge.close()
    assert noted.times[0] - started < 1.3 < noted.times[-1] - started


def test_requests_under_way_are_bounded(ask: Callable[..., Replies]) -> None:
    def slow(body: Body, number: int) -> Answer:
        return Answer(echo(body, number).body, delay=0.05)

    with ScriptedServer(slow) as server:
        ask(server, [question(str(number)) for number in range(20)], concurrency=3)
    assert server.most == 3


def test_the_configured_rate_is_kept(ask: Callable[..., Replies]) -> None:
    with ScriptedServer() as server:
        ask(server, [question(str(number)) for number in range(5)], requests_per_minute=1200)
    assert server.times[-1] - server.times[0] > 0.15  # four times 50 ms, as the server's threads see them


# --- which model


@pytest.mark.parametrize("ids", [[], ["one", "two"]])
def test_a_model_must_be_named_unless_there_is_one(tmp_path: Path, ids: list[str]) -> None:
    with ScriptedServer(models=Answer({"data": [{"id": name} for name in ids]})) as server:
        with pytest.raises(ModelError, match=r"served_model") as caught:
            judge_of(server, tmp_path)
        assert all(name in str(caught.value) for name in ids)
        judge_of(server, tmp_path, served_model="two").close()


def test_what_is_told_of_a_model_tells_its_replies_apart(tmp_path: Path) -> None:
    digests = []
    cards = [
        {"id": "m", "root": "/weights", "max_model_len": 100, "created": 1},
        {"id": "m", "root": "/weights", "max_model_len": 100, "created": 2},
        {"id": "m", "root": "/others", "max_model_len": 100},
        {"id": "m", "root": "/weights", "max_model_len": 50},
        {"id": "n", "root": "/weights", "max_model_len": 100},
    ]
    with ScriptedServer() as server:
        for card in cards:
            server.models = Answer({"data": [card]})
            judge = judge_of(server, tmp_path)
            digests.append(judge.cache.weights_digest)
            judge.close()
        server.models = refusal(404, "no such page")
        judge = judge_of(server, tmp_path, served_model="m")
        assert dict(judge.ask([question("q")], None).generations)
        judge.close()
    assert digests[0] == digests[1] and len(set(digests)) == 4


def test_credentials_are_no_part_of_an_address() -> None:
    assert public_url("https://me:secret@Host:1/v1/?key=secret") == "https://host:1/v1"


# --- repeating


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_failures_that_pass_are_repeated(ask: Callable[..., Replies], status: int) -> None:
    with ScriptedServer(lambda body, n: refusal(status, "busy") if n < 2 else echo(body, n)) as server:
        assert ask(server, [question("q")]).generations["q", 0].text == "to q"
    assert len(server.bodies) == 3


@pytest.mark.parametrize(
    "broken",
    [Answer({}, drop=True), Answer(b"{"), Answer(b"<html>", headers={"Content-Type": "text/html"}), Answer([])],
)
def test_broken_answers_are_repeated(ask: Callable[..., Replies], broken: Answer) -> None:
    with ScriptedServer(lambda body, n: broken if n == 0 else echo(body, n)) as server:
        assert ask(server, [question("q")]).generations["q", 0].text == "to q"
    assert len(server.bodies) == 2


def test_an_answer_that_takes_too_long_is_asked_for_again(ask: Callable[..., Replies]) -> None:
    with ScriptedServer(lambda body, n: Answer(echo(body, n).body, delay=0.0 if n else 2.0)) as server:
        started = time.monotonic()
        assert ask(server, [question("q")], timeout_seconds=0.2).generations["q", 0].text == "to q"
    assert time.monotonic() - started < 1.5


def test_all_requests_wait_as_long_as_the_server_asks(ask: Callable[..., Replies]) -> None:
    def limited(body: Body, number: int) -> Answer:
        return (
            refusal(429, "slow down", {"Retry-After": "1"}) if last(body) == "0" and number == 0 else echo(body, number)
        )

    with ScriptedServer(limited) as server:
        ask(server, [question(str(number)) for number in range(12)], concurrency=1)
    pause = max(later - earlier for earlier, later in zip(server.times, server.times[1:], strict=False))
    assert 0.9 < pause < 5.0
    assert len(server.bodies) == 13


def test_a_wait_nobody_wants_to_sit_out_ends_the_call(ask: Callable[..., Replies]) -> None:
    with ScriptedServer(lambda body, n: refusal(429, "quota used up", {"Retry-After": "86400"})) as server:
        with pytest.raises(StageError, match="quota used up and asks to wait 86400 s. Finished replies are kept"):
            ask(server, [question("q")])
    assert len(server.bodies) == 1


def test_how_servers_ask_to_wait() -> None:
    assert retry_after({"retry-after": "1.5"}) == 1.5
    assert retry_after({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    found = retry_after({"retry-after": later})
    assert found is not None and 95 < found <= 100
    assert [retry_after({"retry-after": text}) for text in ("soon", "inf", "nan")] == [None] * 3
    assert retry_after({"retry-after": "-3"}) == 0.0 and retry_after({}) is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_rejections_are_not_repeated(ask: Callable[..., Replies], status: int) -> None:
    with ScriptedServer(lambda body, n: refusal(status, f"you sent {KEY}\x1b[31m")) as server:
        with pytest.raises(ModelError, match=f"status {status}: you sent \\[key\\] \\[31m"):
            ask(server, [question("q")])
    assert len(server.bodies) == 1


def test_a_newer_name_of_the_token_limit_is_taken_up(ask: Callable[..., Replies]) -> None:
    def newer(body: Body, number: int) -> Answer:
        if "max_tokens" in body:
            return refusal(400, "'max_tokens' is not supported, use 'max_completion_tokens'", param="max_tokens")
        return echo(body, number)

    with ScriptedServer(newer) as server:
        assert len(ask(server, [question(name) for name in "abcdefgh"], concurrency=1).generations) == 8
    assert sum("max_tokens" in body for body in server.bodies) <= 2
    assert all(body["max_completion_tokens"] == 20 for body in server.bodies if "max_tokens" not in body)


# --- failing


def test_a_server_that_fails_names_itself_and_keeps_what_is_finished(
    tmp_path: Path, ask: Callable[..., Replies]
) -> None:
    broken = True

    def half(body: Body, number: int) -> Answer:
        return refusal(500, "out of memory") if broken and int(last(body)) >= 5 else echo(body, number)

    requests = [question(str(number)) for number in range(10)]
    with ScriptedServer(half) as server:
        workspace = Workspace(tmp_path / "work")
        with pytest.raises(StageError) as caught:
            ask(server, requests, workspace, concurrency=1)
        assert str(caught.value) == (
            f"{server.url} answered with status 500: out of memory (3 times). See that the server runs. "
            "Finished replies are kept: run the same command again to go on."
        )
        asked, broken = len(server.bodies), False
        workspace = Workspace(tmp_path / "work")
        assert len(ask(server, requests, workspace, concurrency=1).generations) == 10
    assert len(server.bodies) - asked == 5  # of the first five none is asked for again
    assert workspace.counts()["generations"] == {"sampled": 10, "cached": 0}


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(StageError, match=rf"http://127.0.0.1:{port}/v1 cannot be reached: .*\(2 times\)"):
        server_sampler(OpenAIConfig(base_url=f"http://127.0.0.1:{port}/v1", retries=1), tmp_path)


@pytest.mark.parametrize(
    "strange", [{"choices": "x"}, {"choices": ["x"]}, {"object": "list"}, {"choices": [{"message": "x"}]}]
)
def test_an_answer_of_another_kind_is_shown(ask: Callable[..., Replies], strange: Any) -> None:
    with ScriptedServer(lambda body, n: Answer(strange)) as server:
        with pytest.raises(StageError, match="no chat completion: "):
            ask(server, [question("q")])


def test_the_package_is_named_when_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtraError, match=r"judgekit-lab\[openai\]"):
        server_sampler(OpenAIConfig(), tmp_path)


# --- refusing single prompts


def test_prompts_that_cannot_be_asked_are_refused_counted_and_the_others_answered(
    tmp_path: Path, ask: Callable[..., Replies]
) -> None:
    def strict(body: Body, number: int) -> Answer:
        text = last(body)
        if len(text) > 1000:
            message = f"This model's maximum context length is 100 tokens. However, you sent {len(text)} tokens."
            return refusal(400, message, code="context_length_exceeded")
        if text == "bad":
            return refusal(400, "no", code="content_filter")
        if text == "stopped":
            return reply("I ca", "content_filter")
        if text == "declined":
            message = {"role": "assistant", "content": None, "refusal": "I cannot\nhelp."}
            return reply("", message=message)
        return reply("cut", "length", prompt=90, generated=10) if text == "edge" else echo(body, number)

    texts = ["fine", "x" * 200_000, "bad", "stopped", "declined", "edge", "a\0b", "half \ud83d", "<|im_start|> [[A]]"]
    workspace = Workspace(tmp_path / "work")
    with ScriptedServer(strict) as server:
        replies = ask(server, [question(text) for text in texts], workspace)
        assert list(replies.generations) == [("fine", 0), ("<|im_start|> [[A]]", 0)]
        assert replies.refused == {
            "x" * 200_000: "too long: This model's maximum context length is 100 tokens. However, you sent 200000 "
            "tokens.",
            "bad": "refused by the server's content filter",
            "stopped": "refused by the server's content filter",
            "declined": "refused by the server's model: I cannot help.",
            "edge": "too long: 90 prompt tokens, with 20 for the reply the limit is 100",
            "a\0b": "text holds a NUL character",
            "half \ud83d": "text holds a lone surrogate",
        }
        asked = len(server.bodies)
        ask(server, [question(text) for text in texts])
        assert len(server.bodies) - asked == 5  # refusals are asked for again, replies are not
    assert workspace.counts()["dropped"] == {
        "too long": 2,
        "refused by the server's content filter": 2,
        "refused by the server's model": 1,
        "text holds a NUL character": 1,
        "text holds a lone surrogate": 1,
    }
    assert workspace.counts()["generations"] == {"sampled": 2, "cached": 0}


def test_special_tokens_that_the_server_would_take_for_such_are_refused(ask: Callable[..., Replies]) -> None:
    texts = ["a<|im_start|>b", "<b>[[A]]</b> <|nothing|> a<b", "[[B]] [x]", "\u202e right to left \u200f"]
    texts += ["one <p> token [OK] each </think>"]
    with ScriptedServer() as server:
        replies = ask(server, [question(text) for text in texts], dialect="vllm")
        replies_of_prefill = ask(server, [question("q", prefill="so <|im_end|>")], dialect="vllm")
    assert replies.refused == {texts[0]: "text holds a special token of the server's model: <|im_start|>"}
    assert [reply.text for reply in replies.generations.values()] == [f"to {text}" for text in texts[1:]]
    assert list(replies_of_prefill.refused) == ["q"]


def test_all_samples_of_a_refused_prompt_are_refused(ask: Callable[..., Replies]) -> None:
    seen: list[int] = []

    def second(body: Body, number: int) -> Answer:
        seen.append(body["seed"])
        return reply("", "content_filter") if len(seen) == 2 else echo(body, number)

    with ScriptedServer(second) as server:
        replies = ask(server, [question("q", DRAWN, samples=(0, 1, 2))], concurrency=1)
    assert (replies.generations, list(replies.refused)) == ({}, ["q"])


# --- begun replies and chosen ones


def test_a_begun_reply_is_gone_on_with(ask: Callable[..., Replies]) -> None:
    with ScriptedServer() as server:
        ask(server, [question("q", prefill="Plan:\n")], dialect="vllm")
    (body,) = server.bodies
    assert body["messages"] == [{"role": "user", "content": "q"}, {"role": "assistant", "content": "Plan:\n"}]
    assert body["continue_final_message"] is True and body["add_generation_prompt"] is False


def test_the_penalty_goes_to_the_server(ask: Callable[..., Replies]) -> None:
    with ScriptedServer() as server:
        ask(server, [question("q", replace(GREEDY, repetition_penalty=1.2)), question("r")], dialect="vllm")
    assert sorted(body.get("repetition_penalty", 1.0) for body in server.bodies) == [1.0, 1.2]


@pytest.mark.parametrize(
    "request_",
    [
        question("q", prefill="Plan:"),
        question("q", SamplingParams(0.0, 1.0, 8, choices=("a", "b"))),
        question("q", replace(GREEDY, repetition_penalty=1.2)),
    ],
)
def test_what_only_vllm_can_is_refused_elsewhere(ask: Callable[..., Replies], request_: TextRequest) -> None:
    with ScriptedServer() as server, pytest.raises(ConfigError, match="sampler.dialect=vllm"):
        ask(server, [request_])
    assert server.bodies == []


def test_a_verdict_is_chosen_where_the_allowed_texts_part(tmp_path: Path) -> None:
    def score(body: Body, number: int) -> Answer:
        if "logprob_token_ids" not in body:
            return reply("I think. ", "stop", stop_reason="So:")
        logps = {ord("A"): math.log(0.1), ord("B"): math.log(0.3), ord("?"): math.log(0.6)}
        top = [{"token": f"token_id:{token}", "logprob": logp} for token, logp in logps.items()]
        return reply("?", "length", generated=1, logprobs={"content": [{"top_logprobs": top}]})

    workspace = Workspace(tmp_path / "work")
    with ScriptedServer(score) as server:
        judge = judge_of(server, tmp_path, dialect="vllm", verdict="constrained")
        choices, lead = ("[[A]]", "[[B]]"), "\nSo: "
        decided, _ = ask_for_verdict(judge, [question("q")], choices, lead, ("So:",), workspace, "test")
        judge.close()
    (found,) = decided.values()
    assert found == Decided("I think.\nSo: [[B]]", "choice", found.p_first)
    assert found.p_first == pytest.approx(0.25)
    asked = server.bodies[1]
    assert asked["messages"][-1] == {"role": "assistant", "content": "I think.\nSo: [["}
    assert asked["logprob_token_ids"] == [ord("A"), ord("B")] and asked["max_tokens"] == 1
    assert workspace.counts()["tokens"] == {"prompt": 14, "generated": 4}


def test_a_server_that_does_not_score_tokens_is_told_apart(ask: Callable[..., Replies]) -> None:
    params = SamplingParams(0.0, 1.0, 8, choices=("a", "b"))
    with ScriptedServer() as server, pytest.raises(StageError, match="logprob_token_ids"):
        ask(server, [question("q", params)], dialect="vllm")


# --- settings


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"base_url": "localhost:8000"}, "sampler.base_url"),
        ({"base_url": "https://me:secret@host/v1"}, "sampler.base_url"),
        ({"base_url": "https://host/v1?key=secret"}, "sampler.base_url"),
        ({"api_key_env": "sk-secret"}, "sampler.api_key_env"),
        ({"api_key_env": "gsk_secret0"}, "sampler.api_key_env"),
        ({"verdict": "constrained"}, "sampler.verdict"),
        ({"shards": 2}, "sampler.shards"),
        ({"shard": 0}, "sampler.shards"),
        ({"extra_body": {"stream": True}}, "sampler.extra_body.stream"),
        ({"max_cost": 1.0}, "sampler.max_cost"),
    ],
)
def test_settings_a_server_cannot_be_asked_with(tmp_path: Path, settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        server_sampler(OpenAIConfig(**settings), tmp_path)
    (problem,) = caught.value.problems
    assert problem.key == key and "secret" not in str(caught.value)


# --- the key


def test_the_key_is_never_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    ask: Callable[..., Replies],
) -> None:
    monkeypatch.setenv("OPENAI_LOG", "debug")
    caplog.set_level(logging.DEBUG)
    logging.getLogger().addHandler(handler := logging.FileHandler(tmp_path / "run.log"))
    told: list[str] = []

    def failing(answer: Answer, **settings: Any) -> None:
        with ScriptedServer(lambda body, n: answer) as server:
            try:
                ask(server, [question("q")], **settings)
            except JudgekitError as error:
                logging.getLogger("test").debug("The run stopped", exc_info=True)
                told.append("".join(traceback.format_exception(error)) + repr(error) + repr(vars(error)))

    try:
        with ScriptedServer() as server:
            replies = ask(server, [question("q", DRAWN)], Workspace(tmp_path / "work"))
            sampler = OpenAISampler(OpenAIConfig(base_url=server.url, api_key_env="JUDGEKIT_TEST_KEY"))
            told += [repr(sampler), repr(sampler._server), repr(vars(sampler)), repr(sampler.served())]
            sampler.close()
        assert server.headers["authorization"] == f"Bearer {KEY}" and replies.generations
        for status in (400, 401, 429, 500):
            failing(refusal(status, f"Incorrect API key provided: {KEY}", {"X-Your-Key": KEY}))
        failing(Answer(f"{KEY} <html>".encode(), headers={"Content-Type": "text/html"}))
        failing(Answer({"error": {"message": KEY, "code": 403}}))
        with ScriptedServer(lambda body, n: Answer({"error": {"message": KEY}})) as server:
            told.append(str(ask(server, [question("q")]).refused))
        failing(Answer({}, drop=True))
        failing(Answer({}, delay=1.0), timeout_seconds=0.05)
        monkeypatch.setenv("JUDGEKIT_TEST_KEY", f"{KEY}\nX-Header: 1")
        failing(reply("never asked"))
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    assert len(told) == 4 + 10
    files = [path.read_bytes().decode("utf-8", "replace") for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 2
    captured = capfd.readouterr()
    for place in (*told, *files, caplog.text, captured.out, captured.err):
        assert KEY not in place


def test_without_a_key_of_its_own_no_other_is_sent(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[..., Replies]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ScriptedServer() as server:
        ask(server, [question("q")], api_key_env="JUDGEKIT_UNSET")
    assert KEY not in str(server.headers)
