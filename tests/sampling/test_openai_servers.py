"""Servers as they are: what they refuse, leave unfinished, think apart, and change under one name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import judgekit
from judgekit.errors import ModelError, StageError
from judgekit.file_judging import Asked, judge_file
from judgekit.prompts.pairwise import PairwisePrompt
from judgekit.prompts.thoughts import split_thought
from judgekit.rows import ResponsePair
from judgekit.samplers.openai import OpenAIConfig
from judgekit.sampling import server as server_module
from judgekit.sampling.base import Generation, SamplingParams
from judgekit.sampling.text import Replies, TextRequest
from judgekit.schema.judges import JudgeConfig
from judgekit.store import Workspace
from tests.sampling.scripted_server import Answer, Body, ScriptedServer, echo, last, refusal, reply
from tests.sampling.test_openai import DRAWN, GREEDY, judge_of, question

SYSTEM = TextRequest("s", ({"role": "system", "content": "Be fair."}, {"role": "user", "content": "q"}), GREEDY)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repetitions without long pauses."""
    monkeypatch.setattr(server_module, "FIRST_PAUSE", 0.001)


def asked(
    server: ScriptedServer, root: Path, requests: list[TextRequest], workspace: Workspace | None = None, **settings: Any
) -> Replies:
    judge = judge_of(server, root, **settings)
    try:
        replies = judge.ask(requests, workspace)
        return Replies(dict(replies.generations), replies.refused)
    finally:
        judge.close()


# --- what servers do not take


def rejecting(message: str, wrong: Callable[[Body], bool], status: int = 400, **error: Any) -> ScriptedServer:
    return ScriptedServer(lambda body, n: refusal(status, message, **error) if wrong(body) else echo(body, n))


@pytest.mark.parametrize(
    ("message", "wrong", "param", "request_", "changed"),
    [
        (
            "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is "
            "supported.",
            lambda body: body.get("temperature", 1) != 1,
            "temperature",
            question("q"),
            "without temperature",
        ),
        (
            "`temperature` must be strictly positive",
            lambda body: body["temperature"] <= 0,
            None,
            question("q"),
            "temperature 0.01 for 0",
        ),
        (
            "temperature: range: 0..1, must be <= 1",
            lambda body: body["temperature"] > 1,
            None,
            question("q", SamplingParams(1.5, 1.0, 20)),
            "temperature 1 for 1.5",
        ),
        (
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
            lambda body: "temperature" in body and "top_p" in body,
            None,
            question("q", DRAWN),
            "without top_p",
        ),
        (
            "Unsupported parameter: 'stop' is not supported with this model.",
            lambda body: "stop" in body,
            "stop",
            question("q END of it", DRAWN),
            "without stop",
        ),
        (
            "[{'type': 'extra_forbidden', 'loc': ['body', 'seed'], 'msg': 'Extra inputs are not permitted'}]",
            lambda body: "seed" in body,
            None,
            question("q", DRAWN),
            "without seed",
        ),
        (
            "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
            lambda body: body["messages"][0]["role"] == "system",
            "messages[0].role",
            SYSTEM,
            "system text in the user's message",
        ),
        (
            "Conversation roles must alternate user/assistant/user/assistant/...",
            lambda body: body["messages"][0]["role"] == "system",
            None,
            SYSTEM,
            "system text in the user's message",
        ),
    ],
)  # fmt: skip
def test_what_a_server_does_not_take_is_changed_said_once_and_recorded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, message: str, wrong: Callable[[Body], bool], param: str | None,
    request_: TextRequest, changed: str,
) -> None:  # fmt: skip
    others = [TextRequest(str(n), (*request_.prompt[:-1], {"role": "user", "content": str(n)}), request_.params)
              for n in range(5)]  # fmt: skip
    workspace = Workspace(tmp_path / "work")
    with rejecting(message, wrong, param=param) as server:
        replies = asked(server, tmp_path, [request_, *others], workspace, concurrency=1)
        assert len(server.bodies) <= 6 + 2  # whoever was under way meanwhile
        assert asked(server, tmp_path, [request_, *others]).generations == replies.generations
    assert len(replies.generations) == 6
    assert {tuple(one.served["changed"]) for one in replies.generations.values() if one.served} == {(changed,)}
    assert sum(changed in record.getMessage() for record in caplog.records) == 1
    assert workspace.counts()["rows"] == {f"asked {changed}": 6}
    if "stop" in changed:
        assert replies.generations["q END of it", 0] == Generation("to q ", (), "stop", 7, None, 3)
    if request_ is SYSTEM:
        assert {"messages": [{"role": "user", "content": "Be fair.\n\nq"}]}.items() <= next(
            body.items() for body in server.bodies if last(body).endswith("q") and len(body["messages"]) == 1
        )


