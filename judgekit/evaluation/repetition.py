"""How far a judge's greedy verdicts can be reproduced on the engine it runs on."""

from __future__ import annotations

from collections.abc import Sequence

from judgekit.stats.bootstrap import gather, interval, resample
from judgekit.verdict_rows import VerdictRow

RESAMPLES = 2000


def flip_rate(
    first: Sequence[VerdictRow], again: Sequence[VerdictRow], seed: int = 0
) -> tuple[float, tuple[float, float], int]:
    """Share of judgments whose verdict differs on repetition; having none is a verdict of its own here.

    :param first: verdicts of a judge
    :param again: verdicts of the same judge on some of the same pairs and orders
    :return: the rate, its 95 % interval (bootstrap clustered on the pair) and how many judgments were compared
    :raises ValueError: ``again`` holds a judgment that ``first`` lacks, or nothing
    """
    known = {(row.id, row.order): row.verdict for row in first}
    if not again or any((row.id, row.order) not in known for row in again):
        raise ValueError("repeated verdicts must be on pairs and orders that were judged before")
    flips = [int(row.verdict != known[row.id, row.order]) for row in again]
    clusters = gather((row.id for row in again), flips, 2)
    replicates = resample(clusters, RESAMPLES, seed)
    rate = sum(flips) / len(flips)
    return rate, interval(rate, replicates[:, 1] / replicates.sum(axis=1), clusters.count()), len(flips)
