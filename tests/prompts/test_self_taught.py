"""How a Self-Taught Evaluator is asked and how its replies are read."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judgekit.prompts.base import Reading, WorkedProtocol
from judgekit.prompts.self_taught import SelfTaught, SelfTaughtPrompt
from judgekit.rows import ResponsePair

Style = Literal["full", "criteria", "brief"]
STYLES: tuple[Style, ...] = ("full", "criteria", "brief")
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def protocol(style: Style = "full") -> SelfTaught:
    return SelfTaught(SelfTaughtPrompt(style=style))


@pytest.mark.parametrize("style", STYLES)
@given(instruction=texts, first=texts, second=texts)
def test_texts_stand_literally_in_their_slots(style: Style, instruction: str, first: str, second: str) -> None:
    pair = ResponsePair("p", instruction, first, second, "A")
    system, user = protocol(style).judge_prompt(pair, "ab")
    assert (system["role"], user["role"]) == ("system", "user")
    assert user["content"] == (
        f"[User Question]\n{instruction}\n"
        f"[The Start of Assistant A's Answer]\n{first}\n[The End of Assistant A's Answer]\n"
        f"[The Start of Assistant B's Answer]\n{second}\n[The End of Assistant B's Answer]"
    )
    swapped = replace(pair, response_a=second, response_b=first)
    assert protocol(style).judge_prompt(pair, "ba") == protocol(style).judge_prompt(swapped, "ab")


@pytest.mark.parametrize("text", ["{instruction}", "{response_b} {0} {{", "\\g<0> \\1 $1", "[[B]]"])
def test_markup_of_templates_means_nothing_in_texts(text: str) -> None:
    pair = ResponsePair("p", text, text, text, "A")
    assert protocol().judge_prompt(pair, "ab")[1]["content"].count(f"\n{text}\n") == 3


def test_the_wordings_state_the_form_of_the_verdict() -> None:
    pair = ResponsePair("p", "x", "y", "z", "A")
    systems = {style: protocol(style).judge_prompt(pair, "ab")[0]["content"] for style in STYLES}
    assert len(set(systems.values())) == 3
    assert all("[[A]]" in systems[style] and "[[B]]" in systems[style] for style in ("full", "criteria"))


@pytest.mark.parametrize(
    ("reply", "verdict", "invalid"),
    [
        ("A is right. [[A]]", "A", None),
        ("[[B]]\nbecause it answers the question", "B", None),
        ("[[B]], I repeat: [[B]]", "B", None),
        ("Neither. [[C]]", "tie", None),
        ("Nearly [[C]], but [[A]]", None, "ambiguous"),
        ("Is it [[A]]? No, [[B]]", None, "ambiguous"),
        ("[[A]] [[B]] [[C]]", None, "ambiguous"),
        ("", None, "missing"),
        ("Assistant A", None, "missing"),
        ("[A] [[D]] [[A x]] and so on", None, "missing"),
    ],
)
def test_rules_of_reading(reply: str, verdict: Literal["A", "B", "tie"] | None, invalid: str | None) -> None:
    assert protocol().read(reply, truncated=False) == Reading(verdict, invalid)


@pytest.mark.parametrize("reply", ["Step one", "[[A]] is one way, but then", "So [["])
def test_a_reply_cut_before_its_verdict_is_truncated(reply: str) -> None:
    assert protocol().read(reply, truncated=True) == Reading(None, "truncated")


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("position", ["A", "B"])
def test_a_worked_judgment_is_read_as_what_it_was_written_for(style: Style, position: Literal["A", "B"]) -> None:
    asked = SelfTaughtPrompt(style=style).protocol
    assert isinstance(asked, WorkedProtocol)
    text = asked.stitch("Requirement: upper case.", "Answer A: list: no match.\n", position)
    assert asked.read(text, truncated=False) == Reading(position, None)
    assert text.endswith(asked.verdict_lead + f"[[{position}]]")
    # what constrained decoding writes: reasoning up to where it stops, the lead, an allowed verdict
    reasoning = text.partition(next(stop for stop in asked.verdict_stops if stop in text))[0].rstrip()
    assert reasoning + asked.verdict_lead + asked.verdict_tokens["AB".index(position)] == text
