"""Asking for the category and complexity of an instruction, and reading the reply."""

from __future__ import annotations

import pytest

from judgekit.recipes.self_taught.classification import Classification, classify_prompt, read_classification

CATEGORIES = ("coding", "creative writing", "reasoning")


@pytest.mark.parametrize(
    ("reply", "category", "complexity"),
    [
        ("Category: coding\nComplexity: 3", "coding", 3),
        ("category : Creative  Writing.\ncomplexity: 5/5", "creative writing", 5),
        ("Sure!\n**Category:** reasoning\n**Complexity:** 1.\nIt is easy.", "reasoning", 1),
        ("Complexity: 2\nCategory: <reasoning>", "reasoning", 2),
        ("Category: coding\nComplexity: 3\nCategory: coding\nComplexity: 3", "coding", 3),
    ],
)
def test_what_is_read(reply: str, category: str, complexity: int) -> None:
    assert read_classification(reply, CATEGORIES) == Classification(category, complexity)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "category missing"),
        ("coding, 3", "category missing"),
        ("Category: coding\nCategory: reasoning\nComplexity: 3", "category ambiguous"),
        ("Category: poetry\nComplexity: 3", "unknown category"),
        ("Category: coding or reasoning\nComplexity: 3", "unknown category"),
        ("Category: coding", "complexity missing"),
        ("Category: coding\nComplexity: high", "complexity missing"),
        ("Category: coding\nComplexity: 2\nComplexity: 3", "complexity ambiguous"),
        ("Category: coding\nComplexity: 0", "complexity out of range"),
        ("Category: coding\nComplexity: 6", "complexity out of range"),
        ("Category: coding\nComplexity: 3.5", "complexity not a number"),
        ("Category: coding\nComplexity: -1", "complexity out of range"),
        ("Category: coding\nComplexity: 1 + 1", "complexity not a number"),
        ("Category: coding\nComplexity: 2 to 3", "complexity ambiguous"),
    ],
)
def test_nothing_unparsable_becomes_a_class(reply: str, reason: str) -> None:
    assert read_classification(reply, CATEGORIES) == Classification(None, None, reason)


@pytest.mark.parametrize("text", ["{categories}", "Category: coding\nComplexity: 1", "\\1 {instruction}"])
def test_the_instruction_stands_literally_and_last(text: str) -> None:
    (message,) = classify_prompt(text, CATEGORIES)
    assert message["content"].endswith(f"[User Question]\n{text}\n[The End of User Question]")
    assert all(name in message["content"] for name in CATEGORIES)
