"""How good a judge is: agreement with gold labels, consistency over response orders, position bias.

Every metric is a function of one table: the number of pairs by gold label, verdict when response_a was shown first
(order ``ab``) and verdict when response_b was (``ba``). The table is therefore the sufficient statistic that the
bootstrap resamples. Verdicts name responses, not positions.

Shapes: G gold labels (A, B, tie), V outcomes (A, B, tie, invalid), R resamples, ``...`` the resamples or nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from judgekit.errors import DataError
from judgekit.evaluation.bootstrap import FloatArray, gather, interval, resample
from judgekit.evaluation.verdicts import VerdictRow
from judgekit.rows import ORDERS, VERDICTS, Order, ResponsePair

MetricValue: TypeAlias = float | list[float] | None
PairMetric = Literal["accuracy_ab", "accuracy_ba", "consistent_accuracy", "consistency"]

RATES = (
    "accuracy", "accuracy_ab", "accuracy_ba", "consistent_accuracy", "consistency", "first_position_rate",
    "delta_bias", "tie_rate", "invalid_rate", "accuracy_low", "accuracy_high",
    "precision_macro", "recall_macro", "f1_macro", "precision_weighted", "recall_weighted", "f1_weighted",
    "cohen_kappa",
)  # fmt: skip
"""Metrics in report order; each has an interval under ``NAME_ci95``."""
SIGNED = ("delta_bias", "cohen_kappa")
MISSING = "missing"
"""Invalid reason of a pair without a row in an order that was judged."""

A, B, TIE, INVALID = range(4)
CODES: Mapping[str | None, int] = {**{name: code for code, name in enumerate(VERDICTS)}, None: INVALID}
TABLE = (3, 4, 4)
CELLS = 48


@dataclass(frozen=True, slots=True)
class Scores:
    """Metrics of a judge on labelled pairs.

    :param overall: metric name to number, ``[low, high]`` or None where the metric does not apply
    :param subsets: the same for each subset; pairs without one count in ``overall`` only
    :param invalid_reasons: verdict rows without a verdict, by reason, over labelled pairs
    """

    overall: dict[str, MetricValue]
    subsets: dict[str, dict[str, MetricValue]]
    invalid_reasons: dict[str, int]

    def to_json(self) -> dict[str, object]:
        """The object ``judgekit score`` prints."""
        return {"overall": self.overall, "subsets": self.subsets}


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric of one judge minus that of another on the same pairs.

    :param ci95: interval of the difference, bootstrap over the clusters of pairs
    :param p_value: exact McNemar test on the pairs where just one of the judges succeeds; it takes pairs as
        independent, so trust the interval where clusters hold several pairs
    :param only_a: pairs where only the first judge succeeds; ``only_b`` likewise
    """

    metric: str
    difference: float
    ci95: tuple[float, float]
    p_value: float
    n: int
    only_a: int
    only_b: int


@dataclass(frozen=True, slots=True)
class _Outcomes:
    """Codes of labelled pairs: ``gold`` and, for each order that was judged, the verdict of each pair."""

    pairs: list[ResponsePair]
    gold: list[int]
    verdicts: dict[Order, list[int]]
    reasons: Counter[str]


