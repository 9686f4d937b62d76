"""Asking for new queries and for their difficulty."""

from __future__ import annotations

import pytest

from judgekit.recipes.critiquellm.query_prompts import difficulty_prompt, read_difficulty, read_queries, write_prompt


def test_prompts_hold_the_examples_as_they_are() -> None:
    text = write_prompt("en", "code", ["Sort {x}.", "Why?"], 3)[0]["content"]
    assert "1. Sort {x}.\n2. Why?" in text and "“code”" in text and "Write 3 new" in text
    assert "1. 排序" in write_prompt("zh", "代码", ["排序"], 3)[0]["content"]
    assert "[User Question]\n{query}\n" in difficulty_prompt("brief", "{query}")[0]["content"]


@pytest.mark.parametrize(
    ("text", "truncated", "items"),
    [
        (
            "1. First?\n2) Second,\n   over two lines.\n3、第三个。",
            False,
            ["First?", "Second, over two lines.", "第三个。"],
        ),
        ("Sure:\n\n1. One\n\n2. Two and cut of", True, ["One"]),
        ("I have 3 ideas.", False, []),
        ("1. \n2. x", False, ["x"]),
    ],
)
def test_lists_are_read(text: str, truncated: bool, items: list[str]) -> None:
    assert read_queries(text, truncated) == items


@pytest.mark.parametrize(
    ("style", "text", "expected"),
    [
        ("en", "Difficulty: 2", (2, None)),
        ("brief", "**Difficulty:** 3.", (3, None)),
        ("zh", "难度：1", (1, None)),
        ("en", "2", (2, None)),
        ("en", "Difficulty: 4", (None, "out of range")),
        ("en", "Difficulty: 1, or difficulty 2", (None, "ambiguous")),
        ("en", "It is hard.", (None, "missing")),
        ("en", "Difficulty: 1 + 1 = 2", (2, None)),
        ("en", "Difficulty: 2/3", (2, None)),
        ("en", "Difficulty: 1-2", (None, "ambiguous")),
        ("en", "Difficulty: 1.5", (None, "out of range")),
    ],
)
def test_difficulties_are_read(style: str, text: str, expected: tuple[int | None, str | None]) -> None:
    assert read_difficulty(style, text) == expected
