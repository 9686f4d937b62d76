"""How judges are asked and how their replies are read."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judgekit.prompts import evalplanner
from judgekit.prompts.base import Reading, name_response
from judgekit.prompts.evalplanner import EvalPlanner, EvalPlannerPrompt
from judgekit.rows import ORDERS, Message, Order, ResponsePair

Style = Literal["full", "brief"]
STYLES: tuple[Style, ...] = ("full", "brief")
PAIR = ResponsePair("p", "What is {plan}?", "first {instruction}", "second \\1 [[B]]", "A")
TAGS = ("Plan]", "Execution]", "Verdict]", "[[A]]", "[[B]]")
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
untagged = texts.map(str.strip).filter(lambda text: text != "" and not any(tag in text for tag in TAGS))


def protocol(style: Style = "full") -> EvalPlanner:
    return EvalPlanner(EvalPlannerPrompt(style=style))


def shown(messages: tuple[Message, ...]) -> str:
    assert [message["role"] for message in messages] == ["system", "user"]
    return messages[1]["content"]


# --- asking


@pytest.mark.parametrize("style", STYLES)
@given(instruction=texts, first=texts, second=texts, plan=texts)
def test_swapping_the_responses_is_swapping_the_order(
    style: Style, instruction: str, first: str, second: str, plan: str
) -> None:
    pair = ResponsePair("p", instruction, first, second, "A")
    swapped = replace(pair, response_a=second, response_b=first)
    asked = protocol(style)
    assert asked.judge_prompt(pair, "ba") == asked.judge_prompt(swapped, "ab")
    assert asked.execution_prompt(pair, "ba", plan) == asked.execution_prompt(swapped, "ab", plan)
    if first != second:
        assert asked.judge_prompt(pair, "ab") != asked.judge_prompt(pair, "ba")


@pytest.mark.parametrize("style", STYLES)
@given(instruction=texts, first=texts, second=texts, plan=texts)
def test_texts_stand_literally_in_their_slots(
    style: Style, instruction: str, first: str, second: str, plan: str
) -> None:
    pair = ResponsePair("p", instruction, first, second, "A")
    answers = (
        f"[User Question]\n{instruction}\n"
        f"[The Start of Assistant A's Answer]\n{first}\n[The End of Assistant A's Answer]\n"
        f"[The Start of Assistant B's Answer]\n{second}\n[The End of Assistant B's Answer]"
    )
    assert shown(protocol(style).judge_prompt(pair, "ab")).endswith(answers)
    closing = f"\n[The Start of Evaluation Plan]\n{plan}\n[The End of Evaluation Plan]"
    assert shown(protocol(style).execution_prompt(pair, "ab", plan)).endswith(answers + closing)
    assert shown(protocol(style).plan_prompt(instruction)).endswith(f"[User Question]\n{instruction}")


@pytest.mark.parametrize("text", ["{instruction}", "{response_b} {plan} {0} {{", "\\g<0> \\1 $1", "%s %(x)s", "[[B]]"])
def test_markup_of_templates_means_nothing_in_texts(text: str) -> None:
    pair = ResponsePair("p", text, text, text, "A")
    for style in STYLES:
        assert shown(protocol(style).judge_prompt(pair, "ab")).count(f"\n{text}\n") == 3
        assert shown(protocol(style).execution_prompt(pair, "ab", text)).count(f"\n{text}\n") == 4


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("plan_style", ["unconstrained", "criteria", "questions"])
def test_the_plan_prompt_states_its_shape_and_never_sees_a_response(style: Style, plan_style: str) -> None:
    config = EvalPlannerPrompt(style=style, plan_style=plan_style)  # type: ignore[arg-type]
    text = shown(EvalPlanner(config).plan_prompt(PAIR.instruction))
    assert evalplanner.PLAN_SHAPE[plan_style] in text and "{shape}" not in text
    assert PAIR.response_a not in text and PAIR.response_b not in text and "Assistant A" not in text
    other = EvalPlanner(EvalPlannerPrompt(style=style, plan_style="criteria")).plan_prompt("x")
    assert (other == EvalPlanner(config).plan_prompt("x")) == (plan_style == "criteria")


def test_the_full_wording_names_every_tag_of_the_reply() -> None:
    text = shown(protocol().judge_prompt(PAIR, "ab"))
    for tag in (
        "[Start of Evaluation Plan]",
        "[End of Evaluation Plan]",
        "[Start of Plan Execution]",
        "[End of Plan Execution]",
        "[Final Verdict]",
        *evalplanner.VERDICT_TOKENS,
    ):
        assert tag in text
    assert all(token in shown(protocol().execution_prompt(PAIR, "ab", "")) for token in evalplanner.VERDICT_TOKENS)
    assert evalplanner.PLAN_START in shown(protocol().plan_prompt(""))


@pytest.mark.parametrize("style", STYLES)
def test_replies_have_the_same_tags_in_both_wordings(style: Style) -> None:
    asked = protocol(style)
    assert asked.plan_prefill == "[Start of Evaluation Plan]\n"
    assert asked.execution_prefill("P").startswith(asked.plan_prefill + "P\n" + asked.plan_stop)
    assert asked.stitch("P", "E", "B") == (
        "[Start of Evaluation Plan]\nP\n[End of Evaluation Plan]\n[Start of Plan Execution]\nE\n"
        "[End of Plan Execution]\n[Final Verdict]\n[[B]]"
    )
    assert asked.stitch("P", "E", "A").endswith(asked.verdict_lead + asked.verdict_tokens[0])


# --- reading


@pytest.mark.parametrize(
    ("reply", "verdict", "invalid"),
    [
        ("[Final Verdict]\n[[A]]", "A", None),
        ("[Final Verdict]\n[[B]] because it is right", "B", None),
        ("[Final Verdict] [[A]], I repeat [[A]]", "A", None),
        ("The better one is [[B]]", "B", None),
        ("[End of Plan Execution]\n[[A]]", "A", None),
        # what was said before the final section does not count
        ("[[A]] or [[B]]? We shall see.\n[Final Verdict]\n[[B]]", "B", None),
        ("[Final Verdict]\n[[A]]\nWait.\n[Final Verdict]\n[[B]]", None, "ambiguous"),
        ("The answer quotes '[[A]]'.\n[End of Plan Execution]\n[[B]]", "B", None),
        ("First [[A]].\n[Final Verdict]\nneither", None, "missing"),
        # both, none, other forms
        ("[Final Verdict]\n[[A]] or [[B]]", None, "ambiguous"),
        ("Both [[A]] and [[B]] are fine", None, "ambiguous"),
        ("", None, "missing"),
        ("[Final Verdict]\nAssistant A", None, "missing"),
        ("[Final Verdict]\n[[C]] [A] [[D]] [[A x]]", None, "out of range"),
        ("[Final Verdict]\n[[A|B]]", None, "ambiguous"),
    ],
)
def test_rules_of_reading(reply: str, verdict: Literal["A", "B"] | None, invalid: evalplanner.Invalid | None) -> None:
    assert protocol().read(reply, truncated=False) == Reading(verdict, invalid)


@pytest.mark.parametrize("reply", ["Step one", "[[A]] is one way\n[Final Verdict]\n[["])
def test_a_reply_cut_before_its_verdict_is_truncated(reply: str) -> None:
    assert protocol().read(reply, truncated=True) == Reading(None, "truncated")
    assert protocol().read(reply, truncated=False) == Reading(None, "missing")


@pytest.mark.parametrize(
    ("position", "order", "response"),
    [("A", "ab", "A"), ("B", "ab", "B"), ("A", "ba", "B"), ("B", "ba", "A"), (None, "ab", None), (None, "ba", None)],
)
def test_a_position_names_a_response(
    position: Literal["A", "B"] | None, order: Order, response: Literal["A", "B"] | None
) -> None:
    assert name_response(position, order) == response


# --- stitching and taking apart


@given(plan=untagged, execution=untagged, position=st.sampled_from(["A", "B"]))
def test_a_stitched_reply_is_read_and_split_into_what_it_was_made_of(
    plan: str, execution: str, position: Literal["A", "B"]
) -> None:
    reply = protocol().stitch(plan, execution, position)
    assert protocol().read(reply, truncated=False) == Reading(position, None)
    assert protocol().split(reply) == (plan, execution)
    # the same without the part that the prefill gave
    rest = reply.removeprefix(protocol().execution_prefill(plan))
    assert protocol().split(rest) == (None, execution)
    assert protocol().read(rest, truncated=False) == Reading(position, None)
    assert {name_response(protocol().read(reply, False).verdict, order) for order in ORDERS} == {"A", "B"}


@pytest.mark.parametrize(
    ("reply", "plan", "execution"),
    [
        ("A does. B does not. [[A]]\n", None, "A does. B does not."),
        ("A says '[[B]]' first.\n[Final Verdict]\n[[A]]", None, "A says '[[B]]' first."),
        ("[Start of Evaluation Plan]\nlook\n[End of Evaluation Plan]\nlooked\n[[B]]", "look", "looked"),
        ("look\n[End of Evaluation Plan]\n[Start of Plan Execution]\nlooked", "look", "looked"),
        ("Sure!\n[Start of Evaluation Plan]\nlook\n[End of Evaluation Plan]", "look", ""),
        ("[Start of Evaluation Plan]\n[End of Evaluation Plan]\nlooked", None, "looked"),
        ("[Start of Evaluation Plan]\nnever ends", None, "[Start of Evaluation Plan]\nnever ends"),
    ],
)
def test_rules_of_splitting(reply: str, plan: str | None, execution: str) -> None:
    assert protocol().split(reply) == (plan, execution)