def test_several_things_are_changed_one_after_another_and_a_rejection_for_good_ends_the_call(tmp_path: Path) -> None:
    def strict(body: Body, number: int) -> Answer:
        for name in ("temperature", "top_p", "seed", "stop", "max_tokens"):
            if name in body:
                hint = ", use 'max_completion_tokens'" if name == "max_tokens" else ""
                return refusal(400, f"Unsupported parameter: '{name}'{hint}", param=name)
        return echo(body, number)

    with ScriptedServer(strict) as server:
        assert asked(server, tmp_path, [question("q", DRAWN)]).generations["q", 0].text == "to q"
    assert set(server.bodies[-1]) == {"model", "messages", "max_completion_tokens"}
    with rejecting("Unsupported parameter: 'seed'", lambda body: True, param="seed") as server:
        with pytest.raises(ModelError, match="Unsupported parameter: 'seed'"):
            asked(server, tmp_path, [question("r", DRAWN)])
    assert len(server.bodies) == 2
    with rejecting("top_k: the weather is fine today", lambda body: True) as server:
        with pytest.raises(ModelError, match="the weather"):
            asked(server, tmp_path, [question("r", DRAWN)])
    assert len(server.bodies) == 1


def test_only_requests_that_are_changed_say_so(tmp_path: Path) -> None:
    with rejecting("temperature must be > 0", lambda body: body["temperature"] <= 0) as server:
        requests = [question("greedy"), question("drawn", SamplingParams(0.5, 1.0, 20))]
        replies = asked(server, tmp_path, requests, concurrency=1).generations
    assert {name: one.served["changed"] for (name, _), one in replies.items() if one.served} == {
        "greedy": ["temperature 0.01 for 0"], "drawn": [],
    }  # fmt: skip
    assert sorted(body["temperature"] for body in server.bodies) == [0.0, 0.01, 0.5]


def test_a_limit_beyond_the_context_is_no_newer_name_of_the_limit(tmp_path: Path) -> None:
    message = (
        "'max_tokens' or 'max_completion_tokens' is too large: 90. This model's maximum context length is 100 tokens "
        "and your request has 50 input tokens (90 > 100 - 50)."
    )
    with rejecting(message, lambda body: last(body) == "long") as server:
        replies = asked(server, tmp_path, [question("long"), question("short")], concurrency=1)
    assert replies.refused["long"].startswith("too long: ") and ("short", 0) in replies.generations
    assert all("max_tokens" in body for body in server.bodies)


# --- what is no finished reply

TOOL = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}


