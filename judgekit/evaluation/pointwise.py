"""Judges that score single responses: how their scores go with those of people.

Scores of a judge are given by id of the response, None where the judge gave none: such responses are left out of every
metric and counted. Groups of responses answer the same instruction; intervals resample groups.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from judgekit.errors import DataError
from judgekit.rows import ScoredResponse
from judgekit.stats.bootstrap import (
    Clusters,
    Estimate,
    FloatArray,
    estimate_ratio,
    interval,
    resample,
    sum_clusters,
)

Correlate = Callable[[Sequence[float] | FloatArray, Sequence[float] | FloatArray], float | None]
MIDDLE = 1 / 8
"""Scores at most this share of the scale from its midpoint are in the middle: 3 of 1 to 5, 5 and 6 of 1 to 10."""


@dataclass(frozen=True, slots=True)
class Correlations:
    """Pearson's r, Spearman's ρ and Kendall's τ-b, each with its interval; None where scores do not vary."""

    pearson: Estimate
    spearman: Estimate
    kendall: Estimate


@dataclass(frozen=True, slots=True)
class PointwiseScores:
    """A judge's scores against human ones.

    :param n: responses with a score of the judge; ``invalid`` those without
    :param pooled: correlations over all responses
    :param text_level: mean correlation within groups (``text_groups``; ``skipped`` have fewer than two responses with
        a score, or equal scores of the judge or of people)
    :param system_level: correlations of the systems' mean scores; None without named systems
    :param pairwise_accuracy: share of pairs of a group that people rank and the judge ranks the same way
    :param exact_match: share of groups the judge ranks as people do from first to last
    :param five_best: share of responses with the judge's best score that people rank first in their group
    :param central_tendency: share of the judge's scores in the middle of the scale minus that of the human scores
    :param spread: standard deviation of the judge's scores over that of the human scores
    """

    n: int
    invalid: int
    pooled: Correlations
    text_level: Correlations
    text_groups: int
    skipped: int
    system_level: Correlations | None
    pairwise_accuracy: Estimate
    exact_match: Estimate
    five_best: Estimate
    central_tendency: Estimate
    spread: Estimate


@dataclass(frozen=True, slots=True)
class _Item:
    group: str
    system: str | None
    human: float
    judge: float


