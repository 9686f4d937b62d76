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
    Estimate,
    estimate_ratio,
)
from judgekit.stats.correlation import Correlations, RatedItem, over_items, over_systems, spread_ratio, within_groups

MIDDLE = 1 / 8
"""Scores at most this share of the scale from its midpoint are in the middle: 3 of 1 to 5, 5 and 6 of 1 to 10."""


@dataclass(frozen=True, slots=True)
class PointwiseMetrics:
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


def score_pointwise(
    rows: Iterable[ScoredResponse],
    scores: Mapping[str, float | None],
    best: float | None = None,
    scale: tuple[float, float] | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> PointwiseMetrics:
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
    groups: defaultdict[str, list[RatedItem]] = defaultdict(list)
    for item in items:
        groups[item.group].append(item)
    text_level, measured = within_groups(groups, resamples, seed)
    top = best if best is not None else judge_high
    return PointwiseMetrics(
        n=len(items),
        invalid=len(rows) - len(items),
        pooled=over_items(items, resamples, seed),
        text_level=text_level,
        text_groups=measured,
        skipped=len({row.group for row in rows}) - measured,
        system_level=over_systems(items, resamples, seed),
        pairwise_accuracy=_over_groups(groups, _ordered_pairs, resamples, seed),
        exact_match=_over_groups(groups, _exact, resamples, seed),
        five_best=_over_groups(groups, lambda group: _best(group, top), resamples, seed),
        central_tendency=_central(items, (low, high), (judge_low, judge_high), resamples, seed),
        spread=spread_ratio(items, resamples, seed),
    )


def central_tendency(
    rows: Iterable[ScoredResponse],
    scores: Mapping[str, float | None],
    scale: tuple[float, float] | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """``PointwiseMetrics.central_tendency`` alone; None where people's scores have no scale."""
    items, low, high = _items(list(rows), scores)
    return _central(items, (low, high), scale if scale is not None else (low, high), resamples, seed)


def _items(
    rows: Sequence[ScoredResponse], scores: Mapping[str, float | None]
) -> tuple[list[RatedItem], float | None, float | None]:
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
            found.append(RatedItem(row.group, row.system, row.score, judge))
    scales = {(row.low, row.high) for row in rows}
    low, high = scales.pop() if len(scales) == 1 else (None, None)
    return found, low, high


def _over_groups(
    groups: Mapping[str, Sequence[RatedItem]], count: Callable[[Sequence[RatedItem]], tuple[float, float]],
    resamples: int, seed: int,
) -> Estimate:  # fmt: skip
    """Share of successes over all groups."""
    counts = [count(group) for group in groups.values()]
    return estimate_ratio(list(groups), (one for one, _ in counts), (of for _, of in counts), resamples, seed)


def _ordered_pairs(group: Sequence[RatedItem]) -> tuple[float, float]:
    ranked = [(one, two) for one, two in combinations(group, 2) if one.human != two.human]
    return float(sum((one.human > two.human) == (one.judge > two.judge) and one.judge != two.judge
                     for one, two in ranked)), float(len(ranked))  # fmt: skip


def _exact(group: Sequence[RatedItem]) -> tuple[float, float]:
    if len(group) < 2:
        return 0.0, 0.0
    pairs = combinations(group, 2)
    same = all(np.sign(one.human - two.human) == np.sign(one.judge - two.judge) for one, two in pairs)
    return float(same), 1.0


def _best(group: Sequence[RatedItem], top: float | None) -> tuple[float, float]:
    if top is None:
        return 0.0, 0.0
    first = max(item.human for item in group)
    given = [item for item in group if item.judge >= top]
    return float(sum(item.human == first for item in given)), float(len(given))


def _central(
    items: Sequence[RatedItem], human: tuple[float | None, float | None], judge: tuple[float | None, float | None],
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
