"""Worked judgments: chains a program writes for its own verifiable tasks, for the optional warm start.

The form is what small judges learn from: state the requirement, check *each answer on its own*, then decide. A bare
verdict, or a description without a check of each answer, leaves them with a position bias.
"""

from __future__ import annotations

from dataclasses import dataclass

from judgekit.data.answers import final_number
from judgekit.data.constraints import SOURCE as CONSTRAINTS
from judgekit.data.constraints import items_of, kind_of
from judgekit.rows import Instruction, Order, ResponsePair


@dataclass(frozen=True, slots=True)
class Worked:
    """A plan that saw the instruction only, and its execution on the two answers in the order shown."""

    plan: str
    execution: str


def worked_judgment(instruction: Instruction, pair: ResponsePair, order: Order) -> Worked | None:
    """The chain for one pair in one order; None when the task has no checkable requirement to state."""
    first, second = pair.response_a, pair.response_b
    right_first = pair.label == "A"
    if order == "ba":
        first, second, right_first = second, first, not right_first
    findings = [_finding(instruction, response) for response in (first, second)]
    requirement = _requirement(instruction)
    if requirement is None or pair.label not in ("A", "B"):
        return None
    marks = ("match", "no match") if right_first else ("no match", "match")
    lines = [f"Answer {name}: {found}: {mark}." for name, found, mark in zip("AB", findings, marks, strict=True)]
    return Worked(plan=f"Requirement: {requirement}.", execution="\n".join(lines))


def _requirement(instruction: Instruction) -> str | None:
    if instruction.source == CONSTRAINTS:
        return instruction.checker
    return instruction.answer


def _finding(instruction: Instruction, response: str) -> str:
    """What an answer is, in the words of the requirement."""
    if instruction.source == CONSTRAINTS:
        kind = kind_of(response, items_of(instruction))
        return kind.name if kind else "another format"
    return final_number(response) or "no result"