def score_pointwise(
    rows: Iterable[ScoredResponse],
    scores: Mapping[str, float | None],
    best: float | None = None,
    scale: tuple[float, float] | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> PointwiseScores:
    """Measure a judge's scores against human scores of the same responses.

    :param rows: responses of one criterion and benchmark
    :param scores: the judge's score by id of the response
    :param best: the judge's best possible score; None: the top of ``scale``
    :param scale: worst and best score of the judge's scale; None: that of the human scores
    :raises DataError: for a response that appears twice, or scores of unknown responses
    """
    rows = list(rows)
    items, low, high = _items(rows, scores)
    judge_low, judge_high = scale if scale is not None else (low, high)
    groups: defaultdict[str, list[_Item]] = defaultdict(list)
    for item in items:
        groups[item.group].append(item)
    text_level, measured = _text_level(groups, resamples, seed)
    top = best if best is not None else judge_high
    return PointwiseScores(
        n=len(items),
        invalid=len(rows) - len(items),
        pooled=_pooled(items, groups, resamples, seed),
        text_level=text_level,
        text_groups=measured,
        skipped=len({row.group for row in rows}) - measured,
        system_level=_system_level(items, resamples, seed),
        pairwise_accuracy=_over_groups(groups, _ordered_pairs, resamples, seed),
        exact_match=_over_groups(groups, _exact, resamples, seed),
        five_best=_over_groups(groups, lambda group: _best(group, top), resamples, seed),
        central_tendency=_central(items, (low, high), (judge_low, judge_high), resamples, seed),
        spread=_spread(items, resamples, seed),
    )


def central_tendency(
    rows: Iterable[ScoredResponse],
    scores: Mapping[str, float | None],
    scale: tuple[float, float] | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """``PointwiseScores.central_tendency`` alone; None where people's scores have no scale."""
    items, low, high = _items(list(rows), scores)
    return _central(items, (low, high), scale if scale is not None else (low, high), resamples, seed)


def _items(
    rows: Sequence[ScoredResponse], scores: Mapping[str, float | None]
) -> tuple[list[_Item], float | None, float | None]:
    known = {row.id for row in rows}
    if len(known) < len(rows):
        raise DataError("a response appears twice; measure one criterion at a time", file="responses", field="id")
    if strange := sorted(set(scores) - known):
        raise DataError(f"there is no response '{strange[0]}'", file="scores", field="id")
    # In order of ids, so that the order of rows changes no bit of a floating-point sum.
    found = []
    for row in sorted(rows, key=lambda row: row.id):
        judge = scores.get(row.id)
        if judge is not None:
            found.append(_Item(row.group, row.system, row.score, judge))
    scales = {(row.low, row.high) for row in rows}
    low, high = scales.pop() if len(scales) == 1 else (None, None)
    return found, low, high


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


def _text_level(groups: Mapping[str, Sequence[_Item]], resamples: int, seed: int) -> tuple[Correlations, int]:
    """Mean correlation within groups and the number of groups that have one."""

    def mean(correlate: Correlate) -> Estimate:
        found = {name: correlate(*_columns(group)) for name, group in groups.items()}
        known = {name: value for name, value in found.items() if value is not None}
        return estimate_ratio(list(known), known.values(), [1.0] * len(known), resamples, seed, signed=True)

    level = _estimates(mean)
    return level, level.spearman.n


def _columns(items: Iterable[_Item]) -> tuple[FloatArray, FloatArray]:
    pairs = np.array([(item.human, item.judge) for item in items]).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _pooled(items: Sequence[_Item], groups: Mapping[str, Sequence[_Item]], resamples: int, seed: int) -> Correlations:
    human, judge = _columns(items)
    names = sorted(groups)
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


def _system_level(items: Sequence[_Item], resamples: int, seed: int) -> Correlations | None:
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

    def over_systems(correlate: Correlate) -> Estimate:
        # A resample may hold no response of some system.
        found = [correlate(*(one[:2, one[2] > 0] / one[2, one[2] > 0])) for one in sums]
        return _estimate(found[0], found[1:], clusters.count(), len(systems))

    return _estimates(over_systems)


def _over_groups(
    groups: Mapping[str, Sequence[_Item]], count: Callable[[Sequence[_Item]], tuple[float, float]],
    resamples: int, seed: int,
) -> Estimate:  # fmt: skip
    """Share of successes over all groups."""
    counts = [count(group) for group in groups.values()]
    return estimate_ratio(list(groups), (one for one, _ in counts), (of for _, of in counts), resamples, seed)


def _ordered_pairs(group: Sequence[_Item]) -> tuple[float, float]:
    ranked = [(one, two) for one, two in combinations(group, 2) if one.human != two.human]
    return float(sum((one.human > two.human) == (one.judge > two.judge) and one.judge != two.judge
                     for one, two in ranked)), float(len(ranked))  # fmt: skip


def _exact(group: Sequence[_Item]) -> tuple[float, float]:
    if len(group) < 2:
        return 0.0, 0.0
    pairs = combinations(group, 2)
    same = all(np.sign(one.human - two.human) == np.sign(one.judge - two.judge) for one, two in pairs)
    return float(same), 1.0


def _best(group: Sequence[_Item], top: float | None) -> tuple[float, float]:
    if top is None:
        return 0.0, 0.0
    first = max(item.human for item in group)
    given = [item for item in group if item.judge >= top]
    return float(sum(item.human == first for item in given)), float(len(given))


def _central(
    items: Sequence[_Item], human: tuple[float | None, float | None], judge: tuple[float | None, float | None],
    resamples: int, seed: int,
) -> Estimate:  # fmt: skip
    if None in human or None in judge:
        return Estimate(None, None, 0)
    excess = [float(_middle(item.judge, *judge)) - float(_middle(item.human, *human)) for item in items]
    names = [item.group for item in items]
    return estimate_ratio(names, excess, [1.0] * len(items), resamples, seed, signed=True)


def _middle(value: float, low: float | None, high: float | None) -> bool:
    assert low is not None and high is not None
    return abs(value - (low + high) / 2) <= MIDDLE * (high - low)


def _spread(items: Sequence[_Item], resamples: int, seed: int) -> Estimate:
    """Ratio of standard deviations; its interval is not cut at 1."""
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
