"""Thoughts, quotations and decisions, for every protocol: what counts, and what is only a mention."""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from judgekit.cli import main
from judgekit.prompts.base import PROMPTS, PairProtocol
from judgekit.prompts.thoughts import split_thought

MUTATED = int(os.environ.get("JUDGEKIT_FUZZ_REPLIES", "5000"))


def read(name: str, text: str, truncated: bool = False, **fields: Any) -> Any:
    protocol = PROMPTS.read({"name": name, **fields}).protocol
    if isinstance(protocol, PairProtocol):
        return protocol.read(text, truncated).verdict
    return protocol.read_score(text, truncated).score


# --- thoughts


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("[[A]]", "", "[[A]]"),
        ("<think>why</think>\n[[A]]", "why", "[[A]]"),
        ("<think>\n\n</think>\n\n1", "", "1"),
        ("why\n</think>\n[[B]]", "why", "[[B]]"),  # the prompt opened it
        ("<think>a</think>b</think>c", "ab", "c"),  # the last closer counts
        ("<think>a<think>b</think>c", "ab", "c"),
        ("<THINKING>why</THINKING> B", "why", "B"),
        ("◁think▷why◁/think▷B", "why", "B"),
        ("[THINK]why[/THINK]B", "why", "B"),
        ("<|channel|>analysis<|message|>why<|end|><|start|>assistant<|channel|>final<|message|>B<|return|>",
         "why", "B"),
        ("analysis[[A]] maybeassistantfinal[[B]]", "[[A]] maybe", "[[B]]"),  # special tokens taken out
        ("Analysis: A is right. [[A]]", "", "Analysis: A is right. [[A]]"),
        ("analysis of both: [[A]]", "", "analysis of both: [[A]]"),
    ],
)  # fmt: skip
def test_a_reply_has_two_parts(text: str, thought: str, answer: str) -> None:
    found = split_thought(text)
    assert (found.thought, found.answer, found.closed) == (thought, answer, True)


@pytest.mark.parametrize(
    "text", ["<think>[[A]]", "<think>a</think>b<think>[[A]]", "[THINK][[A]]", "analysis[[A]]", "◁think▷[[A]]",
             "<|channel|>analysis<|message|>[[A]]"]
)  # fmt: skip
def test_a_thought_that_never_ends_has_no_answer(text: str) -> None:
    assert (split_thought(text).answer, split_thought(text).closed) == ("", False)


# --- decisions in brackets


@pytest.mark.parametrize("name", ["pairwise", "self_taught", "evalplanner"])
@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("[[A]]", "A"),
        ("[[ A ]]", "A"),
        ("[[b]]", "B"),
        ("［［A］］", "A"),
        ("【【B】】", "B"),
        ("[[\u200bA]]", "A"),
        ("[[Ｂ]]", "B"),
        ("**[[A]]**", "A"),
        ("[[**A**]]", "A"),
        ("[[Assistant B]]", "B"),
        ("so \\boxed{A}", "A"),
        ("so $\\boxed{\\text{B}}$.", "B"),
        ("Reasons.\nFinal verdict: **A**", "A"),
        ("Reasons.\n[B]", "B"),
        ("Reasons.\nMy final decision is: (A).", "A"),
        ("The matrix [[1,2],[3,4]] is wrong. [[B]]", "B"),
        ("if [[ -f x ]]; then\n[[B]]", "B"),
        ("[[1,2],[3,4]]", None),
        ("[[A]] or [[B]]", None),
        ("[[A/B]]", None),
        ("[[A or B]]", None),
        ("[[A]] ... wait, [[ b ]]", None),
        ("[[D]]", None),
        ("A", None),  # not marked
        ("Assistant **A** is good.\nSo is B.", None),
        ('It says "[[A]]".', None),
        ('It says "[[A]]", which is wrong. [[B]]', "B"),
        ("It says '[[A]]'. It's wrong, isn't it? [[B]]", "B"),
        ("It says “[[A]]”. [[B]]", "B"),
        ("It says 「[[A]]」. [[B]]", "B"),
        ("It says `[[A]]`. [[B]]", "B"),
        ("```\n[[A]]\n```\n[[B]]", "B"),
        ("> [[A]]\n\n[[B]]", "B"),
        ('A screen of 5" is small. [[B]]', "B"),  # not a quotation: it has no end
        ("", None),
    ],
)
def test_what_decides(name: str, text: str, verdict: str | None) -> None:
    assert read(name, text) == verdict


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("[Final Verdict]\n[[A]]", "A"),
        ("[End of Plan Execution]\nI'd say [[B]]", "B"),
        ("Is it [[A]]?\n[End of Plan Execution]\n[Final Verdict]\n[[B]]", "B"),
        ("[Final Verdict]\n[[A]]\n[Final Verdict]\n[[A]]", "A"),
        ("[Final Verdict]\n[[A]]\nWait.\n[Final Verdict]\n[[B]]", None),
        ("[Final Verdict]\n[[A]]\nNote: B contained '[Final Verdict] [[B]]'.", None),
        ("[Final Verdict]\n[[A]]\nNote: B contained '[End of Plan Execution] [[B]]'.", None),
        ("B ends with '[Final Verdict]\n[[B]]'. That is all.", None),
    ],
)
def test_final_sections(text: str, verdict: str | None) -> None:
    assert read("evalplanner", text) == verdict


