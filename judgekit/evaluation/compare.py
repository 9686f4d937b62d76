"""Two judges on the same pairs: both side by side, McNemar's test, the paired bootstrap, and their agreement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from judgekit.errors import DataError
from judgekit.evaluation.metrics import MetricValue, score
from judgekit.evaluation.outcomes import Outcomes, collect
from judgekit.evaluation.verdicts import VerdictRow
from judgekit.rows import ORDERS, VERDICTS, Order, ResponsePair
from judgekit.stats.bootstrap import Estimate, FloatArray, gather, interval, resample
from judgekit.stats.verdict_rates import CODES, INVALID

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


@dataclass(frozen=True, slots=True)
class Measured:
    """One metric of two judges, ``a`` and ``b``, and the first minus the second."""

    a: Estimate
    b: Estimate
    difference: Difference


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Two judges on the same pairs.

    :param n: labelled pairs; ``unlabelled`` the others, which count for the agreement only
    :param metrics: by name; empty without labelled pairs
    :param agreement: share of the verdicts on one pair in one order that are the same, of those valid in both
    :param kappa: the same beyond chance (Cohen 1960)
    :param invalid: verdicts of ``a`` and of ``b`` that are invalid or missing, over all pairs and compared orders
    """

    n: int
    unlabelled: int
    metrics: dict[str, Measured]
    agreement: Estimate
    kappa: Estimate
    invalid: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two judges overall and for each subset, on the pairs and in the orders that both judged.

    :param left_out: pairs that only ``a`` and that only ``b`` judged
    """

    overall: SideBySide
    subsets: dict[str, SideBySide]
    orders: tuple[Order, ...]
    left_out: tuple[int, int]


def compare_judges(
    pairs: Iterable[ResponsePair],
    verdicts_a: Iterable[VerdictRow],
    verdicts_b: Iterable[VerdictRow],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare sample 0 of two judges' verdicts on the pairs that both have any verdict on.

    With both orders in common, the metrics are accuracy, consistent accuracy and consistency, else the accuracy of the
    order in common.

    :raises DataError: for verdicts on unknown pairs, no pair in common, or no order in common
    """
    rows = [_first_samples(verdicts) for verdicts in (verdicts_a, verdicts_b)]
    known = [{row.id for row in found} for found in rows]
    common = known[0] & known[1]
    pairs = list(pairs)
    if unknown := (known[0] | known[1]) - {pair.id for pair in pairs}:
        raise DataError(f"there is no gold pair '{min(unknown)}'", file="verdicts", field="id")
    if not common:
        message = f"no pair in common: one judge has {len(known[0])} pairs, the other {len(known[1])}"
        raise DataError(f"{message}; compare judges on the same benchmark", file="verdicts", field="id")
    judged = [{row.order for row in found if row.id in common} for found in rows]
    orders = tuple(order for order in ORDERS if order in judged[0] & judged[1])
    if not orders:
        raise DataError("the judges have no order in common; judge both orders", file="verdicts", field="order")
    kept = [[row for row in found if row.id in common and row.order in orders] for found in rows]

    def side_by_side(chosen: Sequence[ResponsePair]) -> SideBySide:
        names = {pair.id for pair in chosen}
        return _side_by_side(chosen, *([row for row in found if row.id in names] for found in kept),
                             orders=orders, resamples=resamples, seed=seed)  # fmt: skip

    shared = [pair for pair in pairs if pair.id in common]
    subsets = sorted({pair.subset for pair in shared if pair.subset is not None})
    return Comparison(
        overall=side_by_side(shared),
        subsets={name: side_by_side([pair for pair in shared if pair.subset == name]) for name in subsets},
        orders=orders,
        left_out=(len(known[0] - common), len(known[1] - common)),
    )


def _first_samples(verdicts: Iterable[VerdictRow]) -> list[VerdictRow]:
    return [row for row in verdicts if row.sample == 0]


