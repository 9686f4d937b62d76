"""Conversations and the shapes of preference data, and the text that every judge is shown of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from judgekit.data.inputs import Candidates, kind_of, read_inputs, survey
from judgekit.data.logs import read_labelled
from judgekit.data.sources import load_source, read_instructions, read_pairs
from judgekit.data.tournaments import read_prompts, read_responses
from judgekit.errors import DataError
from judgekit.prompts.judgelm import JudgeLM, JudgeLMPrompt
from judgekit.prompts.pairwise import Pairwise, PairwisePrompt
from judgekit.rows import Response, ResponsePair
from judgekit.schema.data import SourceConfig


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def bot(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


SYSTEM = {"role": "system", "content": "Be brief."}
CALL = {"role": "assistant", "content": None, "tool_calls": [
    {"type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}]}  # fmt: skip
TOOL = {"role": "tool", "name": "weather", "content": "4 °C"}

# (row, instruction, response_a, response_b, label)
PAIRS: dict[str, tuple[dict[str, Any], str, str, str, str | None]] = {
    "texts as before": (
        {"instruction": " q\n", "response_a": "x", "response_b": "y", "label": "B"}, " q\n", "x", "y", "B",
    ),
    "a lone user message": (
        {"instruction": [user(" q\n")], "response_a": [bot("x")], "response_b": "y"}, " q\n", "x", "y", None,
    ),
    "a system message": (
        {"prompt": [SYSTEM, user("q")], "chosen": [bot("x")], "rejected": [bot("y")]},
        "System: Be brief.\n\nUser: q", "x", "y", "A",
    ),
    "an empty system message": (
        {"prompt": [{"role": "system", "content": ""}, user("q")], "chosen": [bot("x")], "rejected": [bot("y")]},
        "q", "x", "y", "A",
    ),
    "TRL, explicit prompt as text": ({"prompt": "q", "chosen": "x", "rejected": "y"}, "q", "x", "y", "A"),
    "TRL, implicit prompt": (
        {"chosen": [user("q"), bot("x")], "rejected": [user("q"), bot("y")]}, "q", "x", "y", "A",
    ),
    "TRL, implicit prompt of several turns": (
        {"chosen": [user("q"), bot("r"), user("s"), bot("x")], "rejected": [user("q"), bot("r"), user("s"), bot("y")]},
        "User: q\n\nAssistant: r\n\nUser: s", "x", "y", "A",
    ),
    "prompt and whole conversations": (
        {"prompt": "q", "chosen": [user("q"), bot("x")], "rejected": [user("q"), bot("y")], "score_chosen": 8.5},
        "q", "x", "y", "A",
    ),
    "prompt before conversations": (
        {"prompt": [SYSTEM, user("q")], "chosen": [SYSTEM, user("q"), bot("x")],
         "rejected": [SYSTEM, user("q"), bot("y")]},
        "System: Be brief.\n\nUser: q", "x", "y", "A",
    ),
    "one message as it is": ({"prompt": "q", "chosen": bot("x"), "rejected": bot("y")}, "q", "x", "y", "A"),
    "dialogues in one text": (
        {"chosen": "\n\nHuman: q\n\nAssistant: r\n\nHuman: s\n\nAssistant: x",
         "rejected": "\n\nHuman: q\n\nAssistant: r\n\nHuman: s\n\nAssistant: y"},
        "User: q\n\nAssistant: r\n\nUser: s", "x", "y", "A",
    ),
    "an arena": (
        {"question_id": "7", "conversation_a": [user("q"), bot("x")], "conversation_b": [user("q"), bot("y")],
         "winner": "model_b", "model_a": "m", "model_b": "n"},
        "q", "x", "y", "B",
    ),
    "an arena of several turns": (
        {"conversation_a": [user("q"), bot("x"), user("s"), bot("t")],
         "conversation_b": [user("q"), bot("y"), user("s"), bot("u")], "winner": "tie (bothbad)"},
        "q", "Assistant: x\n\nUser: s\n\nAssistant: t", "Assistant: y\n\nUser: s\n\nAssistant: u", "tie",
    ),
    "from and value": (
        {"instruction": [{"from": "human", "value": "q"}], "response_a": [{"from": "gpt", "value": "x"}],
         "response_b": "y", "label": "tie"},
        "q", "x", "y", "tie",
    ),
    "parts of text": (
        {"prompt": [{"role": "user", "content": [{"type": "text", "text": "q"}, {"type": "text", "text": "r"}]}],
         "chosen": "x", "rejected": "y"},
        "qr", "x", "y", "A",
    ),
    "tools": (
        {"prompt": [user("Cold in Bern?")], "chosen": [CALL, TOOL, bot("Yes.")], "rejected": [bot("Yes.")]},
        "Cold in Bern?",
        'Assistant: [calls weather({"city": "Bern"})]\n\nTool: 4 °C\n\nAssistant: Yes.', "Yes.", "A",
    ),
    "the same response": ({"chosen": [user("q"), bot("x")], "rejected": [user("q"), bot("x")]}, "q", "x", "x", "A"),
    "a label of its own": (
        {"prompt": "q", "chosen": "x", "rejected": "y", "label": "tie"}, "q", "x", "y", "tie",
    ),
    "a column nobody reads": (
        {"instruction": "q", "response_a": "x", "response_b": "y", "label": "A", "messages": [{"role": "odd"}]},
        "q", "x", "y", "A",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_of_every_shape(name: str, tmp_path: Path) -> None:
    row, instruction, a, b, label = PAIRS[name]
    path = lines(tmp_path / "in.jsonl", row)
    (pair,) = read_pairs(path)
    assert (pair.instruction, pair.response_a, pair.response_b, pair.label) == (instruction, a, b, label)
    assert kind_of(path) == "pairs"
    (asked,) = read_inputs(path, "pairs")
    assert isinstance(asked, ResponsePair)
    assert (asked.id, asked.instruction, asked.response_a, asked.response_b) == (pair.id, instruction, a, b)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "in.parquet")
    assert read_pairs(tmp_path / "in.parquet") == [pair]
    config = SourceConfig(kind="jsonl", path=str(path), pairs="given")
    assert load_source(config, 2) == [pair]
    lines(tmp_path / "log.jsonl", row | {"gold": "A", "verdict": "B"})
    ((gold,), _) = read_labelled(tmp_path / "log.jsonl")
    assert (gold.instruction, gold.response_a) == (instruction, a)


def test_who_wrote_the_responses_comes_along(tmp_path: Path) -> None:
    row = {"prompt": "q", "chosen": "x", "rejected": "y", "chosen_model": "m", "rejected_model": "n"}
    (pair,) = read_pairs(lines(tmp_path / "in.jsonl", row))
    assert (pair.model_a, pair.model_b) == ("m", "n")


@pytest.mark.parametrize(
    ("row", "instruction", "response"),
    [
        ({"instruction": [user("q")], "response": [bot("x")]}, "q", "x"),
        ({"messages": [SYSTEM, user("q"), bot("x")]}, "System: Be brief.\n\nUser: q", "x"),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "x"}]}, "q", "x"),
        ({"prompt": [user("q")], "completion": [bot("x")]}, "q", "x"),
        ({"prompt": "q", "completion": "x"}, "q", "x"),
    ],
)
def test_single_responses_of_every_shape(row: dict[str, Any], instruction: str, response: str, tmp_path: Path) -> None:
    path = lines(tmp_path / "in.jsonl", row)
    assert kind_of(path) == "responses"
    (found,) = read_inputs(path, "responses")
    assert isinstance(found, Response) and (found.instruction, found.response) == (instruction, response)
    assert read_responses(path) == {instruction: (response, None)}
    assert read_prompts(path) == [instruction] == [row.text for row in read_instructions(path)]


def test_prompts_and_lists_of_responses(tmp_path: Path) -> None:
    path = lines(tmp_path / "p.jsonl", {"prompt": [user("q")]}, {"messages": [user("r"), bot("x"), user("s")]})
    texts = ["q", "User: r\n\nAssistant: x\n\nUser: s"]
    assert [row.text for row in read_instructions(path)] == texts == read_prompts(path)
    row = {"prompt": [user("q")], "responses": ["x", [bot("y")], bot("z")]}
    (found,) = read_inputs(lines(tmp_path / "many.jsonl", row), "candidates")
    assert isinstance(found, Candidates) and (found.instruction, found.responses) == ("q", ("x", "y", "z"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"chosen": [user("q"), bot("x")], "rejected": [user("r"), bot("y")]}, "both must answer one prompt"),
        ({"prompt": [{"role": "narrator", "content": "q"}], "chosen": "x", "rejected": "y"}, "role 'narrator'"),
        ({"prompt": [{"role": "user", "content": None}], "chosen": "x", "rejected": "y"}, "turn without content"),
        (
            {"prompt": [{"role": "user", "content": [{"type": "image_url"}]}], "chosen": "x", "rejected": "y"},
            "field 'instruction': has a part of type image_url, and judges are shown text only",
        ),
        ({"prompt": [], "chosen": "x", "rejected": "y"}, r"holds \[\] \(list\) where text belongs"),
        ({"prompt": "q", "chosen": ["x"], "rejected": "y"}, r"where text belongs"),
    ],
)
def test_what_cannot_be_shown_is_named(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = lines(tmp_path / "in.jsonl", PAIRS["texts as before"][0], row)
    with pytest.raises(DataError, match=f"line 2.*{message}"):
        read_pairs(path)
    (error,) = survey(path).bad
    assert error.line == 2


def test_protocols_show_the_same_text_where_their_instruction_stands(tmp_path: Path) -> None:
    row = {"prompt": [SYSTEM, user("q")], "chosen": [CALL, TOOL, bot("Yes.")], "rejected": [bot("No.")]}
    (pair,) = read_pairs(lines(tmp_path / "in.jsonl", row))
    for protocol in (Pairwise(PairwisePrompt()), JudgeLM(JudgeLMPrompt())):
        shown = "\n".join(str(message["content"]) for message in protocol.judge_prompt(pair, "ab"))
        assert "System: Be brief.\n\nUser: q" in shown
        assert 'Assistant: [calls weather({"city": "Bern"})]\n\nTool: 4 °C\n\nAssistant: Yes.' in shown
