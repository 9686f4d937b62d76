"""What the report draws of a benchmark's verdicts: scores, probabilities, repeated samples, agreement of judges.

Every number has its interval and what it rests on. A figure that does not apply is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

from judgekit.evaluation.judge_comparison import judge_agreement
from judgekit.evaluation.verdict_calibration import calibrate
from judgekit.evaluation.voting import majority_curve
from judgekit.report.charts import Bars, Plot, PlotPoint, bars, number, plot
from judgekit.report.judged_benchmark import JudgedBenchmark
from judgekit.report.results_table import percent
from judgekit.rows import ResponsePair
from judgekit.stats.agreement import PairAgreement
from judgekit.stats.bootstrap import Estimate
from judgekit.verdict_rows import VerdictRow

T = TypeVar("T")

MOST_BARS = 12
"""Different scores that get a bar each; more are counted in ten equal intervals."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """The scores one judge gave to all responses, sample 0 of each order.

    :param n: scores
    """

    judge: str
    n: int
    chart: Bars


@dataclass(frozen=True, slots=True)
class Reliability:
    """How often one judge is right by how sure it is.

    :param rows: interval of confidence, mean confidence and accuracy of each bin that holds verdicts
    """

    judge: str
    ece: Estimate
    overconfidence: Estimate
    chart: Plot
    rows: tuple[tuple[str, float, Estimate], ...]


@dataclass(frozen=True, slots=True)
class Votes:
    """Accuracy of one judge's majority verdict over k samples.

    :param rows: k and the accuracy
    """

    judge: str
    chart: Plot
    rows: tuple[tuple[int, Estimate], ...]


@dataclass(frozen=True, slots=True)
class AgreementMatrix:
    """How far the judges say the same, in the run's order.

    :param cells: by both judges' places, the first the smaller
    """

    judges: tuple[str, ...]
    cells: dict[tuple[int, int], PairAgreement]


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one benchmark."""

    scores: tuple[Histogram, ...]
    reliability: tuple[Reliability, ...]
    votes: tuple[Votes, ...]
    agreement: AgreementMatrix | None


def draw_figures(benchmark: JudgedBenchmark) -> Figures:
    """All figures of a benchmark that its verdicts allow."""
    judged = {judge: rows for judge, rows in benchmark.verdicts.items() if rows}
    return Figures(
        scores=_known(histogram(judge, rows) for judge, rows in judged.items()),
        reliability=_known(reliability(judge, benchmark.pairs, rows) for judge, rows in judged.items()),
        votes=_known(votes(judge, benchmark.pairs, rows) for judge, rows in judged.items()),
        agreement=agreement(benchmark) if len(judged) > 1 else None,
    )


def _known(found: Iterable[T | None]) -> tuple[T, ...]:
    return tuple(one for one in found if one is not None)


def histogram(judge: str, rows: Sequence[VerdictRow]) -> Histogram | None:
    """How often the judge gave which score, None when it gave none."""
    first = [row for row in rows if row.sample == 0]
    scores = [score for row in first for score in (row.score_a, row.score_b) if score is not None]
    if not scores:
        return None
    return Histogram(judge, len(scores), bars(_counts(scores)))


def _counts(scores: Sequence[float]) -> list[tuple[str, int]]:
    held = Counter(scores)
    if len(held) <= MOST_BARS:
        return [(number(score), held[score]) for score in sorted(held)]
    low, high = min(scores), max(scores)
    places = Counter(min(9, int(10 * (score - low) / (high - low))) for score in scores)
    return [(number(low + (high - low) * place / 10), places[place]) for place in range(10)]


def reliability(judge: str, pairs: Sequence[ResponsePair], rows: Sequence[VerdictRow]) -> Reliability | None:
    """Accuracy by confidence max(P(A), 1 - P(A)), None without P(A) on a labelled pair."""
    found = calibrate(pairs, rows)
    held = [(bin.low, bin.high, bin.confidence, bin.accuracy) for bin in found.bins if bin.confidence is not None]
    if not held:
        return None
    points = [
        PlotPoint(
            confidence, accuracy.value or 0.0, accuracy.ci95, f"confidence {percent(confidence)}: {shown(accuracy)}"
        )
        for _, _, confidence, accuracy in held
    ]
    return Reliability(
        judge=judge,
        ece=found.ece,
        overconfidence=found.overconfidence,
        chart=plot(points, [0.5, 0.6, 0.7, 0.8, 0.9, 1.0], x_percent=True, diagonal=True),
        rows=tuple(
            (f"{percent(low)} to {percent(high)}", confidence, accuracy) for low, high, confidence, accuracy in held
        ),
    )


def votes(judge: str, pairs: Sequence[ResponsePair], rows: Sequence[VerdictRow]) -> Votes | None:
    """Accuracy of the majority over samples, None for a single sample or no labels."""
    if len({row.sample for row in rows}) < 2 or not any(pair.label for pair in pairs):
        return None
    curve = majority_curve(pairs, rows)
    sizes = [point.samples for point in curve]
    points = [
        PlotPoint(
            point.samples, point.estimate.value or 0.0, point.estimate.ci95, f"{point.samples}: {shown(point.estimate)}"
        )
        for point in curve
    ]
    ticks = sizes if len(sizes) <= 6 else [sizes[0], sizes[len(sizes) // 2], sizes[-1]]
    return Votes(judge, plot(points, ticks), tuple((point.samples, point.estimate) for point in curve))


def agreement(benchmark: JudgedBenchmark) -> AgreementMatrix:
    """Each judge with each other."""
    judges = tuple(judge for judge, rows in benchmark.verdicts.items() if rows)
    return AgreementMatrix(
        judges,
        {
            (one, two): judge_agreement(
                benchmark.pairs, benchmark.verdicts[judges[one]], benchmark.verdicts[judges[two]]
            )
            for one, two in combinations(range(len(judges)), 2)
        },
    )


def shown(estimate: Estimate) -> str:
    """A rate in percent with interval and n, such as ``71.2 [60.1, 80.3], n 80``; a dash where there is none."""
    if estimate.value is None:
        return f"–, n {estimate.n}"
    interval = "" if estimate.ci95 is None else f" [{percent(estimate.ci95[0])}, {percent(estimate.ci95[1])}]"
    return f"{percent(estimate.value)}{interval}, n {estimate.n}"