def _side_by_side(
    pairs: Sequence[ResponsePair], rows_a: Sequence[VerdictRow], rows_b: Sequence[VerdictRow],
    *, orders: Sequence[Order], resamples: int, seed: int,
) -> SideBySide:  # fmt: skip
    labelled = sum(pair.label is not None for pair in pairs)
    metrics: dict[str, Measured] = {}
    if labelled:
        both: tuple[PairMetric, ...] = ("accuracy", "consistent_accuracy", "consistency")
        single: tuple[PairMetric, ...] = ("accuracy_ab",) if orders[0] == "ab" else ("accuracy_ba",)
        scores = [score(pairs, rows, resamples=resamples, seed=seed).overall for rows in (rows_a, rows_b)]
        for name in both if len(orders) == len(ORDERS) else single:
            difference = paired_difference(pairs, rows_a, rows_b, name, resamples=resamples, seed=seed)
            a, b = (_estimate(values, name, labelled) for values in scores)
            metrics[name] = Measured(a, b, difference)
    codes = [{(row.id, row.order): CODES[row.verdict] for row in rows} for rows in (rows_a, rows_b)]
    asked = [(pair.cluster, (pair.id, order)) for pair in pairs for order in orders]
    found = [(cluster, codes[0].get(key, INVALID), codes[1].get(key, INVALID)) for cluster, key in asked]
    agreement, kappa = _agreement([one for one in found if INVALID not in one[1:]], resamples, seed)
    invalid = (sum(one == INVALID for _, one, _ in found), sum(two == INVALID for _, _, two in found))
    return SideBySide(labelled, len(pairs) - labelled, metrics, agreement, kappa, invalid)


def _estimate(values: dict[str, MetricValue], name: str, n: int) -> Estimate:
    value, ends = values[name], values[name + "_ci95"]
    assert isinstance(value, float) and isinstance(ends, list)
    return Estimate(value, (ends[0], ends[1]), n)


def _agreement(rows: Sequence[tuple[str, int, int]], resamples: int, seed: int) -> tuple[Estimate, Estimate]:
    """Share of equal verdicts and Cohen's κ of (cluster, code of one judge, code of the other)."""
    if not rows:
        return Estimate(None, None, 0), Estimate(None, None, 0)
    size = len(VERDICTS)
    clusters = gather((name for name, _, _ in rows), (size * one + two for _, one, two in rows), size * size)
    tables = np.concatenate([clusters.total_C[None], resample(clusters, resamples, seed)]).reshape(-1, size, size)
    total, same = tables.sum(axis=(1, 2)), np.trace(tables, axis1=1, axis2=2)
    chance = (tables.sum(axis=1) * tables.sum(axis=2)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        kappas = np.where(chance < total * total, (same * total - chance) / (total * total - chance), np.nan)
    shares, count = same / total, clusters.count()
    share, kappa = float(shares[0]), float(kappas[0])
    agreement = Estimate(share, interval(share, shares[1:], count), len(rows))
    if np.isnan(kappa):
        return agreement, Estimate(None, None, len(rows))
    return agreement, Estimate(kappa, interval(kappa, kappas[1:], count, signed=True), len(rows))


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
    first = successes(pairs, verdicts_a, metric, "first verdicts")
    second = successes(pairs, verdicts_b, metric, "second verdicts")
    names = [pair.cluster for pair in pairs if pair.label is not None]
    if not names:
        raise DataError("no pair has a label, so there is nothing to compare", file="gold pairs", field="label")
    return success_difference(metric, names, first, second, resamples=resamples, seed=seed)


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


def successes(
    pairs: Sequence[ResponsePair], verdicts: Iterable[VerdictRow], metric: PairMetric, source: str
) -> list[int]:
    """How far a judge succeeds on each labelled pair, in halves: 0, 1 or 2.

    :param source: what the verdicts are called in errors
    :raises DataError: as ``paired_difference``
    """
    return _successes(collect(pairs, verdicts, source), metric, source)


def _successes(outcomes: Outcomes, metric: PairMetric, source: str) -> list[int]:
    needed: Sequence[Order] = {"accuracy_ab": ORDERS[:1], "accuracy_ba": ORDERS[1:]}.get(metric, ORDERS)
    for order in needed:
        if order not in outcomes.verdicts:
            raise DataError(f"{metric} needs verdicts of order {order}, there is none", file=source, field="order")
    answers = zip(*(outcomes.verdicts[order] for order in needed), strict=True)
    if metric == "accuracy":
        return [sum(one == right for one in given) for right, given in zip(outcomes.gold, answers, strict=True)]
    wanted = outcomes.verdicts["ab"] if metric == "consistency" else outcomes.gold
    return [PARTS * all(one == right != INVALID for one in given) for right, given in zip(wanted, answers, strict=True)]
