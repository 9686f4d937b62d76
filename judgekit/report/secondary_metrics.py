"""Measures beside those of the results table: sections of a benchmark, correlations, calibration, votes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_NAMES = re.compile(
    r"sections/(?!missing/).+|(pooled|text|system)_(pearson|spearman|kendall)|pairwise_accuracy|exact_match|five_best"
    r"|central_tendency|spread|(consistent_)?accuracy_at_\d+|ece|brier|overconfidence|flip_rate"
)


@dataclass(frozen=True, slots=True)
class SecondaryMetric:
    """One measure of one judge.

    :param measure: with its subset before it, where it is of one
    :param low: lower end of the 95 % interval, None where there is none; ``high`` the upper
    """

    judge: str
    benchmark: str
    measure: str
    value: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        """Such as ``0.512 [0.431, 0.598]``."""
        interval = "" if self.low is None or self.high is None else f" [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.value:.3f}{interval}"


def secondary_metrics(
    metrics: Mapping[str, float | None], judges: Sequence[str], benchmarks: Sequence[str]
) -> list[SecondaryMetric]:
    """The rows by benchmark, then judge, then measure, in the order of the numbers.

    :param metrics: flat names to numbers, as in ``metrics.json``
    """
    rows = []
    for benchmark in benchmarks:
        for judge in judges:
            prefix = f"eval/{judge}/{benchmark}/"
            for name, value in metrics.items():
                measure = name.removeprefix(prefix)
                if value is None or measure == name or not _is_secondary(measure):
                    continue
                low, high = (metrics.get(f"{name}_ci95_{end}") for end in ("low", "high"))
                rows.append(SecondaryMetric(judge, benchmark, _words(measure), value, low, high))
    return rows


def _is_secondary(measure: str) -> bool:
    if measure.endswith(("_ci95_low", "_ci95_high")):
        return False
    return any(_NAMES.fullmatch(part) for part in (measure, measure.rpartition("/")[2]))


def _words(measure: str) -> str:
    return measure.removeprefix("sections/").replace("_", " ").replace("/", ": ")