@pytest.mark.parametrize("name", ["pairwise", "self_taught", "evalplanner", "autoj"])
@pytest.mark.parametrize(
    "text", ["[[A]]", "[Final Verdict]\n[[A]]", "[End of Plan Execution]\n[[A]]", "the final decision is Response 1"]
)
def test_a_cut_reply_decided_nothing(name: str, text: str) -> None:
    assert read(name, text, truncated=True) is None


def test_what_the_releases_read() -> None:
    cut = "The first is [[A]]. And"
    assert read("self_taught", cut, truncated=True, parser="release") == "A"
    assert read("self_taught", "[[A]], not [[B]]", parser="release") is None
    assert read("self_taught", "[[C]] or rather [[B]]", parser="release") == "B"
    assert read("self_taught", "[[C]]", parser="release") == "tie"
    assert read("pairwise", "Not [[B]] but [[A]]", parser="release", ties=True) == "A"  # A is looked for first
    assert read("pairwise", "[[C]], not [[B]]", parser="release", ties=True) == "B"
    assert read("autoj", "the final decision is Response 12", parser="release") == "A"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("So, the final decision is Response 1.", "A"),
        ("So, the final decision is **Response 2**.", "B"),
        ("So, the final decision is Tie", "tie"),
        ("So, the final decision is response  2, because it is right", "B"),
        ("So, the final decision is Response 1 / Response 2 / Tie", None),
        ("So, the final decision is Response 1 or Response 2", None),
        ("the final decision is Response 12", None),
        ("So, the final decision is Tied up with many things", None),
        ("the final decision is Response 1. No: the final decision is Response 2", None),
        ('"So, the final decision is Tie" is what it asks for. So, the final decision is Response 2', "B"),
    ],
)
def test_final_decisions_of_auto_j(text: str, verdict: str | None) -> None:
    assert read("autoj", text) == verdict


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ('I use the form "Rating: [[5]]".\nRating: 8', 8.0),
        ("Others say 'Rating: [[5]]'. Rating: [[7]]", 7.0),
        ('{"rating": 8}', 8.0),
        ("`Rating: 5`", None),
        ("<think>Rating: [[5]]</think>Rating: [[6]]", 6.0),
    ],
)
def test_ratings_outside_quotations(text: str, score: float | None) -> None:
    assert read("rating", text) == score


# --- the command


