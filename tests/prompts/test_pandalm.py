"""PandaLM's and Auto-J's formats on worked strings, down to tokens, and their strict parsers."""

from __future__ import annotations

from pathlib import Path

import pytest

from judgekit.errors import ConfigError
from judgekit.prompts.autoj import AutoJ, AutoJPrompt, AutoJSingle, AutoJSinglePrompt
from judgekit.prompts.base import PairProtocol, PointProtocol, Reading
from judgekit.prompts.chat import encode_prompt, encode_reply
from judgekit.prompts.pandalm import PandaLM, PandaLMPrompt, Parts, split_input
from judgekit.rows import Response, ResponsePair
from tests.prompts.test_chat import make_llama_tokenizer

JUDGE = PandaLM(PandaLMPrompt(chat=False, task="Task.", task_input="Task with input."))
TEACHER = PandaLM(PandaLMPrompt(style="teacher"))
PAIR = ResponsePair("p", "Add.\n\n1 {x} 2", " 3</s>\n", "[PAD]four", "A", input="1 {x} 2")


def test_the_judges_prompt_and_target_in_plain_text() -> None:
    (message,) = JUDGE.judge_prompt(PAIR, "ab")
    assert message["role"] == "text"
    assert message["content"] == (
        "Task with input.\n\n### Instruction:\nAdd.\n\n### Input:\n1 {x} 2\n\n### Response 1:\n3\n\n"
        "### Response 2:\nfour\n\n### Evaluation:\n"
    )
    (swapped,) = JUDGE.judge_prompt(ResponsePair("p", "Add.", "3", "4", None), "ba")
    assert swapped["content"] == (
        "Task.\n\n### Instruction:\nAdd.\n\n### Response 1:\n4\n\n### Response 2:\n3\n\n### Evaluation:\n"
    )
    parts = Parts("tie", "Both do.", "3")
    assert JUDGE.target(parts) == "Tie\n\n### Reason: Both do.\n\n### Reference: 3\n"
    assert JUDGE.parts(JUDGE.target(parts)) == parts
    assert PandaLM(PandaLMPrompt()).judge_prompt(PAIR, "ab")[0]["role"] == "user"


def test_tokens_are_those_of_one_text() -> None:
    tokenizer = make_llama_tokenizer()
    prompt = JUDGE.judge_prompt(PAIR, "ab")
    target = JUDGE.target(Parts("A", "Right.", "3"))
    ids = encode_prompt(tokenizer, prompt) + encode_reply(tokenizer, target, prompt=prompt)
    assert ids == [*tokenizer.encode(prompt[0]["content"] + target, split_special_tokens=True), tokenizer.eos_token_id]
    first = tokenizer.convert_ids_to_tokens(ids)[len(encode_prompt(tokenizer, prompt)) :][:3]
    assert first == ["1", "<0x0A>", "<0x0A>"]


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("1", "A"), ("2\n\n### Reason: x", "B"), ("TIE\n", "tie"), ("\n 2 ", "B"), ("tie\n### Reason: y", "tie"),
        ("1.", None), ("Tie \n\n### Reason: x", None), ("garbage", None), ("12", None), ("1 2", None), ("Tie!", None),
    ],
)  # fmt: skip
def test_only_the_first_line_counts_and_only_when_exact(text: str, verdict: str | None) -> None:
    reading = JUDGE.read(text, truncated=True)
    assert reading.verdict == verdict
    assert reading.invalid == (None if verdict else "no verdict on the first line")


def test_an_empty_reply_is_invalid_not_a_tie() -> None:
    assert JUDGE.read(" \n", False) == Reading(None, "missing")
    assert JUDGE.read("", True) == Reading(None, "truncated")


def test_a_teachers_reply_needs_all_parts_once_and_in_order() -> None:
    parts = Parts("B", "It\n### is", "Line\nline")
    text = TEACHER.target(parts)
    assert TEACHER.parts(text) == parts and TEACHER.read(text, False).verdict == "B"
    inline = "### Reference: r\n### Reason: s\n### Verdict: Tie"
    assert TEACHER.parts(inline) == Parts("tie", "s", "r")
    for broken, reason in (
        ("### Reason: s\n### Verdict: 1", "no reference"),
        ("### Reference: r\n### Verdict: 1", "no reason"),
        ("### Reference: r\n### Reason: s", "no verdict"),
        ("### Reference: r\n### Reason: s\n### Verdict: 1 or 2", "no verdict"),
        ("### Reference: r\n### Reason:\n### Verdict: 1", "empty reason"),
        ("### Reason: s\n### Reference: r\n### Verdict: 1", "parts out of order"),
        (f"{inline}\n### Verdict: 1", "ambiguous verdict"),
    ):
        assert TEACHER.parts(broken) == reason
        assert TEACHER.read(broken, False).invalid == reason and TEACHER.read(broken, True).invalid == "truncated"
    constrained = "### Reference: r\n### Reason: s" + TEACHER.verdict_lead + TEACHER.verdict_tokens[2]
    assert TEACHER.read(constrained, False).verdict == "tie"
    assert JUDGE.parts("1\n\n### Reason: only") == "no reason and reference"


