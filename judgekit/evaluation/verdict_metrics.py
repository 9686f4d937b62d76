"""How good a judge is: all metrics of its verdicts on labelled pairs, with intervals, from ``stats.verdict_rates``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import numpy as np

from judgekit.errors import DataError
from judgekit.evaluation.labelled_verdicts import CODES, LabelledVerdicts, collect
from judgekit.evaluation.merging import merge_orders
from judgekit.rows import ORDERS, ResponsePair
from judgekit.stats.bootstrap import Clusters, Estimate, FloatArray, estimate_ratio, gather, interval, resample
from judgekit.stats.verdict_rates import CELLS, INVALID, TABLE, TIE, decided, measure, measure_merged
from judgekit.verdict_rows import MergeRule, VerdictRow

MetricValue: TypeAlias = float | list[float] | None

RATES = (
    "accuracy", "accuracy_ab", "accuracy_ba", "consistent_accuracy", "consistency", "first_position_rate",
    "delta_bias", "bias_first", "bias_second", "tie_rate", "invalid_rate", "accuracy_low", "accuracy_high",
    "precision_macro", "recall_macro", "f1_macro", "precision_weighted", "recall_weighted", "f1_weighted",
    "cohen_kappa",
)  # fmt: skip
"""Metrics in report order; each has an interval under ``NAME_ci95``."""
SIGNED = ("delta_bias", "cohen_kappa")


@dataclass(frozen=True, slots=True)
class VerdictMetrics:
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


def score(
    pairs: Iterable[ResponsePair],
    verdicts: Iterable[VerdictRow],
    *,
    resamples: int = 1000,
    seed: int = 0,
    invalid_as: Literal["tie"] | None = None,
    merge: MergeRule = "none",
) -> VerdictMetrics:
    """Measure verdicts against gold labels, overall and for each subset.

    Sample 0 of each pair and order is measured (``merging.vote`` makes one of many). Pairs without a label are left
    out and counted under ``unlabelled``. An order counts as judged when the verdicts hold any row of it; a pair
    without a row in a judged order is invalid with reason ``missing``. With one order judged, metrics of both orders
    are None.

    :param resamples: bootstrap resamples of the intervals
    :param invalid_as: ``tie`` counts an invalid verdict as the verdict tie, as the releases of PandaLM and JudgeLM
        do; ``invalid_rate``, ``accuracy_low`` and ``accuracy_high`` still tell it apart
    :param merge: rule that makes one verdict of both orders (``merging``); the metrics that compare verdicts with
        labels are then those of the merged verdicts, the metrics of single orders and of position stay
    :raises DataError: for repeated pair ids, verdicts on unknown pairs, two rows for one (id, order, sample), and
        when verdicts of one order only are to be merged
    """
    pairs = list(pairs)
    if merge != "none":
        verdicts = list(verdicts)
    outcomes = collect(pairs, verdicts)
    tie = invalid_as == "tie"
    scope = _scope(outcomes, resamples, seed, tie)
    merged = scope if merge == "none" else _merged_scope(outcomes, verdicts, merge, resamples, seed, tie)

    def measured(indices: Sequence[int], left_out: int) -> dict[str, MetricValue]:
        values = scope(indices)
        if merge != "none":
            values |= {name: value for name, value in merged(indices).items() if name.removesuffix("_ci95") in MERGED}
        return {"n": len(indices), "unlabelled": left_out, **values}

    scopes: dict[str, list[int]] = {}
    for index, pair in enumerate(outcomes.pairs):
        if pair.subset is not None:
            scopes.setdefault(pair.subset, []).append(index)
    unlabelled = Counter(pair.subset for pair in pairs if pair.label is None)
    names = sorted({pair.subset for pair in pairs if pair.subset is not None})
    return VerdictMetrics(
        overall=measured(range(len(outcomes.pairs)), unlabelled.total()),
        subsets={name: measured(scopes.get(name, []), unlabelled[name]) for name in names},
        invalid_reasons=dict(sorted(outcomes.reasons.items())),
    )


MERGED = (
    "accuracy", "tie_rate", "invalid_rate", "accuracy_low", "accuracy_high",
    "precision_macro", "recall_macro", "f1_macro", "precision_weighted", "recall_weighted", "f1_weighted",
    "cohen_kappa",
)  # fmt: skip
"""Metrics that compare verdicts with labels, and so are those of merged verdicts where there are any."""

Measure: TypeAlias = Callable[[FloatArray], dict[str, FloatArray]]
Scope: TypeAlias = Callable[[Sequence[int]], dict[str, MetricValue]]


def _scope(outcomes: LabelledVerdicts, resamples: int, seed: int, invalid_is_tie: bool) -> Scope:
    """Metrics of some of the labelled pairs, by their places."""
    orders = tuple(outcomes.verdicts)
    # An order that was not judged fills an arbitrary slice: no metric of the other order looks at it.
    unjudged = bytes([INVALID]) * len(outcomes.gold)
    ab, ba = (np.frombuffer(bytes(outcomes.verdicts.get(order, unjudged)), dtype=np.uint8) for order in ORDERS)
    cells = 16 * np.frombuffer(bytes(outcomes.gold), dtype=np.uint8) + 4 * ab + ba
    counted = {"first_position_rate": decided(orders)}
    rates = partial(measure, orders=orders, invalid_is_tie=invalid_is_tie)

    def scope(indices: Sequence[int]) -> dict[str, MetricValue]:
        if not indices or not orders:
            return dict.fromkeys(name + end for name in RATES for end in ("", "_ci95"))
        names = (outcomes.pairs[index].cluster for index in indices)
        return _measured(gather(names, cells[indices].tolist(), CELLS), rates, counted, resamples, seed)

    return scope


def _merged_scope(
    outcomes: LabelledVerdicts,
    verdicts: Iterable[VerdictRow],
    rule: MergeRule,
    resamples: int,
    seed: int,
    invalid_is_tie: bool,
) -> Scope:
    """The same of verdicts merged over both orders."""
    if len(outcomes.verdicts) < len(ORDERS):
        message = f"merging by '{rule}' needs verdicts of both orders, ab and ba; judge both, or do not merge"
        raise DataError(message, file="verdicts", field="order")
    rows = list(verdicts)
    strict = merge_orders(rows, rule)
    folded = merge_orders(rows, rule, invalid_as="tie") if invalid_is_tie else strict
    cells = [
        16 * label + 4 * CODES[strict[pair.id].verdict] + CODES[folded[pair.id].verdict]
        if pair.id in strict
        else 16 * label + 4 * INVALID + (CODES["tie"] if invalid_is_tie else INVALID)
        for pair, label in zip(outcomes.pairs, outcomes.gold, strict=True)
    ]

    def scope(indices: Sequence[int]) -> dict[str, MetricValue]:
        if not indices:
            return dict.fromkeys(name + end for name in RATES for end in ("", "_ci95"))
        clusters = gather(
            (outcomes.pairs[index].cluster for index in indices), (cells[index] for index in indices), CELLS
        )
        return _measured(clusters, measure_merged, {}, resamples, seed)

    return scope


def _measured(
    clusters: Clusters, rates: Measure, counted: Mapping[str, np.ndarray[tuple[int], np.dtype[np.bool_]]],
    resamples: int, seed: int,
) -> dict[str, MetricValue]:  # fmt: skip
    """Metrics and intervals of a table.

    :param counted: for metrics of some cells only, those cells
    """
    found: dict[str, MetricValue] = {name + end: None for name in RATES for end in ("", "_ci95")}
    tables = np.concatenate([clusters.total_C[None], resample(clusters, resamples, seed)]).reshape(-1, *TABLE)
    for name, values in rates(tables).items():
        if np.isnan(values[0]):
            continue
        value = float(values[0])
        count = clusters.count(counted.get(name))
        low, high = interval(value, values[1:], count, signed=name in SIGNED)
        if name == "delta_bias":
            value, low, high = abs(value), max(0.0, low, -high), max(-low, high)
        found[name], found[name + "_ci95"] = value, [low, high]
    return found


@dataclass(frozen=True, slots=True)
class TieAgreement:
    """Agreement with the labels where ties are not simply right or wrong.

    :param tie_half: share of valid verdicts that agree, one half where just one of verdict and label is a tie
    :param ties_dropped: the same among rows where neither is a tie
    """

    tie_half: Estimate
    ties_dropped: Estimate


def tie_agreement(
    pairs: Iterable[ResponsePair], verdicts: Iterable[VerdictRow], *, resamples: int = 1000, seed: int = 0
) -> TieAgreement:
    """Agreement with ties as one half and with ties dropped, as Meta-Rewarding's Tables 3 and 7 report it.

    All orders that were judged count; invalid verdicts are left out, ``score`` reports how many there are.
    """
    outcomes = collect(list(pairs), verdicts)
    names: list[str] = []
    halves: list[float] = []
    firm: list[float] = []
    for codes in outcomes.verdicts.values():
        for pair, label, said in zip(outcomes.pairs, outcomes.gold, codes, strict=True):
            if said != INVALID:
                names.append(pair.cluster)
                halves.append(float(said == label) if said == label or TIE not in (said, label) else 0.5)
                firm.append(float(TIE not in (said, label)))
    right = [half * counts for half, counts in zip(halves, firm, strict=True)]
    return TieAgreement(
        tie_half=estimate_ratio(names, halves, [1.0] * len(names), resamples, seed),
        ties_dropped=estimate_ratio(names, right, firm, resamples, seed),
    )