@pytest.mark.parametrize(
    ("bad", "refused"),
    [
        (reply("[[A]] so", "error"), "the server did not finish a reply: finish_reason error"),
        (reply("[[A]] so", "abort"), "the server did not finish a reply: finish_reason abort"),
        (reply("[[A]] so", None), "the server did not finish a reply: finish_reason null"),  # type: ignore[arg-type]
        (reply("[[A]] so", "error", error={"code": 502, "message": "Upstream died"}),
         "the server broke a reply off: Upstream died"),
        (reply(""), "the server's model gave an empty reply"),
        (reply(" \n"), "the server's model gave an empty reply"),
        (reply("", message={"role": "assistant", "content": None}), "the server's model gave an empty reply"),
        (reply("", "tool_calls", message=TOOL), "the server's model called a tool instead of a reply: tool_calls"),
        (reply("", "stop", message=TOOL), "the server's model called a tool instead of a reply"),
        (reply("", message={"content": [{"type": "image_url", "image_url": {"url": "x"}}]}),
         "the server's reply holds something else than text"),
        (Answer({"error": {"message": "Provider returned error", "code": 502}}),
         "the server answered with an error: Provider returned error"),
        (Answer({"error": "overloaded"}), "the server answered with an error: overloaded"),
        (Answer({"id": "x", "choices": []}), "the server's answer holds no reply"),
        (Answer({"id": "x", "choices": None}), "the server's answer holds no reply"),
    ],
)  # fmt: skip
def test_what_is_no_finished_reply_is_asked_for_again_then_refused_and_never_kept(
    tmp_path: Path, bad: Answer, refused: str
) -> None:
    broken = True

    def chat(body: Body, number: int) -> Answer:
        return bad if last(body) == "passing" and number == 0 or broken and last(body) == "bad" else echo(body, number)

    requests, workspace = [question("bad"), question("good"), question("passing")], Workspace(tmp_path / "work")
    with ScriptedServer(chat) as server:
        replies = asked(server, tmp_path, requests, workspace)
        assert replies.refused == {"bad": refused}
        assert {name: one.text for (name, _), one in replies.generations.items()} == {
            "good": "to good", "passing": "to passing",
        }  # fmt: skip
        assert len(server.bodies) == 3 + 1 + 2
        broken = False
        again = asked(server, tmp_path, requests)
        assert again.generations["bad", 0].text == "to bad" and len(server.bodies) == 7
    assert workspace.counts()["dropped"] == {refused.partition(": ")[0]: 1}


def test_what_a_model_does_wrong_is_not_tried_as_often_as_what_a_server_does(tmp_path: Path) -> None:
    for bad, tries in ((reply(""), 3), (reply("", "abort"), 6)):
        with ScriptedServer(lambda body, n, bad=bad: bad) as server:  # type: ignore[misc]
            assert list(asked(server, tmp_path, [question("q")], retries=5).refused) == ["q"]
        assert len(server.bodies) == tries


def test_an_error_with_a_status_inside_an_answer_counts_as_that_status(tmp_path: Path) -> None:
    with ScriptedServer(lambda body, n: Answer({"error": {"message": "No credits", "code": 402}})) as server:
        with pytest.raises(ModelError, match="status 402: No credits"):
            asked(server, tmp_path, [question("q")])
    long = {"message": "too many", "type": "invalid_request_error", "code": "context_length_exceeded"}
    with ScriptedServer(lambda body, n: Answer({"error": long})) as server:
        assert asked(server, tmp_path, [question("q")]).refused == {"q": "too long: too many"}


@pytest.mark.parametrize(
    ("reason", "finish"), [("STOP", "eos"), ("eos_token", "eos"), ("MAX_TOKENS", "length"), ("model_length", "length")]
)
def test_finish_reasons_as_servers_spell_them(tmp_path: Path, reason: str, finish: str) -> None:
    with ScriptedServer(lambda body, n: reply("a", reason, generated=20)) as server:
        assert asked(server, tmp_path, [question("q")]).generations["q", 0].finish == finish


def test_a_reply_that_its_stop_text_ends_at_once_is_empty_and_finished(tmp_path: Path) -> None:
    with ScriptedServer(lambda body, n: reply("", stop_reason="END")) as server:
        found = asked(server, tmp_path, [question("q", DRAWN)], dialect="vllm").generations["q", 0]
    assert (found.text, found.finish) == ("", "stop")


def test_parts_of_text_are_joined(tmp_path: Path) -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "B? No."}]},
        {"type": "text", "text": "It is "},
        {"type": "text", "text": "[[A]]"},
    ]
    with ScriptedServer(lambda body, n: reply("", message={"content": parts})) as server:
        found = asked(server, tmp_path, [question("q")]).generations["q", 0].text
    assert found == "<think>B? No.</think>\n\nIt is [[A]]"


# --- servers of thinking models

PAIR = ResponsePair("p", "Why?", "first", "second", None)