def test_the_input_is_only_split_off_where_it_ends_the_instruction() -> None:
    assert split_input(PAIR) == ("Add.", "1 {x} 2")
    assert split_input(ResponsePair("p", "Add.", "", "", None)) == ("Add.", "")
    assert split_input(ResponsePair("p", "Add.", "", "", None, input="elsewhere")) == ("Add.", "")


def test_auto_j(tmp_path: Path) -> None:
    template = tmp_path / "template.txt"
    template.write_text("Q: {prompt} 1: {response} 2: {response_another}")
    judge = AutoJ(AutoJPrompt(template=str(template)))
    assert judge.judge_prompt(PAIR, "ba") == (
        {"role": "text", "content": "[INST] Q: Add.\n\n1 {x} 2 1: [PAD]four 2:  3</s>\n [/INST]"},
    )
    assert "[Response 2]: [PAD]four\n***\n[END DATA]" in AutoJ(AutoJPrompt()).judge_prompt(PAIR, "ab")[0]["content"]
    readings = {
        "x. So, the final decision is Response 1. Good.": "A", "the final decision is response 2": "B",
        "final decision is Response 1, no: the final decision is Tie.": None, "So, Response 1": None,
        "the final decision is neither": None,
    }  # fmt: skip
    assert {text: judge.read(text, False).verdict for text in readings} == readings
    assert judge.read("So, Response 1", True).invalid == "truncated"
    released = AutoJ(AutoJPrompt(parser="release"))
    assert released.read("final decision is Response 1, no: the final decision is Tie.", True).verdict == "tie"
    template.write_text(template.read_text() + "\n")
    assert judge.judge_prompt(PAIR, "ab")[0]["content"].endswith(" 2: [PAD]four [/INST]"), "a file's last line end"
    template.write_text("Q: {prompt} 1: {response}")
    with pytest.raises(ConfigError, match="no slot {response_another}"):
        judge.judge_prompt(PAIR, "ab")
    assert isinstance(judge, PairProtocol) and isinstance(JUDGE, PairProtocol)


def test_auto_j_rates_single_responses(tmp_path: Path) -> None:
    """``build_autoj_input(protocol="single")`` and ``extract_single_rating`` of the release's ``codes/usage/``."""
    template = tmp_path / "single.txt"
    template.write_text("Grade.\n[Query]: {prompt}\n[Response]: {response}\nEnd.\n")
    judge = AutoJSingle(AutoJSinglePrompt(template=str(template)))
    row = Response("r", "1 + {response}?", "{prompt} 2", reference="3")
    assert judge.score_prompt(row) == (
        {
            "role": "text",
            "content": "[INST] Grade.\n[Query]: 1 + {response}?\n[Response]: {prompt} 2\nEnd. [/INST]",
        },
    )
    ours = AutoJSingle(AutoJSinglePrompt()).score_prompt(row)[0]["content"]
    assert "[BEGIN DATA]\n***\n[Query]: 1 + {response}?\n***\n[Response]: {prompt} 2\n***\n[END DATA]\n\n" in ours
    assert ours.startswith("[INST] ") and ours.endswith('"Rating: [[5]]". [/INST]')
    ratings = {
        "Good. Rating: [[7]]": 7.0, "Rating: [[3]]. No: Rating: [[ 4.5 ]] it is": 4.5, "rating: [[7]]": "missing",
        "Rating: 7": "missing", "Rating: [[7": "missing", "Rating: [[seven]]": "not a score",
        "Rating: [[0]]": "out of range", "Rating: [[11]]": "out of range", "Rating: [[5/10]]": "not a score",
    }  # fmt: skip
    found = {text: judge.read_score(text, False) for text in ratings}
    assert {text: one.score if one.score is not None else one.invalid for text, one in found.items()} == ratings
    assert (
        judge.read_score("Rating: [[8]] be", True).score == 8.0 and judge.read_score("So", True).invalid == "truncated"
    )
    template.write_text("{prompt}")
    with pytest.raises(ConfigError, match="no slot {response}"):
        judge.score_prompt(row)
    assert isinstance(judge, PointProtocol) and judge.scale == (1.0, 10.0) and not isinstance(judge, PairProtocol)
