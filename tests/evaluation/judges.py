"""Pairs and verdicts for tests: by hand, at random, and of judges with a known bias."""

from __future__ import annotations

import random

from judgekit.evaluation.verdicts import VerdictRow
from judgekit.rows import ORDERS, Order, ResponsePair, Verdict

CHOICES: tuple[Verdict | None, ...] = ("A", "B", "tie", None)
MIRROR: dict[Verdict | None, Verdict | None] = {"A": "B", "B": "A", "tie": "tie", None: None}


def pair(number: int, label: Verdict | None, group: str | None = None, subset: str | None = None) -> ResponsePair:
    return ResponsePair(f"p{number}", f"instruction {number}", "one", "two", label, subset=subset, group=group)


def row(number: int, order: Order, verdict: Verdict | None, sample: int = 0) -> VerdictRow:
    return VerdictRow(f"p{number}", order, sample, verdict, None if verdict else "ambiguous", "text")


def both(number: int, ab: Verdict | None, ba: Verdict | None) -> list[VerdictRow]:
    return [row(number, "ab", ab), row(number, "ba", ba)]


def random_data(seed: int, count: int = 60, clusters: int = 20) -> tuple[list[ResponsePair], list[VerdictRow]]:
    """Pairs in two subsets with a judge that is right two times in three, else anything."""
    draw = random.Random(seed)
    pairs, rows = [], []
    for number in range(count):
        label = draw.choice(CHOICES[:3])
        pairs.append(pair(number, label, f"g{draw.randrange(clusters)}", draw.choice(["easy", "hard"])))
        for order in ORDERS:
            rows.append(row(number, order, label if draw.random() < 0.6 else draw.choice(CHOICES)))
    return pairs, rows
