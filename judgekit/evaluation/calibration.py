"""Whether a judge's probabilities mean what they say, from P(A) of constrained verdicts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from judgekit.evaluation.verdicts import VerdictRow
from judgekit.rows import ORDERS, ResponsePair, Verdict
from judgekit.stats.bootstrap import Estimate, FloatArray, estimate_ratio, interval, resample, sum_clusters


@dataclass(frozen=True, slots=True)
class Bin:
    """Verdicts whose confidence lies in (low, high], the lowest bin with its lower end.

    :param confidence: their mean confidence, None without verdicts
    :param accuracy: with its interval; its n counts the verdicts of the bin
    """

    low: float
    high: float
    confidence: float | None
    accuracy: Estimate

    @property
    def n(self) -> int:
        """Verdicts in the bin."""
        return self.accuracy.n


@dataclass(frozen=True, slots=True)
class Calibration:
    """How confidence, max(P(A), 1 - P(A)), and accuracy of the likelier verdict go together.

    :param ece: expected calibration error, mean distance of confidence and accuracy over bins (Guo et al. 2017, eq. 3)
    :param brier: mean squared distance of P(A) from the label (Brier 1950)
    :param overconfidence: mean confidence minus accuracy; negative: the judge doubts too much
    :param bins: the reliability diagram
    """

    ece: Estimate
    brier: Estimate
    overconfidence: Estimate
    bins: tuple[Bin, ...]


def calibrate(
    pairs: Iterable[ResponsePair],
    verdicts: Iterable[VerdictRow],
    bins: int = 10,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Calibration:
    """Calibration over the verdicts with P(A) on pairs whose label is A or B; sample 0 of each order.

    At P(A) = 1/2 neither verdict is likelier and accuracy counts one half. The expected calibration error of few
    verdicts is too high even for a calibrated judge; ``overconfidence`` is not.

    :param bins: equal bins of confidence between 0 and 1, so that half of them can hold verdicts
    """
    gold = {pair.id: pair for pair in pairs if pair.label in ("A", "B")}
    known = [row for row in verdicts if row.sample == 0 and row.p_a is not None and row.id in gold]
    names = [gold[row.id].cluster for row in known]
    p_N = np.array([row.p_a for row in known], dtype=np.float64)
    label_N = np.array([gold[row.id].label == "A" for row in known], dtype=np.float64)
    confidence_N = np.maximum(p_N, 1 - p_N)
    right_N = np.where(p_N == 0.5, 0.5, (p_N > 0.5) == (label_N == 1))
    ones_N = np.ones(len(known))
    bin_N = np.clip(np.ceil(confidence_N * bins).astype(int) - 1, 0, bins - 1)
    return Calibration(
        ece=_ece(names, bin_N, np.stack([ones_N, confidence_N, right_N]), bins, resamples, seed),
        brier=estimate_ratio(names, (p_N - label_N) ** 2, ones_N, resamples, seed),
        overconfidence=estimate_ratio(names, confidence_N - right_N, ones_N, resamples, seed, signed=True),
        bins=tuple(
            Bin(
                low=index / bins,
                high=(index + 1) / bins,
                confidence=float(confidence_N[inside_N].mean()) if (inside_N := bin_N == index).any() else None,
                accuracy=estimate_ratio(names, right_N * inside_N, ones_N * inside_N, resamples, seed),
            )
            for index in range(bins)
        ),
    )


def _ece(
    names: list[str], bin_N: np.ndarray[tuple[int], np.dtype[np.int64]], values_CN: FloatArray, bins: int,
    resamples: int, seed: int,
) -> Estimate:  # fmt: skip
    if not names:
        return Estimate(None, None, 0)
    inside_NB = bin_N[:, None] == np.arange(bins)
    clusters = sum_clusters(names, np.concatenate([values[:, None] * inside_NB for values in values_CN], axis=1))
    tables = np.concatenate([clusters.total_C[None], resample(clusters, resamples, seed)]).reshape(-1, 3, bins)
    gaps = np.abs(tables[:, 1] - tables[:, 2]).sum(axis=1) / tables[:, 0].sum(axis=1)
    value = float(gaps[0])
    return Estimate(value, interval(value, gaps[1:], clusters.count()), len(names))


def average_orders(verdicts: Iterable[VerdictRow]) -> list[VerdictRow]:
    """Take position out of the probabilities: every verdict gets the mean of P(A) over both orders.

    Pairs without P(A) in both orders (sample 0) are left out. The rows keep their orders, so that ``score`` can measure
    them; both orders then agree by construction. The verdict is the likelier response, tie at 1/2.
    """
    by_pair: defaultdict[str, dict[str, VerdictRow]] = defaultdict(dict)
    for row in verdicts:
        if row.sample == 0 and row.p_a is not None:
            by_pair[row.id][row.order] = row
    averaged = []
    for rows in by_pair.values():
        if len(rows) == len(ORDERS):
            p_a = sum(row.p_a or 0.0 for row in rows.values()) / len(ORDERS)
            verdict: Verdict = "tie" if p_a == 0.5 else "A" if p_a > 0.5 else "B"
            averaged += [replace(rows[order], verdict=verdict, invalid=None, p_a=p_a) for order in ORDERS]
    return averaged
