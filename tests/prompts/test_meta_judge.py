"""The meta-judge and the writer of new prompts: what is asked and how replies are read."""

from __future__ import annotations

import pytest

from judgekit.prompts.base import PairProtocol
from judgekit.prompts.meta_judge import MetaJudge, MetaJudgePrompt, judged
from judgekit.recipes.self_rewarding.self_instruct import new_prompt, read_new_prompt
from judgekit.rows import ResponsePair

META = MetaJudge(MetaJudgePrompt())


@pytest.mark.parametrize(
    ("text", "winner"),
    [
        ("It is fairer.\nWinner: Judgement A", "A"),
        ("Winner: Judgment B", "B"),
        ("Judgement B says too much.\n**Winner:** [Judgement A]", "A"),
        ("winner: judgement b.", "B"),
        ("Winner: A", "A"),
        ("Winner: [B]", "B"),
        ("Winner: Judgement A\nWinner: Judgment A", "A"),
    ],
)
def test_winners(text: str, winner: str) -> None:
    assert META.read(text, truncated=False).verdict == winner


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Judgement A is better.", "missing"),
        ("Winner: [Judgement A | Judgement B]", "ambiguous"),
        ("Winner: Judgement A\nWinner: Judgement B", "ambiguous"),
        ("Winner: tie", "neither named"),
        ("Winner: neither", "neither named"),
        ("Winner:", "neither named"),
        ("Winner: a good answer", "neither named"),
    ],
)
def test_what_names_no_winner(text: str, reason: str) -> None:
    reading = META.read(text, truncated=False)
    assert (reading.verdict, reading.invalid) == (None, reason)
    assert META.read("Winner: Judgement A", truncated=True).invalid == "truncated"


@pytest.mark.parametrize("style", ["full", "brief"])
def test_fields_and_orders(style: str) -> None:
    meta = MetaJudge(MetaJudgePrompt(style))  # type: ignore[arg-type]
    assert isinstance(meta, PairProtocol)
    pair = ResponsePair("p", judged("Ask {first}", "Answer {second}"), "Score: 1 {judged}", "Score: 2", None)
    one, two = (meta.judge_prompt(pair, order)[0]["content"] for order in ("ab", "ba"))  # type: ignore[arg-type]
    for text in (pair.response_a, pair.response_b, "Ask {first}", "Answer {second}", "[Judgment A]", "[Judgment B]"):
        assert one.count(text) == two.count(text) == 1
    assert one.index("Score: 1") < one.index("Score: 2") and two.index("Score: 2") < two.index("Score: 1")
    assert ("impeccable" in one) == (style == "full"), "the rubric is repeated"
    assert meta.read(meta.stitch("The answer is a list.", "A: right.\nB: wrong.", "A"), False).verdict == "A"


def test_new_prompts_are_asked_for_after_examples() -> None:
    (message,) = new_prompt(["Write {next} things", "Sum up {examples}"])
    assert "Request 1: Write {next} things" in message["content"]
    assert "Request 2: Sum up {examples}" in message["content"] and message["content"].endswith("Request 3:")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Write a poem.", "Write a poem."),
        ("Request 9: Write a poem.", "Write a poem."),
        ("**New request:** Write a poem.", "Write a poem."),
        ('"Write a poem."', "Write a poem."),
        ("Write a poem.\n\nRequest 10: Write another.", "Write a poem."),
        ("  ", ""),
        ("Request 9:", ""),
    ],
)
def test_reading_new_prompts(text: str, found: str) -> None:
    assert read_new_prompt(text) == found