def judged(server: ScriptedServer, root: Path) -> judgekit.Judgment:
    with judgekit.Judge(
        prompt=PairwisePrompt(), sampler=OpenAIConfig(base_url=server.url, retries=0), store=root
    ) as judge:
        (row,) = judge.compare([PAIR], orders=("ab",))
    return row


@pytest.mark.parametrize(
    ("message", "thought"),
    [
        ({"content": "The second. [[B]]", "reasoning_content": "[[A]]? No."}, "[[A]]? No."),  # DeepSeek-R1
        ({"content": "<think>\n[[A]]? No.\n</think>\n\n[[B]]"}, "[[A]]? No."),  # Qwen3
        ({"content": "[[A]]? No.\n</think>\n\n[[B]]"}, "[[A]]? No."),  # begun by the template
        ({"content": "[[B]]", "reasoning": "[[A]]? No.", "reasoning_content": None}, "[[A]]? No."),  # gpt-oss
        ({"content": "[THINK][[A]]? No.[/THINK][[B]]"}, "[[A]]? No."),  # Magistral
        ({"content": "<think>[[A]]? No.</think>[[B]]", "reasoning": "[[A]]? No."}, "[[A]]? No."),  # both
    ],
)
def test_thinking_models_are_judged_by_their_answers(tmp_path: Path, message: dict[str, Any], thought: str) -> None:
    with ScriptedServer(lambda body, n: reply("", message=message)) as server:
        row = judged(server, tmp_path)
    assert row.verdict == "B" and row.invalid is None
    assert split_thought(row.text).thought == thought and row.text.count(thought) == 1


def test_the_tokens_of_a_thought_are_those_the_server_counts(tmp_path: Path) -> None:
    message = {"content": "[[B]]", "reasoning_content": "[[A]]? No."}
    told = {"prompt_tokens": 30, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 7}}

    def chat(body: Body, number: int) -> Answer:
        answer = reply("", message=message)
        answer.body["usage"] = told
        return answer

    pairs, out = tmp_path / "pairs.jsonl", tmp_path / "out.jsonl"
    pairs.write_text(json.dumps({"id": "p", "instruction": "ask", "response_a": "a", "response_b": "b"}) + "\n")
    with ScriptedServer(chat) as server:
        judge_file(
            Asked(pairs, out), JudgeConfig(), OpenAIConfig(base_url=server.url), PairwisePrompt(), tmp_path / "s"
        )
    (state,) = tmp_path.glob("**/state.json")
    spent = json.loads(state.read_text())["spent"]
    assert (spent["generated_tokens"], spent["thought_tokens"]) == (18, 14)


@pytest.mark.parametrize(
    ("reason", "generated", "message", "invalid", "text"),
    [
        ("stop", 9, {"content": None, "reasoning_content": "It is [[B]]"}, "no answer after its thought",
         "<think>It is [[B]]</think>"),
        ("length", 2048, {"content": "", "reasoning": "It is [[B]]"}, "truncated", "<think>It is [[B]]"),
        ("length", 2048, {"content": "<think>It is [[B]]"}, "truncated", "<think>It is [[B]]"),
        ("length", 2048, {"content": None}, "truncated", ""),  # it keeps its thoughts to itself
    ],
)  # fmt: skip
def test_a_thought_without_an_answer_is_invalid_and_kept(
    tmp_path: Path, reason: str, generated: int, message: dict[str, Any], invalid: str, text: str
) -> None:
    with ScriptedServer(lambda body, n: reply("", reason, generated=generated, message=message)) as server:
        server.models = Answer({"data": [{"id": "m"}]})
        row = judged(server, tmp_path)
    assert (row.verdict, row.invalid, row.text) == (None, invalid, text)


def test_a_judgment_without_a_reply_says_why(tmp_path: Path) -> None:
    with ScriptedServer(lambda body, n: reply("[[A]]", "abort")) as server:
        row = judged(server, tmp_path)
    assert (row.verdict, row.text) == (None, "")
    assert row.invalid == "the server did not finish a reply: finish_reason abort"


# --- who answers, and what decides the text


