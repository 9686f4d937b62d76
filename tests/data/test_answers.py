from __future__ import annotations

import pytest

from judgekit.data.answers import final_number, gsm8k_answer, last_boxed


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"so \boxed{5}", "5"),
        (r"\boxed{1} then \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"\boxed{\left\{1,2\right\}}", r"\left\{1,2\right\}"),
        (r"\boxed {a}", "a"),
        (r"\boxed{whole} and \boxed{cut", "whole"),
        (r"\boxed{", None),
        ("no box", None),
    ],
)
def test_last_boxed(text: str, content: str | None) -> None:
    assert last_boxed(text) == content


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", "12"),
        ("5 + 7 = 12", "12"),
        ("The answer is 7 because 3 + 4 is 7 and not 8.", "7"),
        ("The answer is 3 + 4 = 7. There were 9 steps.", "7"),
        ("The answer is 1. Wait, the answer is 2.", "2"),
        ("**Answer:** $1,200.50 for 3 people", "1200.5"),
        ("The answer is:\n\n41\nChecked 2 times.", "41"),
        ("The answer is unclear, maybe 6", "6"),
        (r"The answer is 3. \boxed{4}", "4"),
        (r"\boxed{x = 5 \text{ apples}} after 2 steps", "5"),
        (r"\boxed{\dfrac{3}{4}}", "3/4"),
        ("27/3", "27/3"),
        ("10-3", "3"),
        ("it is -3.", "-3"),
        ("it is \N{MINUS SIGN}3", "-3"),
        ("(4) is 4.0", "4"),
        ("no number", None),
        ("", None),
    ],
)
def test_final_number(text: str, number: str | None) -> None:
    assert final_number(text) == number


@pytest.mark.parametrize(
    ("text", "answer"),
    [("a\n#### 72", "72"), ("#### 1\n#### 2,000 ", "2,000"), ("72", None), ("a\n####  ", None)],
)
def test_gsm8k_answer(text: str, answer: str | None) -> None:
    assert gsm8k_answer(text) == answer
