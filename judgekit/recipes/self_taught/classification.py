"""Asking a model what kind of instruction it is given, and how hard: Self-Taught Evaluators' selection of prompts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from judgekit.prompts.base import fill
from judgekit.rows import Message

COMPLEXITY = (1, 5)
"""Least and greatest complexity."""

ASK = (
    "Below is something a user asked an AI assistant. Do not answer it; classify it.\n"
    "Category: the one of these that fits best: {categories}.\n"
    "Complexity: how hard it is to answer well, from 1 (anyone could) to 5 (takes an expert and many steps).\n"
    "Reply with two lines and nothing else:\n"
    "Category: <category>\n"
    "Complexity: <number>\n\n"
    "[User Question]\n{instruction}\n[The End of User Question]"
)

_CATEGORY = re.compile(r"^\W*category\W*:\W*(.*?)\W*$", re.IGNORECASE | re.MULTILINE)
_COMPLEXITY = re.compile(r"^\W*complexity\W*:[ \t*_<\"'(]*([^\s>*_\"')]*)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Classification:
    """What kind of instruction it is and how complex, or why that is not known.

    :param invalid: ``category missing``, ``category ambiguous``, ``unknown category``, ``complexity missing``,
        ``complexity ambiguous``, ``complexity out of range``; None when both are known
    """

    category: str | None
    complexity: int | None
    invalid: str | None = None


def classify_prompt(instruction: str, categories: Sequence[str]) -> tuple[Message, ...]:
    """Ask for the category and complexity of an instruction."""
    text = fill(ASK, categories=", ".join(categories), instruction=instruction)
    return ({"role": "user", "content": text},)


def read_classification(text: str, categories: Sequence[str]) -> Classification:
    """Category, as it is written in ``categories`` whatever the case, and complexity of a reply."""
    known = {name.casefold(): name for name in categories}
    named = {" ".join(name.casefold().split()) for name in _CATEGORY.findall(text)}
    numbers = set(_COMPLEXITY.findall(text))
    if len(named) != 1:
        return Classification(None, None, "category ambiguous" if named else "category missing")
    category = known.get(named.pop())
    if category is None:
        return Classification(None, None, "unknown category")
    if len(numbers) != 1:
        return Classification(None, None, "complexity ambiguous" if numbers else "complexity missing")
    number = re.match(r"(\d+)(?:/5)?[.,;)]?$", numbers.pop())
    if number is None:
        return Classification(None, None, "complexity missing")
    complexity = int(number.group(1))
    if not COMPLEXITY[0] <= complexity <= COMPLEXITY[1]:
        return Classification(None, None, "complexity out of range")
    return Classification(category, complexity)
