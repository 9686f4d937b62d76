"""What selecting judgments has in common, whichever recipe sampled them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from judgekit.randomness import draw_bits
from judgekit.rows import Judgment, Order

CUT = "demonstration cut to balance A and B"
"""Why a demonstration is not used after ``balance_positions``."""


@dataclass(frozen=True, slots=True)
class JudgmentPair:
    """A correct and an incorrect judgment of one response pair in the same order."""

    chosen: Judgment
    rejected: Judgment


def position(judgment: Judgment) -> str:
    """The position a verdict names: A for the response shown first."""
    assert judgment.verdict is not None
    if judgment.order == "ab":
        return judgment.verdict
    return {"A": "B", "B": "A"}.get(judgment.verdict, judgment.verdict)


def balance_positions(judgments: Sequence[Judgment], seed: int) -> list[Judgment]:
    """As many judgments that name the first position as name the second; ties stay.

    Of the more frequent position those to cut are drawn by id and order, so at most one judgment is expected for each.
    """
    by_position = {label: [row for row in judgments if position(row) == label] for label in "AB"}
    keep = min(map(len, by_position.values()))
    cut: set[tuple[str, Order]] = set()
    for rows in by_position.values():
        ranked = sorted(rows, key=lambda row: draw_bits(seed, row.id, row.order, "balance"))
        cut |= {(row.id, row.order) for row in ranked[keep:]}
    return [row for row in judgments if (row.id, row.order) not in cut]