def score(
    pairs: Iterable[ResponsePair],
    verdicts: Iterable[VerdictRow],
    *,
    resamples: int = 1000,
    seed: int = 0,
    invalid_as: Literal["tie"] | None = None,
) -> Scores:
    """Measure verdicts against gold labels, overall and for each subset.

    Sample 0 of each pair and order is measured. Pairs without a label are left out and counted under
    ``unlabelled``. An order counts as judged when the verdicts hold any row of it; a pair without a row in a
    judged order is invalid with reason ``missing``. With one order judged, metrics of both orders are None.

    :param resamples: bootstrap resamples of the intervals
    :param invalid_as: ``tie`` counts an invalid verdict as the verdict tie, as the releases of PandaLM and JudgeLM
        do; ``invalid_rate``, ``accuracy_low`` and ``accuracy_high`` still tell it apart
    :raises DataError: for repeated pair ids, verdicts on unknown pairs, two rows for one (id, order, sample)
    """
    pairs = list(pairs)
    outcomes = _collect(pairs, verdicts)
    scopes: dict[str, list[int]] = {}
    for index, pair in enumerate(outcomes.pairs):
        if pair.subset is not None:
            scopes.setdefault(pair.subset, []).append(index)
    unlabelled = Counter(pair.subset for pair in pairs if pair.label is None)
    names = sorted({pair.subset for pair in pairs if pair.subset is not None})

    def measured(indices: Sequence[int], left_out: int) -> dict[str, MetricValue]:
        values = _score_scope(outcomes, indices, resamples, seed, invalid_as == "tie")
        return {"n": len(indices), "unlabelled": left_out, **values}

    return Scores(
        overall=measured(range(len(outcomes.pairs)), unlabelled.total()),
        subsets={name: measured(scopes.get(name, []), unlabelled[name]) for name in names},
        invalid_reasons=dict(sorted(outcomes.reasons.items())),
    )


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

    :param metric: a metric that is a share of pairs, so that each judge succeeds or fails on each pair
    :raises DataError: as ``score`` does, and when no pair is labelled or a needed order was not judged
    :raises ValueError: for another metric
    """
    if metric not in get_args(PairMetric):
        raise ValueError(f"'{metric}' is not a share of pairs; choose one of {', '.join(get_args(PairMetric))}")
    from scipy.stats import binomtest

    pairs = list(pairs)
    first = _successes(_collect(pairs, verdicts_a, "first verdicts"), metric, "first verdicts")
    second = _successes(_collect(pairs, verdicts_b, "second verdicts"), metric, "second verdicts")
    labelled = [pair for pair in pairs if pair.label is not None]
    if not labelled:
        raise DataError("no pair has a label, so there is nothing to compare", file="gold pairs", field="label")

    cells = [2 * won_a + won_b for won_a, won_b in zip(first, second, strict=True)]
    clusters = gather((pair.cluster for pair in labelled), cells, width=4)
    tables = resample(clusters, resamples, seed)
    total = clusters.total_C
    only_b, only_a = int(total[1]), int(total[2])
    difference = (only_a - only_b) / len(labelled)
    replicates = (tables[:, 2] - tables[:, 1]) / tables.sum(axis=1)
    return Difference(
        metric=metric,
        difference=difference,
        ci95=interval(difference, replicates, clusters.count(), signed=True),
        p_value=float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0,
        n=len(labelled),
        only_a=only_a,
        only_b=only_b,
    )


def _collect(pairs: Sequence[ResponsePair], rows: Iterable[VerdictRow], source: str = "verdicts") -> _Outcomes:
    labels: dict[str, str | None] = {}
    for number, pair in enumerate(pairs, start=1):
        if pair.id in labels:
            message = f"'{pair.id}' appears twice; give every pair its own id"
            raise DataError(message, file="gold pairs", line=number, field="id")
        labels[pair.id] = pair.label

    answers: dict[tuple[str, str], VerdictRow] = {}
    orders: set[str] = set()
    others: set[tuple[str, str, int]] = set()
    for number, row in enumerate(rows, start=1):
        if row.id not in labels:
            message = f"there is no gold pair '{row.id}'; score the verdicts against the pairs that were judged"
            raise DataError(message, file=source, line=number, field="id")
        key = (row.id, row.order)
        if (key in answers) if row.sample == 0 else ((*key, row.sample) in others):
            message = f"pair '{row.id}' has two rows of order {row.order}, sample {row.sample}; keep one"
            raise DataError(message, file=source, line=number, field="sample")
        if row.sample == 0:
            answers[key] = row
        else:
            others.add((*key, row.sample))
        orders.add(row.order)

    labelled = [pair for pair in pairs if pair.label is not None]
    outcomes = _Outcomes(labelled, [CODES[pair.label] for pair in labelled], {}, Counter())
    for order in ORDERS:
        if order in orders:
            found = [answers.get((pair.id, order)) for pair in labelled]
            outcomes.verdicts[order] = [INVALID if row is None else CODES[row.verdict] for row in found]
            outcomes.reasons.update(_reason(row) for row in found if row is None or row.verdict is None)
    return outcomes


def _reason(row: VerdictRow | None) -> str:
    return MISSING if row is None else row.invalid or "unstated"


def _successes(outcomes: _Outcomes, metric: PairMetric, source: str) -> list[bool]:
    needed: tuple[Order, ...] = {"accuracy_ab": ORDERS[:1], "accuracy_ba": ORDERS[1:]}.get(metric, ORDERS)
    for order in needed:
        if order not in outcomes.verdicts:
            raise DataError(f"{metric} needs verdicts of order {order}, there is none", file=source, field="order")
    wanted = outcomes.verdicts["ab"] if metric == "consistency" else outcomes.gold
    answers = zip(*(outcomes.verdicts[order] for order in needed), strict=True)
    return [all(answer == right != INVALID for answer in given) for right, given in zip(wanted, answers, strict=True)]


def _score_scope(
    outcomes: _Outcomes, indices: Sequence[int], resamples: int, seed: int, invalid_is_tie: bool
) -> dict[str, MetricValue]:
    """Metrics and intervals of some of the labelled pairs."""
    orders = tuple(outcomes.verdicts)
    empty: dict[str, MetricValue] = {name + end: None for name in RATES for end in ("", "_ci95")}
    if not indices or not orders:
        return empty
    # An order that was not judged fills an arbitrary slice: no metric of the other order looks at it.
    unjudged = [INVALID] * len(outcomes.gold)
    ab, ba = (outcomes.verdicts.get(order, unjudged) for order in ORDERS)
    cells = [16 * outcomes.gold[index] + 4 * ab[index] + ba[index] for index in indices]
    clusters = gather((outcomes.pairs[index].cluster for index in indices), cells, CELLS)

    tables = np.concatenate([clusters.total_C[None], resample(clusters, resamples, seed)]).reshape(-1, *TABLE)
    rates = measure(tables, orders, invalid_is_tie)
    counts = dict.fromkeys(RATES, clusters.count())
    counts["first_position_rate"] = clusters.count(_decided(orders))
    for name, values in rates.items():
        if np.isnan(values[0]):
            continue
        value = float(values[0])
        low, high = interval(value, values[1:], counts[name], signed=name in SIGNED)
        if name == "delta_bias":
            value, low, high = abs(value), max(0.0, low, -high), max(-low, high)
        empty[name], empty[name + "_ci95"] = value, [low, high]
    return empty


def _decided(orders: Sequence[Order]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Cells of the flat table with a valid verdict other than tie in an order that was judged."""
    _, ab, ba = np.indices(TABLE).reshape(3, CELLS)
    found = np.zeros(CELLS, dtype=np.bool_)
    for order, verdict in (("ab", ab), ("ba", ba)):
        if order in orders:
            found |= verdict <= B
    return found


