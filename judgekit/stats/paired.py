"""Two judges, or settings, on the same items: the paired bootstrap and the exact test of McNemar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from judgekit.stats.bootstrap import FloatArray, gather, interval, resample

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


def success_difference(
    metric: str, names: Sequence[str], first: Sequence[int], second: Sequence[int], *, resamples: int = 1000,
    seed: int = 0,
) -> Difference:  # fmt: skip
    """How far two judges differ, from what each of them did on the same pairs; pairs of several runs may be pooled.

    :param names: cluster of each pair
    :param first: halves in which the first judge succeeds on each pair, as ``successes`` gives them; likewise
        ``second``
    :raises ValueError: without pairs
    """
    # A cell is the difference in halves, from -2 to 2.
    cells = [won_a - won_b + PARTS for won_a, won_b in zip(first, second, strict=True)]
    clusters = gather(names, cells, width=2 * PARTS + 1)
    worth = np.arange(-PARTS, PARTS + 1) / PARTS
    total, tables = clusters.total_C, resample(clusters, resamples, seed)
    only_a, only_b = int(total[PARTS + 1 :].sum()), int(total[:PARTS].sum())
    difference = float(total @ worth) / len(cells)
    replicates = (tables @ worth) / tables.sum(axis=1)
    return Difference(
        metric=metric,
        difference=difference,
        ci95=interval(difference, replicates, clusters.count(), signed=True),
        p_value=None if metric == "accuracy" else mcnemar(only_a, only_b),
        p_bootstrap=_two_sided(replicates),
        n=len(cells),
        only_a=only_a,
        only_b=only_b,
    )


def mcnemar(only_a: int, only_b: int) -> float:
    """Two-sided p-value of McNemar's exact test (McNemar 1947) from the two discordant counts; 1 when both are 0."""
    from scipy.special import bdtr  # scipy.stats has the test too, and takes a second to import

    return min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def _two_sided(replicates_R: FloatArray) -> float:
    """Twice the smaller tail of the replicates beyond 0, each tail with one replicate more than seen, at most 1."""
    beyond = min((replicates_R <= 0).sum(), (replicates_R >= 0).sum())
    return float(min(1.0, 2 * (beyond + 1) / (len(replicates_R) + 1)))
