"""Asking a model what kind of instruction it is given, and how hard: Self-Taught Evaluators' selection of prompts."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

from judgekit.prompts.base import fill
from judgekit.prompts.scores import one_score, stated
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

_CATEGORY = re.compile(r"^[^\w\n]*category[^\w\n:]*:[^\w\n]*([^\n]*)", re.IGNORECASE | re.MULTILINE)
_COMPLEXITY = re.compile(r"^[^\w\n]*complexity[^\w\n:]*:([^\n]*)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Classification:
    """What kind of instruction it is and how complex, or why that is not known.

    :param invalid: ``category missing``, ``category ambiguous``, ``unknown category``, ``complexity missing``,
        ``complexity ambiguous``, ``complexity not a number``, ``complexity out of range``; None when both are known
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
    named = {" ".join(name.casefold().rstrip(string.punctuation + string.whitespace).split())
             for name in _CATEGORY.findall(text)}  # fmt: skip
    if len(named) != 1:
        return Classification(None, None, "category ambiguous" if named else "category missing")
    category = known.get(named.pop())
    if category is None:
        return Classification(None, None, "unknown category")
    found = one_score((stated(line, COMPLEXITY[1]) for line in _COMPLEXITY.findall(text)), *COMPLEXITY)
    if found.score is None:
        return Classification(None, None, f"complexity {found.invalid}")
    if not found.score.is_integer():
        return Classification(None, None, "complexity not a number")
    return Classification(category, int(found.score))
