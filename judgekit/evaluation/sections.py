"""What benchmarks whose headline number is no plain mean make it of.

Parts that share no instruction are combined
by weights, and their intervals by the square-and-add method for independent parts (Zou & Donner 2008, MOVER).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from judgekit.evaluation.labelled_verdicts import collect
from judgekit.rows import ResponsePair
from judgekit.stats.bootstrap import estimate_ratio
from judgekit.stats.verdict_rates import INVALID, TIE
from judgekit.verdict_rows import VerdictRow

Numbers: TypeAlias = dict[str, Any]
"""Names to numbers, ``NAME_ci95`` to ``[low, high]``, None where something has no verdicts."""


@dataclass(frozen=True, slots=True)
class Part:
    """A number with its interval."""

    value: float
    ci95: tuple[float, float]


def combine(parts: Iterable[tuple[float, Part]]) -> Part | None:
    """Weighted mean of independent numbers, None without any.

    The ends of its interval are as far from the mean as the square root of the sum of squares of the parts' own
    distances, each times its weight.
    """
    found = list(parts)
    total = sum(weight for weight, _ in found)
    if not total:
        return None
    shares = [(weight / total, part) for weight, part in found]
    value = sum(share * part.value for share, part in shares)
    below = math.sqrt(sum((share * (part.value - part.ci95[0])) ** 2 for share, part in shares))
    above = math.sqrt(sum((share * (part.ci95[1] - part.value)) ** 2 for share, part in shares))
    return Part(value, (value - below, value + above))


def accuracies(
    pairs: Sequence[ResponsePair],
    verdicts: Iterable[VerdictRow],
    by: Callable[[ResponsePair], str],
    undecided: float,
    resamples: int,
    seed: int,
) -> dict[str, Part]:
    """Accuracy in each part of a benchmark, over all orders that were judged.

    :param by: the part a pair belongs to
    :param undecided: what an invalid verdict counts, and a tie where the label is none
    """
    outcomes = collect(pairs, verdicts)
    credits: defaultdict[str, tuple[list[str], list[float]]] = defaultdict(lambda: ([], []))
    for codes in outcomes.verdicts.values():
        for pair, label, said in zip(outcomes.pairs, outcomes.gold, codes, strict=True):
            names, worth = credits[by(pair)]
            names.append(pair.cluster)
            worth.append(1.0 if said == label else undecided if said in (TIE, INVALID) else 0.0)
    parts = {}
    for name, (names, worth) in credits.items():
        found = estimate_ratio(names, worth, [1.0] * len(worth), resamples, seed)
        if found.value is not None and found.ci95 is not None:
            parts[name] = Part(found.value, found.ci95)
    return parts


def subset_of(pair: ResponsePair) -> str:
    """The part of a benchmark a pair belongs to by its subset."""
    return pair.subset or ""


def mean(parts: Iterable[tuple[float, Part | None]]) -> Part | None:
    """``combine``, None when a part is missing."""
    found = list(parts)
    known = [(weight, part) for weight, part in found if part is not None]
    return combine(known) if len(known) == len(found) else None


def missing(names: Iterable[str], found: Container[str]) -> Numbers:
    """Under ``missing`` the names of parts that were to be there, nothing where all are."""
    absent = [name for name in names if name not in found]
    return {"missing": absent} if absent else {}


def written(parts: Mapping[str, Part | None]) -> Numbers:
    """Numbers and their intervals by name."""
    numbers: Numbers = {}
    for name, part in parts.items():
        numbers[name] = None if part is None else part.value
        numbers[f"{name}_ci95"] = None if part is None else list(part.ci95)
    return numbers