def measure(table_GVV: FloatArray, orders: Sequence[Order], invalid_is_tie: bool = False) -> dict[str, FloatArray]:
    """All rates from the table of pair counts, NaN where undefined; metrics that do not apply are left out.

    - ``accuracy_ab``, ``accuracy_ba``: correct / pairs (an invalid verdict is not correct); ``accuracy``: their mean
    - ``accuracy_low``, ``accuracy_high``: accuracy with invalid verdicts counted wrong, right
    - ``consistent_accuracy``: correct in both orders / pairs; ``consistency``: same valid verdict in both / pairs
    - ``first_position_rate``: of valid verdicts other than tie, those naming the response shown first
    - ``delta_bias``: (pairs biased to the first position - to the second) / pairs, here with its sign. With 1, -1, 0
      for the first shown response, the second, a tie, a pair is biased to the first when the two orders' verdicts
      sum to more than 0 (JudgeLM, evaluation code); a pair with an invalid verdict is biased to neither
    - ``tie_rate``, ``invalid_rate``: of all verdicts; ties apply where a label or a verdict is a tie
    - precision, recall and F1 over all verdicts, averaged over the classes that occur as label or verdict
      (``macro``) or weighted by label counts (``weighted``); an invalid verdict is of no class, so it lowers recall
      only; 0/0 is 0
    - ``cohen_kappa``: chance-corrected agreement with the labels (Cohen 1960), an invalid verdict agreeing with none

    :param table_GVV: pair counts, (..., 3 labels, 4 outcomes of ``ab``, 4 outcomes of ``ba``)
    :param orders: orders that were judged
    """
    asked_GVV = table_GVV
    if invalid_is_tie:
        table_GVV = _fold_invalid(table_GVV)
    margins = {"ab": table_GVV.sum(axis=-1), "ba": table_GVV.sum(axis=-2)}
    asked = {"ab": asked_GVV.sum(axis=-1), "ba": asked_GVV.sum(axis=-2)}
    pooled_GV = np.sum([margins[order] for order in orders], axis=0)
    asked_GV = np.sum([asked[order] for order in orders], axis=0)
    total = pooled_GV.sum(axis=(-2, -1))

    pairs = table_GVV.sum(axis=(-3, -2, -1))
    rates = {f"accuracy_{order}": _share(_correct(margins[order]), pairs) for order in orders}
    rates["accuracy"] = _share(_correct(pooled_GV), total)
    invalid = asked_GV[..., INVALID].sum(axis=-1)
    rates["invalid_rate"] = _share(invalid, total)
    rates["accuracy_low"] = _share(_correct(asked_GV), total)
    rates["accuracy_high"] = _share(_correct(asked_GV) + invalid, total)
    ties = pooled_GV[..., TIE].sum(axis=-1)
    if (ties + pooled_GV[..., TIE, :].sum(axis=-1)).any():
        rates["tie_rate"] = _share(ties, total)
    first, decided = _positions(margins, orders)
    rates["first_position_rate"] = _share(first, decided)
    if len(orders) == len(ORDERS):
        rates |= _both_orders(table_GVV)
    return rates | _classification(pooled_GV)


