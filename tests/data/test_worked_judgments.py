"""Worked judgments: sound chains in the words of the requirement, in either order."""

from __future__ import annotations

import dataclasses

import pytest

from judgekit.data.constraints import constraint_instructions, items_of, kind_of
from judgekit.data.pairs import build_pairs
from judgekit.data.worked_judgments import worked_judgment
from judgekit.prompts.base import name_response
from judgekit.prompts.evalplanner import EvalPlanner, EvalPlannerPrompt
from judgekit.rows import ORDERS, Instruction, Order, ResponsePair, Verdict
from judgekit.schema.data import DataConfig, SourceConfig

SEED = 3
INSTRUCTIONS = constraint_instructions(60, SEED)
PAIRS = build_pairs(
    INSTRUCTIONS,
    SourceConfig(kind="constraints", pairs="written"),
    DataConfig(),
    seed=SEED,
    ask=dict,
    verify=list,
    drop=print,
)


def mirrored(pair: ResponsePair) -> ResponsePair:
    label: dict[str | None, Verdict] = {"A": "B", "B": "A"}
    return dataclasses.replace(
        pair, response_a=pair.response_b, response_b=pair.response_a, label=label.get(pair.label, pair.label)
    )


def other(order: Order) -> Order:
    return "ba" if order == "ab" else "ab"


@pytest.mark.parametrize("order", ORDERS)
def test_each_answer_is_checked_on_its_own_and_only_the_right_one_matches(order: Order) -> None:
    for instruction, pair in zip(INSTRUCTIONS, PAIRS, strict=True):
        worked = worked_judgment(instruction, pair, order)
        assert worked is not None
        assert str(instruction.checker) in worked.plan
        lines = worked.execution.splitlines()
        assert [line[:9] for line in lines] == ["Answer A:", "Answer B:"]
        position = name_response(pair.label, order)  # type: ignore[arg-type]
        shown = [pair.response_a, pair.response_b] if order == "ab" else [pair.response_b, pair.response_a]
        for name, line, response in zip("AB", lines, shown, strict=True):
            matches = line.endswith(": match.")
            assert matches == (name == position)
            assert matches or line.endswith(": no match.")
            kind = kind_of(response, items_of(instruction))
            assert kind is not None and kind.name in line, "what is found is what the answer is"


def test_mirroring_the_pair_is_showing_it_in_the_other_order() -> None:
    for instruction, pair in zip(INSTRUCTIONS, PAIRS, strict=True):
        for order in ORDERS:
            assert worked_judgment(instruction, pair, order) == worked_judgment(
                instruction, mirrored(pair), other(order)
            )


def test_the_plan_sees_the_instruction_only() -> None:
    for instruction, pair in zip(INSTRUCTIONS, PAIRS, strict=True):
        changed = dataclasses.replace(pair, response_b="something else")
        plans = {worked.plan for row in (pair, changed) if (worked := worked_judgment(instruction, row, "ab"))}
        assert len(plans) == 1


def test_the_protocol_reads_the_right_verdict_from_a_worked_chain() -> None:
    protocol = EvalPlanner(EvalPlannerPrompt(style="brief"))
    for instruction, pair in zip(INSTRUCTIONS, PAIRS, strict=True):
        for order in ORDERS:
            worked = worked_judgment(instruction, pair, order)
            assert worked is not None and pair.label in ("A", "B")
            target = protocol.stitch(worked.plan, worked.execution, str(name_response(pair.label, order)))  # type: ignore[arg-type]
            reading = protocol.read(target, truncated=False)
            assert name_response(reading.verdict, order) == pair.label
            assert protocol.split(target) == (worked.plan, worked.execution)


def test_a_problem_with_a_result_names_both_results() -> None:
    instruction = Instruction("m", "What is 6 times 7?", "maths", "any", answer="42", checker="math")
    pair = ResponsePair("m", instruction.text, "6 + 7 = 13", "6 x 7 = 42", "B")
    worked = worked_judgment(instruction, pair, "ab")
    assert worked is not None
    first, second = worked.execution.splitlines()
    assert "42" in worked.plan
    assert "13" in first and first.endswith(": no match.")
    assert "42" in second and second.endswith(": match.")
    wordless = worked_judgment(instruction, dataclasses.replace(pair, response_a="Many."), "ab")
    assert wordless is not None and "no result" in wordless.execution


@pytest.mark.parametrize("label", ["tie", None])
def test_without_a_better_answer_there_is_no_chain(label: Verdict | None) -> None:
    assert worked_judgment(INSTRUCTIONS[0], dataclasses.replace(PAIRS[0], label=label), "ab") is None


def test_without_a_checkable_requirement_there_is_no_chain() -> None:
    instruction = Instruction("s", "Write a poem.", "starter", "writing")
    assert worked_judgment(instruction, ResponsePair("s", instruction.text, "Roses", "Stones", "A"), "ab") is None
