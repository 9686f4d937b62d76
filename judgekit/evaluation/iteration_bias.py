"""What an iteration of Meta-Rewarding says about its judge and meta-judge (arXiv 2407.19594, table 5 and §3.4).

Scores and their histogram, lengths, wins by position with ω1 and ω2, how often the meta-judge prefers the judgment with
the higher score, and which position it prefers where scores are equal. Rates are over comparisons with a winner;
intervals resample prompts. What has no score or no winner is counted under its reason and enters no number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from judgekit.preferences.judgment_battles import Contest, PositionWeights
from judgekit.rows import Candidate, Judgment, PointJudgment
from judgekit.stats.bootstrap import Estimate, estimate_ratio

BIN = 0.5
"""Width of the histogram's bins, in points; judges that were asked for whole points come to write 4.75."""


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """The judge's scores of one iteration.

    :param mean: over all valid judgments; ``standard_deviation`` likewise
    :param histogram: lower end of each bin of ``BIN`` points, and how many judgments are in it
    :param invalid: judgments without a score, by reason
    :param drift: mean less that of the first iteration, None in the first
    """

    mean: Estimate
    standard_deviation: float | None
    histogram: tuple[tuple[float, int], ...]
    invalid: dict[str, int]
    drift: float | None = None


@dataclass(frozen=True, slots=True)
class MetaReport:
    """The meta-judge's verdicts of one iteration.

    :param weights: wins by position, and with them ω1 and ω2
    :param first_position: share won by the judgment shown first
    :param higher_score: among judgments of unequal scores, share won by the higher one
    :param equal_score_first: among judgments of equal scores, share won by the one shown first
    :param invalid: comparisons without a winner, by reason
    """

    weights: PositionWeights
    first_position: Estimate
    higher_score: Estimate
    equal_score_first: Estimate
    invalid: dict[str, int]


