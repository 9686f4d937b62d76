"""Final answers inside the text of a solution. Pure functions on characters."""

from __future__ import annotations

import re

_BOXED = re.compile(r"\\f?boxed\s*\{")
_STATED = re.compile(r"\banswer\s*(?:is|:|=)[\s:*$]*", re.IGNORECASE)
_SENTENCE_END = re.compile(r"\n|[.!?](?:\s|$)")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{\s*(-?[0-9]+)\s*\}\s*\{\s*([0-9]+)\s*\}")
_NUMBER = re.compile(r"(?<![\w)])-?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?(?:\s*/\s*[0-9]+)?")


def last_boxed(text: str) -> str | None:
    r"""The content of the last complete ``\boxed{...}`` (or ``\fbox``-like ``\fboxed``), braces balanced.

    :return: the text between the braces, unaltered; None when there is no complete box
    """
    for start in reversed([match.end() for match in _BOXED.finditer(text)]):
        end = _closing_brace(text, start)
        if end is not None:
            return text[start:end]
    return None


def _closing_brace(text: str, start: int) -> int | None:
    depth, position = 1, start
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 1  # an escaped brace does not count
        elif character in "{}":
            depth += 1 if character == "{" else -1
            if depth == 0:
                return position
        position += 1
    return None


def final_number(text: str) -> str | None:
    r"""The number a solution ends on, in canonical form (``$1,200.50`` gives ``1200.5``).

    The rule: in the last ``\boxed{}`` if it holds a number; else in the last sentence that says "answer is X",
    "answer: X" or "answer = X" if that holds one; else the last number of the text. In the first two the number
    is the first one after the last equals sign. A fraction counts as one number (``3/4``), never as its numerator.

    :return: None when the text holds no number
    """
    text = _FRACTION.sub(r"\1/\2", text.replace("\N{MINUS SIGN}", "-").replace("\\!", "").replace("{,}", ","))
    starts = [match.end() for match in _STATED.finditer(text)]
    stated = _SENTENCE_END.split(text[starts[-1] :], maxsplit=1)[0] if starts else None
    for candidate in (last_boxed(text), stated):
        found = _NUMBER.search(candidate.rsplit("=", 1)[-1]) if candidate is not None else None
        if found:
            return _canonical(found[0])
    numbers = _NUMBER.findall(text)
    return _canonical(numbers[-1]) if numbers else None


def _canonical(number: str) -> str:
    number = re.sub(r"[,\s]", "", number)
    return number.rstrip("0").rstrip(".") if "." in number and "/" not in number else number


def gsm8k_answer(solution: str) -> str | None:
    """The text after the last ``####`` of a GSM8K solution, without surrounding blanks; None when there is none."""
    _, mark, answer = solution.rpartition("####")
    return (answer.strip() or None) if mark else None
