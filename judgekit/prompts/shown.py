"""Responses under judgment without what their authors thought first (``bias.strip_thoughts``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from judgekit.prompts.replies import Quotations
from judgekit.prompts.thoughts import first_mark, split_thought

_TEXTS = ("response", "response_a", "response_b", "responses")
Row = TypeVar("Row")


def without_thought(response: str) -> str:
    """The answer in a response. It is empty where the thought never ends.

    The thought opens the response, or it was opened by the prompt and is closed in the response. Markers further on,
    and quoted ones, belong to what the response says.
    """
    kind, start, end = first_mark(response)
    opens = kind == "open" and not response[:start].strip()
    closes = kind == "close" and not Quotations(response).hold(start, end)
    return split_thought(response).answer if opens or closes or not kind else response


def without_thoughts(rows: Sequence[Row]) -> tuple[list[Row], int]:
    """The rows with the answers of their responses alone, and how many responses had a thought.

    :param rows: ``ResponsePair``, ``Response`` or ``Candidates``
    """
    made, count = [], 0
    for row in rows:
        changed: dict[str, Any] = {}
        for name in [field.name for field in fields(row) if field.name in _TEXTS]:  # type: ignore[arg-type]
            old = getattr(row, name)
            new = without_thought(old) if isinstance(old, str) else tuple(map(without_thought, old))
            if new != old:
                changed[name] = new
                count += 1 if isinstance(old, str) else sum(a != b for a, b in zip(old, new, strict=True))
        made.append(replace(row, **changed) if changed else row)  # type: ignore[type-var]
    return made, count
