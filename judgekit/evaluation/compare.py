"""Two judges on the same pairs: McNemar's test and the paired bootstrap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from judgekit.errors import DataError
from judgekit.evaluation.bootstrap import FloatArray, gather, interval, resample
from judgekit.evaluation.outcomes import Outcomes, collect
from judgekit.evaluation.rates import INVALID
from judgekit.evaluation.verdicts import VerdictRow
from judgekit.rows import ORDERS, Order, ResponsePair

PairMetric = Literal["accuracy", "accuracy_ab", "accuracy_ba", "consistent_accuracy", "consistency"]
PARTS = 2
"""A judge succeeds on a pair in 0, 1 or 2 halves: ``accuracy`` is the mean over the orders."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric of one judge minus that of another on the same pairs.

    :param ci95: interval of the difference, bootstrap over the clusters of pairs
    :param p_value: exact McNemar test on the pairs where just one of the judges succeeds, None for ``accuracy``, on
        which a pair can succeed by half. It takes pairs as independent, so trust the bootstrap where clusters hold
        several pairs
    :param p_bootstrap: two-sided p-value of the paired bootstrap: how often resamples put the difference on the other
        side of 0
    :param only_a: pairs where the first judge succeeds more than the second; ``only_b`` the other way round
    """

    metric: str
    difference: float
    ci95: tuple[float, float]
    p_value: float | None
    p_bootstrap: float
    n: int
    only_a: int
    only_b: int


def paired_difference(
    pairs: Iterable[ResponsePair],
    verdicts_a: Iterable[VerdictRow],
    verdicts_b: Iterable[VerdictRow],
    metric: PairMetric = "consistent_accuracy",
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Difference:
    """Compare two judges on the same pairs: the metric of ``verdicts_a`` minus that of ``verdicts_b``.

    :param metric: a metric that is a mean over pairs
    :raises DataError: as ``score`` does, and when no pair is labelled or a needed order was not judged
    :raises ValueError: for another metric
    """
    if metric not in get_args(PairMetric):
        raise ValueError(f"'{metric}' is not a mean over pairs; choose one of {', '.join(get_args(PairMetric))}")
    pairs = list(pairs)
    first = _successes(collect(pairs, verdicts_a, "first verdicts"), metric, "first verdicts")
    second = _successes(collect(pairs, verdicts_b, "second verdicts"), metric, "second verdicts")
    labelled = [pair for pair in pairs if pair.label is not None]
    if not labelled:
        raise DataError("no pair has a label, so there is nothing to compare", file="gold pairs", field="label")

    # A cell is the difference in halves, from -2 to 2.
    cells = [won_a - won_b + PARTS for won_a, won_b in zip(first, second, strict=True)]
    clusters = gather((pair.cluster for pair in labelled), cells, width=2 * PARTS + 1)
    worth = np.arange(-PARTS, PARTS + 1) / PARTS
    total, tables = clusters.total_C, resample(clusters, resamples, seed)
    only_a, only_b = int(total[PARTS + 1 :].sum()), int(total[:PARTS].sum())
    difference = float(total @ worth) / len(labelled)
    replicates = (tables @ worth) / tables.sum(axis=1)
    return Difference(
        metric=metric,
        difference=difference,
        ci95=interval(difference, replicates, clusters.count(), signed=True),
        p_value=None if metric == "accuracy" else mcnemar(only_a, only_b),
        p_bootstrap=_two_sided(replicates),
        n=len(labelled),
        only_a=only_a,
        only_b=only_b,
    )


def mcnemar(only_a: int, only_b: int) -> float:
    """Two-sided p-value of McNemar's exact test (McNemar 1947) from the two discordant counts; 1 when both are 0."""
    from scipy.stats import binomtest

    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def _two_sided(replicates_R: FloatArray) -> float:
    """Twice the smaller tail of the replicates beyond 0, each tail with one replicate more than seen, at most 1."""
    beyond = min((replicates_R <= 0).sum(), (replicates_R >= 0).sum())
    return float(min(1.0, 2 * (beyond + 1) / (len(replicates_R) + 1)))


def _successes(outcomes: Outcomes, metric: PairMetric, source: str) -> list[int]:
    """How far the judge succeeds on each labelled pair, in halves."""
    needed: Sequence[Order] = {"accuracy_ab": ORDERS[:1], "accuracy_ba": ORDERS[1:]}.get(metric, ORDERS)
    for order in needed:
        if order not in outcomes.verdicts:
            raise DataError(f"{metric} needs verdicts of order {order}, there is none", file=source, field="order")
    answers = zip(*(outcomes.verdicts[order] for order in needed), strict=True)
    if metric == "accuracy":
        return [sum(one == right for one in given) for right, given in zip(outcomes.gold, answers, strict=True)]
    wanted = outcomes.verdicts["ab"] if metric == "consistency" else outcomes.gold
    return [PARTS * all(one == right != INVALID for one in given) for right, given in zip(wanted, answers, strict=True)]