def _fold_invalid(table_GVV: FloatArray) -> FloatArray:
    folded = table_GVV.copy()
    folded[..., TIE, :] += folded[..., INVALID, :]
    folded[..., INVALID, :] = 0
    folded[..., :, TIE] += folded[..., :, INVALID]
    folded[..., :, INVALID] = 0
    return folded


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(whole > 0, part / whole, np.nan), dtype=np.float64)


def _correct(margin_GV: FloatArray) -> FloatArray:
    return np.asarray(np.trace(margin_GV[..., :INVALID], axis1=-2, axis2=-1), dtype=np.float64)


def _positions(margins: Mapping[str, FloatArray], orders: Sequence[Order]) -> tuple[FloatArray, FloatArray]:
    """Verdicts naming the response shown first, and all that name one response."""
    shown_first = {"ab": A, "ba": B}
    first = np.sum([margins[order][..., shown_first[order]].sum(axis=-1) for order in orders], axis=0)
    decided = np.sum([margins[order][..., (A, B)].sum(axis=(-2, -1)) for order in orders], axis=0)
    return first, decided


def _both_orders(table_GVV: FloatArray) -> dict[str, FloatArray]:
    n = table_GVV.sum(axis=(-3, -2, -1))
    verdicts_VV = table_GVV.sum(axis=-3)
    classes = (A, B, TIE)
    right = np.sum([table_GVV[..., code, code, code] for code in classes], axis=0)
    same = np.sum([verdicts_VV[..., code, code] for code in classes], axis=0)
    # In order ab the first position holds A, in order ba it holds B.
    value_ab, value_ba = np.array([1, -1, 0, 0]), np.array([-1, 1, 0, 0])
    valid = np.array([1, 1, 1, 0])
    lean_VV = np.sign(value_ab[:, None] + value_ba) * valid[:, None] * valid
    return {
        "consistent_accuracy": _share(right, n),
        "consistency": _share(same, n),
        "delta_bias": _share((verdicts_VV * lean_VV).sum(axis=(-2, -1)), n),
    }


def _classification(pooled_GV: FloatArray) -> dict[str, FloatArray]:
    hits_G = np.diagonal(pooled_GV[..., :INVALID], axis1=-2, axis2=-1)
    gold_G = pooled_GV.sum(axis=-1)
    named_G = pooled_GV[..., :INVALID].sum(axis=-2)
    parts = {
        "precision": np.nan_to_num(_share(hits_G, named_G)),
        "recall": np.nan_to_num(_share(hits_G, gold_G)),
        "f1": np.nan_to_num(_share(2 * hits_G, gold_G + named_G)),
    }
    occurs_G = (gold_G + named_G) > 0
    total = gold_G.sum(axis=-1)
    rates = {}
    for name, values_G in parts.items():
        rates[f"{name}_macro"] = _share((values_G * occurs_G).sum(axis=-1), occurs_G.sum(axis=-1))
        rates[f"{name}_weighted"] = _share((values_G * gold_G).sum(axis=-1), total)
    agreement = hits_G.sum(axis=-1) * total
    chance = (gold_G * named_G).sum(axis=-1)
    return rates | {"cohen_kappa": _share(agreement - chance, total * total - chance)}
