"""Correlation of two raters' numbers for the same items: over all items, within groups of them, of systems' means.

Intervals resample groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from judgekit.stats.bootstrap import Clusters, Estimate, FloatArray, estimate_ratio, interval, resample, sum_clusters

Correlate = Callable[[Sequence[float] | FloatArray, Sequence[float] | FloatArray], float | None]


@dataclass(frozen=True, slots=True)
class Correlations:
    """Pearson's r, Spearman's ρ and Kendall's τ-b, each with its interval; None where scores do not vary."""

    pearson: Estimate
    spearman: Estimate
    kendall: Estimate


@dataclass(frozen=True, slots=True)
class RatedItem:
    """What two raters gave an item, people and a judge.

    :param group: items of one group are rated side by side
    :param system: whose the item is, None where that is not known
    """

    group: str
    system: str | None
    human: float
    judge: float


def pearson(x: Sequence[float] | FloatArray, y: Sequence[float] | FloatArray) -> float | None:
    """Pearson's r; None for fewer than two points or where one side does not vary."""
    return _correlation("pearsonr", x, y)


def spearman(x: Sequence[float] | FloatArray, y: Sequence[float] | FloatArray) -> float | None:
    """Spearman's ρ; None as for ``pearson``."""
    return _correlation("spearmanr", x, y)


def kendall(x: Sequence[float] | FloatArray, y: Sequence[float] | FloatArray) -> float | None:
    """Kendall's τ-b, which takes ties into account; None as for ``pearson``."""
    return _correlation("kendalltau", x, y)


def _correlation(name: str, x: Sequence[float] | FloatArray, y: Sequence[float] | FloatArray) -> float | None:
    from scipy import stats

    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    value = float(getattr(stats, name)(x, y).statistic)
    return None if np.isnan(value) else value


KINDS: Mapping[str, Correlate] = {"pearson": pearson, "spearman": spearman, "kendall": kendall}


def _estimates(estimate: Callable[[Correlate], Estimate]) -> Correlations:
    return Correlations(**{name: estimate(correlate) for name, correlate in KINDS.items()})


def within_groups(groups: Mapping[str, Sequence[RatedItem]], resamples: int, seed: int) -> tuple[Correlations, int]:
    """Mean correlation within groups and the number of groups that have one."""

    def mean(correlate: Correlate) -> Estimate:
        found = {name: correlate(*_columns(group)) for name, group in groups.items()}
        known = {name: value for name, value in found.items() if value is not None}
        return estimate_ratio(list(known), known.values(), [1.0] * len(known), resamples, seed, signed=True)

    level = _estimates(mean)
    return level, level.spearman.n


def _columns(items: Iterable[RatedItem]) -> tuple[FloatArray, FloatArray]:
    pairs = np.array([(item.human, item.judge) for item in items]).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def over_items(items: Sequence[RatedItem], resamples: int, seed: int) -> Correlations:
    """Correlations over all items."""
    human, judge = _columns(items)
    names = sorted({item.group for item in items})
    place = {name: index for index, name in enumerate(names)}
    group_N = np.array([place[item.group] for item in items], dtype=np.int64)
    weights_RG = _weights(len(names), resamples, seed)

    def whole(correlate: Correlate) -> Estimate:
        replicates = (
            correlate(np.repeat(human, times), np.repeat(judge, times))
            for times in (weights[group_N] for weights in weights_RG)
        )
        return _estimate(correlate(human, judge), replicates, len(names), len(items))

    return _estimates(whole)


def _weights(groups: int, resamples: int, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """How often each group is in each resample, (R, G)."""
    if groups == 0:
        return np.zeros((0, 0), dtype=np.int64)
    clusters = Clusters(np.eye(groups), np.ones(groups, dtype=np.int64))
    return resample(clusters, resamples, seed).astype(np.int64)


def _estimate(value: float | None, replicates: Iterable[float | None], groups: int, n: int) -> Estimate:
    if value is None:
        return Estimate(None, None, n)
    found = np.array([np.nan if one is None else one for one in replicates], dtype=np.float64)
    return Estimate(value, interval(value, found, groups, signed=True), n)


def over_systems(items: Sequence[RatedItem], resamples: int, seed: int) -> Correlations | None:
    """Correlations of the systems' mean numbers; None without named systems."""
    named = [item for item in items if item.system is not None]
    systems = sorted({str(item.system) for item in named})
    if not systems:
        return None
    is_NS = np.array([[item.system == system for system in systems] for item in named], dtype=np.float64)
    human, judge = _columns(named)
    # Sums of human scores, of judge scores and counts by system are all that a resample needs.
    values = np.concatenate([is_NS * human[:, None], is_NS * judge[:, None], is_NS], axis=1)
    clusters = sum_clusters([item.group for item in named], values)
    tables = np.concatenate([clusters.total_C[None], resample(clusters, resamples, seed)])
    sums = tables.reshape(-1, 3, len(systems))

    def of_means(correlate: Correlate) -> Estimate:
        # A resample may hold no response of some system.
        found = [correlate(*(one[:2, one[2] > 0] / one[2, one[2] > 0])) for one in sums]
        return _estimate(found[0], found[1:], clusters.count(), len(systems))

    return _estimates(of_means)


def spread_ratio(items: Sequence[RatedItem], resamples: int, seed: int) -> Estimate:
    """Standard deviation of the judge's numbers over that of people's; its interval is not cut at 1."""
    human, judge = _columns(items)
    if len(items) < 2 or np.ptp(human) == 0:
        return Estimate(None, None, len(items))
    ones = np.ones(len(items))
    clusters = sum_clusters(
        [item.group for item in items], np.column_stack([ones, human, human**2, judge, judge**2])
    )  # fmt: skip
    tables = np.concatenate([clusters.total_C[None], resample(clusters, resamples, seed)])
    count, sum_h, square_h, sum_j, square_j = tables.T
    variances = [np.maximum(square / count - (total / count) ** 2, 0.0)
                 for total, square in ((sum_h, square_h), (sum_j, square_j))]  # fmt: skip
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.sqrt(variances[1] / variances[0])
    defined = ratio[1:][np.isfinite(ratio[1:])]
    low, high = np.quantile(defined, (0.025, 0.975)) if defined.size else (np.nan, np.nan)
    ends = (float(low), float(high)) if defined.size else None
    return Estimate(float(ratio[0]), ends, len(items))
