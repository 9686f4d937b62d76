"""Pairs and verdicts for tests: by hand, at random, and of judges with a known bias."""

from __future__ import annotations

import math
import random

from judgekit.rows import ORDERS, Order, ResponsePair, Verdict
from judgekit.verdict_rows import VerdictRow

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


def biased_judge(
    seed: int,
    *,
    quality: float = 1.0,
    position: float = 0.0,
    length: float = 0.0,
    own: float = 0.0,
    count: int = 150,
    tied: float = 0.1,
) -> tuple[list[ResponsePair], list[VerdictRow]]:
    """A judge whose log odds for A are those of ``bias.effects`` with these coefficients; some verdicts are ties."""
    draw = random.Random(f"{seed} judge")
    pairs, rows = [], []
    for number in range(count):
        sizes = [draw.randrange(20, 200) for _ in range(2)]
        models = draw.sample(["me", "you", "them"], 2)
        one = ResponsePair(
            f"p{number}", f"instruction {number // 2}", "x" * sizes[0], "y" * sizes[1], draw.choice(("A", "B")),
            model_a=models[0], model_b=models[1],
        )  # fmt: skip
        pairs.append(one)
        for order in ORDERS:
            odds = quality * (1 if one.label == "A" else -1) + position * (1 if order == "ab" else -1)
            odds += length * math.log(sizes[0] / sizes[1])
            odds += own * ((models[0] == "me") - (models[1] == "me"))
            verdict: Verdict = "A" if draw.random() < 1 / (1 + math.exp(-odds)) else "B"
            rows.append(VerdictRow(one.id, order, 0, "tie" if draw.random() < tied else verdict, None, ""))
    return pairs, rows
