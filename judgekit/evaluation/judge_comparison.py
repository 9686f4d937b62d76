"""Two judges on the same pairs: both side by side, McNemar's test, the paired bootstrap, and their agreement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from judgekit.errors import DataError
from judgekit.evaluation.labelled_verdicts import CODES, LabelledVerdicts, collect
from judgekit.evaluation.verdict_metrics import MetricValue, score
from judgekit.rows import ORDERS, VERDICTS, Order, ResponsePair
from judgekit.stats.agreement import PairAgreement, table_agreement
from judgekit.stats.bootstrap import Estimate
from judgekit.stats.paired import PARTS, Difference, success_difference
from judgekit.stats.verdict_rates import INVALID
from judgekit.verdict_rows import VerdictRow

PairMetric = Literal["accuracy", "accuracy_ab", "accuracy_ba", "consistent_accuracy", "consistency"]


@dataclass(frozen=True, slots=True)
class ComparedMetric:
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
    metrics: dict[str, ComparedMetric]
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
    metrics: dict[str, ComparedMetric] = {}
    if labelled:
        both: tuple[PairMetric, ...] = ("accuracy", "consistent_accuracy", "consistency")
        single: tuple[PairMetric, ...] = ("accuracy_ab",) if orders[0] == "ab" else ("accuracy_ba",)
        scores = [score(pairs, rows, resamples=resamples, seed=seed).overall for rows in (rows_a, rows_b)]
        for name in both if len(orders) == len(ORDERS) else single:
            difference = paired_difference(pairs, rows_a, rows_b, name, resamples=resamples, seed=seed)
            a, b = (_estimate(values, name, labelled) for values in scores)
            metrics[name] = ComparedMetric(a, b, difference)
    codes = [{(row.id, row.order): CODES[row.verdict] for row in rows} for rows in (rows_a, rows_b)]
    asked = [(pair.cluster, (pair.id, order)) for pair in pairs for order in orders]
    found = [(cluster, codes[0].get(key, INVALID), codes[1].get(key, INVALID)) for cluster, key in asked]
    said = judge_agreement(pairs, rows_a, rows_b, resamples=resamples, seed=seed)
    invalid = (sum(one == INVALID for _, one, _ in found), sum(two == INVALID for _, _, two in found))
    return SideBySide(labelled, len(pairs) - labelled, metrics, said.agreed, said.kappa, invalid)


def _estimate(values: dict[str, MetricValue], name: str, n: int) -> Estimate:
    value, ends = values[name], values[name + "_ci95"]
    assert isinstance(value, float) and isinstance(ends, list)
    return Estimate(value, (ends[0], ends[1]), n)


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


def successes(
    pairs: Sequence[ResponsePair], verdicts: Iterable[VerdictRow], metric: PairMetric, source: str
) -> list[int]:
    """How far a judge succeeds on each labelled pair, in halves: 0, 1 or 2.

    :param source: what the verdicts are called in errors
    :raises DataError: as ``paired_difference``
    """
    return _successes(collect(pairs, verdicts, source), metric, source)


def _successes(outcomes: LabelledVerdicts, metric: PairMetric, source: str) -> list[int]:
    needed: Sequence[Order] = {"accuracy_ab": ORDERS[:1], "accuracy_ba": ORDERS[1:]}.get(metric, ORDERS)
    for order in needed:
        if order not in outcomes.verdicts:
            raise DataError(f"{metric} needs verdicts of order {order}, there is none", file=source, field="order")
    answers = zip(*(outcomes.verdicts[order] for order in needed), strict=True)
    if metric == "accuracy":
        return [sum(one == right for one in given) for right, given in zip(outcomes.gold, answers, strict=True)]
    wanted = outcomes.verdicts["ab"] if metric == "consistency" else outcomes.gold
    return [PARTS * all(one == right != INVALID for one in given) for right, given in zip(wanted, answers, strict=True)]


def judge_agreement(
    pairs: Iterable[ResponsePair],
    first: Iterable[VerdictRow],
    second: Iterable[VerdictRow],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> PairAgreement:
    """Agreement of two judges on the same pairs and orders, sample 0 of each, labelled or not.

    Where either gave no verdict the two cannot be compared; such rows are left out, and so are unknown pairs.
    """
    clusters = {pair.id: pair.cluster for pair in pairs}
    ours, theirs = (
        {(row.id, row.order): CODES[row.verdict] for row in rows if row.sample == 0 and row.verdict is not None}
        for rows in (first, second)
    )
    both = [key for key in ours if key in theirs and key[0] in clusters]
    names = (clusters[key[0]] for key in both)
    return table_agreement(names, ((ours[key], theirs[key]) for key in both), len(VERDICTS), resamples, seed)