def named(model: str, fingerprint: str | None) -> Callable[[Body, int], Answer]:
    def chat(body: Body, number: int) -> Answer:
        answer = reply(f"{fingerprint} to {last(body)}")
        answer.body |= {"model": model, "system_fingerprint": fingerprint}
        return answer

    return chat


def test_another_model_under_one_name_is_said_and_kept_apart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def texts(*names: str) -> list[str]:
        return [one.text for one in asked(server, tmp_path, [question(name) for name in names]).generations.values()]

    with ScriptedServer(named("m-05", "f1")) as server:
        assert texts("a", "b") == ["f1 to a", "f1 to b"]
        assert asked(server, tmp_path, [question("a")]).generations["a", 0].served == {
            "model": "m-05", "fingerprint": "f1", "changed": [],
        }  # fmt: skip
        server.chat = named("m-05", "f2")
        assert texts("a") == ["f1 to a"] and not caplog.records  # nobody was asked
        assert texts("a", "c") == ["f2 to a", "f2 to c"]
        (record,) = caplog.records
        assert "m-05 (f2) answers now, formerly m-05 (f1)" in record.getMessage()
        assert texts("a") == ["f2 to a"] and len(server.bodies) <= 2 + 1 + 2
        server.chat = named("m-05", "f1")
        with pytest.raises(StageError, match=r"m-05 \(f1\) answers now, .* Run the same command again"):
            asked(server, tmp_path, [question("d")], Workspace(tmp_path / "work"))  # a stage has the other's name
        assert texts("a", "b", "d") == ["f1 to a", "f1 to b", "f1 to d"]


def test_fingerprints_that_go_to_and_fro_name_machines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with ScriptedServer(lambda body, n: named("m", f"f{len(server.bodies) % 2}")(body, n)) as server:
        asked(server, tmp_path, [question(str(n)) for n in range(6)], concurrency=1)
        server.chat = named("m", "f9")
        asked(server, tmp_path, [question(str(n)) for n in range(7)])
    assert len(server.bodies) == 7
    assert ["replies of this call come from" in record.getMessage() for record in caplog.records] == [True]


def test_what_decides_the_text_is_in_the_key(tmp_path: Path) -> None:
    digests = []
    off = {"chat_template_kwargs": {"enable_thinking": False}}
    with ScriptedServer() as server:
        for settings in (
            {},
            {"concurrency": 1},
            {"dialect": "vllm"},
            {"extra_body": off},
            {"extra_body": {"top_k": 1}},
        ):
            judge = judge_of(server, tmp_path, **settings)
            digests.append(judge.cache.weights_digest)
            judge.close()
        asked(server, tmp_path, [question("q")], extra_body=off)
        assert server.bodies[-1]["chat_template_kwargs"] == {"enable_thinking": False}
    assert digests[0] == digests[1] and len(set(digests)) == 4


# --- limits


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"max_total_tokens": 25}, "30 tokens are used, which sampler.max_total_tokens=25 ends"),
        ({"max_cost": 5e-5, "price_prompt": 1.0, "price_generated": 5.0}, "6.6e-05 is spent, which sampler.max_cost"),
    ],
)
def test_a_limit_ends_the_call_in_order(tmp_path: Path, settings: dict[str, Any], told: str) -> None:
    requests = [question(str(number)) for number in range(20)]
    with ScriptedServer() as server:  # 10 tokens a reply
        with pytest.raises(StageError, match=told) as caught:
            asked(server, tmp_path, requests, Workspace(tmp_path / "work"), concurrency=1, **settings)
        assert "Finished replies are kept" in str(caught.value) and len(server.bodies) == 3
        assert len(asked(server, tmp_path, requests).generations) == 20
        assert len(server.bodies) == 20
        asked(server, tmp_path, requests, **settings)  # all is there


def test_what_is_kept_of_a_server_is_read_again_and_other_back_ends_keep_no_more(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        asked(server, tmp_path, [question("q")])
    (segment,) = tmp_path.rglob("*.seg")
    assert json.loads(segment.read_text()[9:])["served"] == {"model": "m", "fingerprint": "", "changed": []}