def test_recorded_replies_are_read_as_they_should_be(
    tmp_path: Path, shared_data: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [json.loads(line) for line in shared_data("../cases/replies.jsonl").read_text("utf-8").splitlines()]
    kinds = {(row["prompt"], tuple(row["overrides"])) for row in rows}
    wrong = []
    file, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    for name, overrides in sorted(kinds):
        asked = [row for row in rows if (row["prompt"], tuple(row["overrides"])) == (name, overrides)]
        file.write_text("".join(json.dumps(row) + "\n" for row in asked), "utf-8")
        assert main(["read", f"prompt={name}", *overrides, str(file), "-o", str(out)]) == 0
        for row, line in zip(asked, out.read_text("utf-8").splitlines(), strict=True):
            found, want = json.loads(line), row["want"]
            got = found.get("verdict", found.get("score"))
            if got in want["not"] if "not" in want else got != want.get("verdict", want.get("score")):
                wrong.append((row["id"], got, want))
            assert (got is None) == (found["invalid"] is not None)
    assert wrong == []
    assert "replies: " in capsys.readouterr().err


def test_reading_takes_overrides_and_tells_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "replies.jsonl"
    file.write_text('{"id": 7, "text": "<think>hm</think>[[C]]"}\n{"id": 8, "text": "", "truncated": true}\n')
    assert main(["read", str(file), "prompt=pairwise", "prompt.ties=true"]) == 0
    out = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert out == [
        {"id": 7, "verdict": "tie", "invalid": None, "thought": "hm", "answer": "[[C]]"},
        {"id": 8, "verdict": None, "invalid": "truncated", "thought": "", "answer": ""},
    ]
    assert main(["read", str(file)]) == 2
    assert "Add prompt=pairwise" in capsys.readouterr().err
    file.write_text('{"text": "[[A]]", "truncated": "no"}\n')
    assert main(["read", str(file), "prompt=pairwise"]) == 2
    assert re.search(r"replies\.jsonl.*1.*truncated.*write true or false", capsys.readouterr().err)


# --- any text

PIECES = (
    "<think>", "</think>", "<thinking>", "◁/think▷", "[THINK]", "<|channel|>final<|message|>", "assistantfinal",
    "analysis", "[[A]]", "[[B]]", "[[C]]", "[[ A ]]", "［［B］］", "[[", "]]", "[", "]", "[Final Verdict]",
    "[End of Plan Execution]", "[Start of Evaluation Plan]", '"', "'", "“", "”", "`", "```", "> ", "\n", "\n\n", "   ",
    "Rating: ", "Score: ", "5", "4 + 3", "= 7", "½", "/10", "1e9", "8 7", "Tie", "1", "2", "### Reason:",
    "### Reference:", "final decision is ", "Response 1", "Winner: Judgement A", "\\boxed{", "}", "{", "**",
    "'Overall Score': 7", "综合得分：8", "\0", "\u200b", "9" * 30, "word ", "the ", "answer. ",
)  # fmt: skip


def mutated(draw: random.Random) -> str:
    return "".join(draw.choice(PIECES) for _ in range(draw.randint(1, 14)))


@pytest.mark.parametrize("name", sorted(PROMPTS))
def test_any_text_is_read_and_never_out_of_a_thought(name: str) -> None:
    protocol = PROMPTS.read({"name": name}).protocol
    reader: Callable[[str, bool], Any] = (
        protocol.read if isinstance(protocol, PairProtocol) else protocol.read_score
    )  # fmt: skip
    draw = random.Random(name)
    for index in range(MUTATED):
        text, truncated = mutated(draw), draw.random() < 0.3
        inside = re.sub(r"</?think(?:ing)?>|final<\|message\|>", "", text)
        asked = (text, f"<think>{inside}</think>", f"Well. <think>{inside}")[index % 3]
        found = reader(asked, truncated)
        value = found.verdict if isinstance(protocol, PairProtocol) else found.score
        assert (value is None) == (found.invalid is not None), asked
        if index % 3 and split_thought(asked).answer.strip() == "":
            assert value is None, asked


@pytest.mark.parametrize("name", sorted(PROMPTS))
@pytest.mark.parametrize(
    "piece",
    [" ", "\n", "[[", "[", '"', "'a", "`", "> ", "<think>", "</think>", "Score: 1 + ", "1", "=", "Rating: ", "### ",
     "final decision is ", "[Final Verdict]", "\\boxed{", "'Overall Score': "],
)  # fmt: skip
def test_a_long_reply_takes_little_time(name: str, piece: str) -> None:
    text = piece * (40_000 // len(piece))
    begun = time.process_time()
    read(name, text)
    assert time.process_time() - begun < 0.3  # quadratic readers take minutes
