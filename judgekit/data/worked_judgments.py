"""Worked judgments: what a program writes about answers to its own verifiable tasks, for the optional warm start.

The form is what small judges learn from: state the requirement, check *each answer on its own*, then decide. A bare
verdict, or a description without a check of each answer, leaves them with a position bias.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from judgekit.data.answers import final_number
from judgekit.data.constraints import BY_NAME, KINDS, items_of, kind_of
from judgekit.data.constraints import SOURCE as CONSTRAINTS
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


@dataclass(frozen=True, slots=True)
class WorkedScore:
    """What a task asks for, what an answer is, and the points it deserves, 0 to 5."""

    plan: str
    execution: str
    score: float


def worked_score(instruction: Instruction, response: str) -> WorkedScore | None:
    """The judgment of one answer; None when the task has no checkable requirement to state.

    Formats: 5 points for the format and number asked for, 4 for another number, 3 for the format amid other text, 2 for
    another format, 1 for none. Problems: 5 points for the right result, 1 for another.
    """
    if instruction.source == CONSTRAINTS:
        return _score_format(instruction, response)
    if instruction.answer is None:
        return None
    found = final_number(response) or "no result"
    right = found == instruction.answer
    mark = "match" if right else "no match"
    return WorkedScore(f"Requirement: {instruction.answer}.", f"Answer: {found}: {mark}.", 5.0 if right else 1.0)


def _score_format(instruction: Instruction, response: str) -> WorkedScore:
    asked, number = BY_NAME[str(instruction.checker)], len(items_of(instruction))
    plan = f"Requirement: {asked.name}, {number} items."
    kind = asked if asked.check(response) else next((kind for kind in KINDS if kind.check(response)), None)
    if kind is not None:
        count = _items_in(response)
        mark, score = ("match", 5.0) if kind is asked else ("no match", 2.0)
        if kind is asked and count != number:
            mark, score = "match, another number", 4.0
        return WorkedScore(plan, f"Answer: {kind.name}, {count} items: {mark}.", score)
    blocks = [block for block in re.split(r"\n\s*\n|:\n", response.strip()) if block.strip()]
    if any(asked.check(block) for block in blocks):
        return WorkedScore(plan, f"Answer: {asked.name} amid other text: match in part.", 3.0)
    return WorkedScore(plan, "Answer: another format: no match.", 1.0)


def _items_in(response: str) -> int:
    return sum(bool(part.strip()) for part in re.split(r"\n|, ?|; | ?/ ?| ?-> ?", response.strip()))


def worked_responses(instruction: Instruction, pair: ResponsePair) -> list[str]:
    """Answers of different worth to show judgments of: the pair's, for formats also incomplete and wordy ones."""
    better, worse = pair.response_a, pair.response_b
    if pair.label == "B":
        better, worse = worse, better
    if instruction.source != CONSTRAINTS:
        return [better, worse]
    kind, items = BY_NAME[str(instruction.checker)], items_of(instruction)
    fewer = kind.write(items[:-1])
    wordy = f"Sure, here you are:\n\n{better}\n\nDo you want to hear more about one of them?"
    prose = f"Good ones are {items[0]} and {items[1]}, but there are many others. It depends on what you like."
    return [better, worse, wordy, fewer, prose]


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
