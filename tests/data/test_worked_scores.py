"""What the program says of answers to its own tasks, and the points it gives."""

from __future__ import annotations

import pytest

from judgekit.data.constraints import BY_NAME, constraint_instructions, items_of, written_responses
from judgekit.data.worked_judgments import worked_responses, worked_score
from judgekit.rows import Instruction, ResponsePair

ROWS = {row.checker: row for row in constraint_instructions(24, 2)}


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_answers_of_different_worth_get_different_points(name: str) -> None:
    row = ROWS[name]
    better, worse = written_responses(row, 2)
    responses = worked_responses(row, ResponsePair(row.id, row.text, worse, better, "B", group=row.id))
    found = [worked_score(row, response) for response in responses]
    assert all(one is not None and one.plan == f"Requirement: {name}, {len(items_of(row))} items." for one in found)
    scores = [one.score for one in found if one is not None]
    assert scores[0] == 5.0 and scores[1] in (1.0, 2.0) and scores[3] == 4.0 and scores[4] == 1.0
    assert scores[2] in (1.0, 3.0, 5.0), "what surrounds the answer may be part of some formats"
    assert len({one.execution for one in found if one is not None}) >= 4


def test_problems_are_right_or_wrong() -> None:
    row = Instruction("m", "What is 6 times 7?", "maths", "product", answer="42", checker="exact")
    right, wrong = worked_score(row, "It is 42"), worked_score(row, "I think 41.")
    assert right is not None and wrong is not None and (right.score, wrong.score) == (5.0, 1.0)
    assert wrong.execution == "Answer: 41: no match."
    assert worked_score(Instruction("s", "Sing", "starter", "song"), "La") is None