def report_scores(
    candidates: Iterable[Candidate],
    judgments: Iterable[PointJudgment],
    scale: tuple[float, float],
    first_mean: float | None = None,
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> ScoreReport:
    """The scores an iteration's judge gave.

    :param scale: worst and best score
    :param first_mean: mean score of the first iteration, None if this is it
    """
    prompts = {row.id: row.prompt_id for row in candidates}
    rows = list(judgments)
    valid = [(prompts[row.id], row.score) for row in rows if row.score is not None]
    low, high = scale
    shares = [(score - low) / (high - low) for _, score in valid]
    found = estimate_ratio([name for name, _ in valid], shares, [1.0] * len(valid), resamples, seed)
    mean = _scaled(found, low, high)
    bins = Counter(BIN * (score // BIN) for _, score in valid)
    centre = mean.value or 0.0
    spread = fmean((score - centre) ** 2 for _, score in valid) ** 0.5 if valid else None
    drift = None if first_mean is None or mean.value is None else mean.value - first_mean
    return ScoreReport(mean, spread, tuple(sorted(bins.items())), _reasons(row.invalid for row in rows), drift)


def report_meta(
    contests: Sequence[Contest], verdicts: Iterable[Judgment], *, seed: int = 0, resamples: int = 1000
) -> MetaReport:
    """What the meta-judge preferred.

    :param verdicts: of all comparisons of the contests, in both orders
    """
    compared = {name: (one.candidate.prompt_id, a, b) for one in contests for name, a, b in one.pairs}
    rows = list(verdicts)
    names: list[str] = []
    first_won: list[float] = []
    gaps: list[float] = []
    for row in rows:
        if row.verdict not in ("A", "B"):
            continue
        prompt, a, b = compared[row.id]
        first, second = (a, b) if row.order == "ab" else (b, a)
        assert first.score is not None and second.score is not None
        names.append(prompt)
        first_won.append(float((row.verdict == "A") == (row.order == "ab")))
        gaps.append(first.score - second.score)

    def rate(hits: Iterable[float], counted: Iterable[bool]) -> Estimate:
        held = list(counted)
        values = [hit * one for hit, one in zip(hits, held, strict=True)]
        return estimate_ratio(names, values, map(float, held), resamples, seed)

    wins = int(sum(first_won))
    return MetaReport(
        weights=PositionWeights(wins, len(first_won) - wins),
        first_position=rate(first_won, [True] * len(names)),
        higher_score=rate(
            [float((gap > 0) == (won == 1.0)) for won, gap in zip(first_won, gaps, strict=True)],
            [gap != 0 for gap in gaps],
        ),
        equal_score_first=rate(first_won, [gap == 0 for gap in gaps]),
        invalid=_reasons(row.invalid for row in rows),
    )


def collapse(report: MetaReport, higher_score: float, position: float, least: int) -> list[str]:
    """In which ways the meta-judge has collapsed, in words; none where too little is known.

    :param higher_score: preference for the higher score from which the score decides
    :param position: preference for either position on equal scores from which the position decides
    :param least: comparisons with a winner needed to say so
    """
    found = []
    rate = report.higher_score
    if rate.value is not None and rate.n >= least and rate.value >= higher_score:
        found.append(f"it prefers the judgment with the higher score in {100 * rate.value:.1f} % of {rate.n}")
    rate = report.equal_score_first
    if rate.value is not None and rate.n >= least and max(rate.value, 1 - rate.value) >= position:
        place, share = ("first", rate.value) if rate.value >= 0.5 else ("second", 1 - rate.value)
        found.append(f"on equal scores it prefers the judgment shown {place} in {100 * share:.1f} % of {rate.n}")
    return found


def bias_numbers(
    prefix: str, scores: ScoreReport, meta: MetaReport | None, lengths: Mapping[str, float | None]
) -> dict[str, float | int | None]:
    """The report as flat numbers ``PREFIX/NAME``.

    :param lengths: mean lengths by name
    """
    numbers: dict[str, float | int | None] = {f"{prefix}/{name}": value for name, value in lengths.items()}
    rates = {"mean_score": scores.mean}
    numbers |= {
        f"{prefix}/score_standard_deviation": scores.standard_deviation,
        f"{prefix}/score_drift": scores.drift,
        f"{prefix}/invalid_judgments": sum(scores.invalid.values()),
    }
    if meta is not None:
        rates |= {name: getattr(meta, name) for name in ("first_position", "higher_score", "equal_score_first")}
        numbers |= {
            f"{prefix}/win_first": meta.weights.first,
            f"{prefix}/win_second": meta.weights.second,
            f"{prefix}/omega1": meta.weights.omega1,
            f"{prefix}/omega2": meta.weights.omega2,
            f"{prefix}/invalid_comparisons": sum(meta.invalid.values()),
        }
    for name, rate in rates.items():
        low, high = rate.ci95 or (None, None)
        numbers |= {f"{prefix}/{name}": rate.value, f"{prefix}/{name}_ci95_low": low}
        numbers |= {f"{prefix}/{name}_ci95_high": high, f"{prefix}/{name}_n": rate.n}
    return numbers


def to_values(
    name: str,
    scores: ScoreReport,
    meta: MetaReport | None,
    lengths: Mapping[str, float | None],
    collapsed: Sequence[str],
) -> dict[str, Any]:
    """One iteration's report as JSON values, as ``bias.json`` has it."""
    found: dict[str, Any] = {"name": name, "scores": asdict(scores), "lengths": dict(lengths)}
    found["meta"] = None
    if meta is not None:
        omegas = {"omega1": meta.weights.omega1, "omega2": meta.weights.omega2}
        found["meta"] = asdict(meta) | {"weights": asdict(meta.weights) | omegas}
    return found | {"collapsed": list(collapsed)}


def _scaled(found: Estimate, low: float, high: float) -> Estimate:
    """A share of the scale in points."""
    if found.value is None:
        return found
    ends = tuple(low + (high - low) * one for one in found.ci95) if found.ci95 is not None else None
    return Estimate(low + (high - low) * found.value, (ends[0], ends[1]) if ends else None, found.n)


def _reasons(reasons: Iterable[str | None]) -> dict[str, int]:
    """How often each reason, without what is particular to a row."""
    return dict(sorted(Counter(reason.partition(": ")[0] for reason in reasons if reason is not None).items()))
