from __future__ import annotations

import pytest

from judgekit.data.inputs import Candidates
from judgekit.prompts.shown import without_thought, without_thoughts
from judgekit.rows import Response, ResponsePair


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("<think>Hm, 3.</think>\n\nIt is 3.", "It is 3."),
        ("  [THINK]Hm[/THINK]It is 3.", "It is 3."),
        ("◁think▷Hm◁/think▷It is 3.", "It is 3."),
        ("Hm, 3 it is.</think>\nIt is 3.", "It is 3."),
        ("<think>Maybe </think> ends it. No.</think>It is 3.", "It is 3."),
        ("<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>It is 3.", "It is 3."),
        ("<think>It is 3, but", ""),
        ("It is 3.", "It is 3."),
        ("", ""),
        ("Models write <think>Hm</think> before they answer.", "Models write <think>Hm</think> before they answer."),
        ("A thought ends at `</think>`, as you know.", "A thought ends at `</think>`, as you know."),
    ],
)
def test_a_response_is_what_was_answered(response: str, answer: str) -> None:
    assert without_thought(response) == answer


def test_rows_of_every_kind_lose_thoughts_and_are_counted() -> None:
    pair = ResponsePair("1", "ask", "<think>x</think>a", "b", "A")
    many = Candidates("2", "ask", ("a", "<think>x</think>b", "<think>y</think>c"), ("1", "2", "3"))
    single = Response("3", "<think>x</think>ask", "c")
    assert without_thoughts([pair]) == ([ResponsePair("1", "ask", "a", "b", "A")], 1)
    assert without_thoughts([many]) == ([Candidates("2", "ask", ("a", "b", "c"), ("1", "2", "3"))], 2)
    rows, count = without_thoughts([single, single])
    assert count == 0 and rows[0] is single, "an instruction is left as it is"
