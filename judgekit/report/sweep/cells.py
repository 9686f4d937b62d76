"""Means over the runs of a sweep, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from judgekit.report.results_table import METRICS, percent
from judgekit.report.sweep.study import SEED, MeasuredRun

Z95 = 0.975

RATES = {*METRICS, "accuracy_ab", "accuracy_ba", "tie_rate", "pairwise_accuracy", "exact_match"}
"""Metrics that are shares, and shown in percent."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The mean of a metric over runs.

    :param low: lower end of the 95 % interval, None where nothing is known of it; ``high`` the upper
    :param runs: how many it is of; ``seeds`` how many different seeds they have
    """

    mean: float
    low: float | None
    high: float | None
    runs: int
    seeds: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends, or None."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def cell(runs: Sequence[MeasuredRun], metric: str) -> Cell | None:
    """Mean of a metric over runs, None where none of them has it.

    With several seeds the interval is Student's t over the seeds' means; of a single run it is that of the run, over
    its pairs; otherwise there is none.
    """
    known = [(run, rate) for run in runs if (rate := run.rate(metric)).value is not None]
    if not known:
        return None
    by_seed: dict[object, list[float]] = {}
    for run, rate in known:
        by_seed.setdefault(run.values.get(SEED), []).append(rate.value or 0.0)
    means = [fmean(values) for values in by_seed.values()]
    mean = fmean(means)
    if len(means) > 1:
        low, high = within(t_interval(means), metric)
        return Cell(mean, low, high, len(known), len(means))
    rate = known[0][1]
    ends = (rate.low, rate.high) if len(known) == 1 else (None, None)
    return Cell(mean, *ends, runs=len(known), seeds=1)


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """Student's 95 % interval of the mean of two values or more."""
    from scipy.special import stdtrit

    half = float(stdtrit(len(values) - 1, Z95)) * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def within(ends: tuple[float, float], metric: str) -> tuple[float, float]:
    """An interval cut to what a rate can be."""
    return (max(0.0, ends[0]), min(1.0, ends[1])) if metric in RATES else ends


def shown(value: float | None, metric: str) -> str:
    """A metric as it is read: rates in percent."""
    if metric in RATES:
        return percent(value)
    return "–" if value is None else f"{value:.3f}"


def shown_cell(found: Cell | None, metric: str, interval: bool = True) -> str:
    """Such as ``71.2 [60.1, 80.3]``."""
    if found is None:
        return "–"
    ends = found.interval if interval else None
    both = "" if ends is None else f" [{shown(ends[0], metric)}, {shown(ends[1], metric)}]"
    return shown(found.mean, metric) + both
