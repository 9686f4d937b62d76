"""Whether probabilities mean what they say: calibration of a binary forecast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from judgekit.stats.bootstrap import Estimate, FloatArray, estimate_ratio, interval, resample, sum_clusters


@dataclass(frozen=True, slots=True)
class Bin:
    """Forecasts whose confidence lies in (low, high], the lowest bin with its lower end.

    :param confidence: their mean confidence, None without any
    :param accuracy: with its interval; its n counts the forecasts of the bin
    """

    low: float
    high: float
    confidence: float | None
    accuracy: Estimate

    @property
    def n(self) -> int:
        """Forecasts in the bin."""
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


def measure_calibration(
    names: list[str], p: Sequence[float], label: Sequence[bool], bins: int, resamples: int, seed: int
) -> Calibration:
    """Calibration of probabilities that something holds.

    At 1/2 neither outcome is likelier and accuracy counts one half.

    :param names: the cluster of each probability
    :param label: whether it does hold
    :param bins: equal bins of confidence between 0 and 1
    """
    p_N, label_N = np.array(p, dtype=np.float64), np.array(label, dtype=np.float64)
    confidence_N = np.maximum(p_N, 1 - p_N)
    right_N = np.where(p_N == 0.5, 0.5, (p_N > 0.5) == (label_N == 1))
    ones_N = np.ones(len(p_N))
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
