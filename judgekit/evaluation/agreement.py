"""Agreement of a judge with people, or of people with each other, beyond plain accuracy."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from judgekit.evaluation.outcomes import collect
from judgekit.evaluation.verdicts import VerdictRow
from judgekit.rows import ResponsePair
from judgekit.stats.bootstrap import Estimate, FloatArray, estimate_ratio, gather, interval, resample
from judgekit.stats.verdict_rates import CODES, INVALID, TIE

Level = Literal["nominal", "ordinal", "interval"]


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


@dataclass(frozen=True, slots=True)
class JudgeAgreement:
    """How far two judges say the same; n counts the pairs and orders in which both gave a verdict.

    :param agreed: share of equal verdicts
    :param kappa: the same corrected for chance (Cohen 1960)
    """

    agreed: Estimate
    kappa: Estimate


def judge_agreement(
    pairs: Iterable[ResponsePair],
    first: Iterable[VerdictRow],
    second: Iterable[VerdictRow],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> JudgeAgreement:
    """Agreement of two judges on the same pairs and orders, sample 0 of each, labelled or not.

    Where either gave no verdict the two cannot be compared; such rows are left out, and so are unknown pairs.
    """
    clusters = {pair.id: pair.cluster for pair in pairs}
    ours, theirs = (
        {(row.id, row.order): CODES[row.verdict] for row in rows if row.sample == 0 and row.verdict is not None}
        for rows in (first, second)
    )
    both = [key for key in ours if key in theirs and key[0] in clusters]
    if not both:
        return JudgeAgreement(Estimate(None, None, 0), Estimate(None, None, 0))
    table = gather((clusters[key[0]] for key in both), (3 * ours[key] + theirs[key] for key in both), 9)
    tables_RVV = np.concatenate([table.total_C[None], resample(table, resamples, seed)]).reshape(-1, 3, 3)
    total_R = tables_RVV.sum(axis=(1, 2))
    agreed_R = np.trace(tables_RVV, axis1=1, axis2=2)
    chance_R = (tables_RVV.sum(axis=1) * tables_RVV.sum(axis=2)).sum(axis=1)
    # In whole numbers: agreement by chance of exactly 1 must be seen as such.
    room_R = np.where(chance_R == total_R**2, np.nan, total_R**2 - chance_R)

    def estimate(values_R: FloatArray, signed: bool = False) -> Estimate:
        if np.isnan(value := float(values_R[0])):
            return Estimate(None, None, len(both))
        return Estimate(value, interval(value, values_R[1:], table.count(), signed), len(both))

    return JudgeAgreement(estimate(agreed_R / total_R), estimate((agreed_R * total_R - chance_R) / room_R, signed=True))


def cohen_kappa(first: Sequence[Hashable | None], second: Sequence[Hashable | None]) -> float | None:
    """Chance-corrected agreement of two raters (Cohen 1960).

    Items that either did not rate (None) are left out. None without items, and where chance alone agrees always.
    """
    rated = [(one, two) for one, two in zip(first, second, strict=True) if one is not None and two is not None]
    count = len(rated)
    ours, theirs = (Counter(pair[side] for pair in rated) for side in (0, 1))
    chance = sum(ours[value] * theirs[value] for value in ours)
    agreed = sum(one == two for one, two in rated)
    # In whole numbers: agreement by chance of exactly 1 must be seen as such.
    return None if chance == count * count else (agreed * count - chance) / (count * count - chance)


def krippendorff_alpha(ratings: Sequence[Sequence[float | str | None]], level: Level = "nominal") -> float | None:
    """Reliability of several raters, some of whom may have left out items (Krippendorff 2004, §11.3).

    :param ratings: a rater's values on all items, None where there is none; texts at level nominal only
    :param level: how values differ: not at all ordered, ordered, or with distances
    :return: None where no item has two ratings or all ratings are equal
    """
    units: defaultdict[int, list[float | str]] = defaultdict(list)
    for values in ratings:
        for item, value in enumerate(values):
            if value is not None:
                units[item].append(value)
    shared = [unit for unit in units.values() if len(unit) > 1]
    found = sorted({value for unit in shared for value in unit}, key=lambda value: (isinstance(value, str), value))
    if len(found) < 2:
        return None
    place = {value: index for index, value in enumerate(found)}
    coincidences_VV = np.zeros((len(found), len(found)))
    for unit in shared:
        counts_V = np.bincount([place[value] for value in unit], minlength=len(found)).astype(np.float64)
        coincidences_VV += (np.outer(counts_V, counts_V) - np.diag(counts_V)) / (len(unit) - 1)
    totals_V = coincidences_VV.sum(axis=1)
    distances_VV = _distances(found, totals_V, level)
    expected = (np.outer(totals_V, totals_V) * distances_VV).sum() / (totals_V.sum() - 1)
    return float(1 - (coincidences_VV * distances_VV).sum() / expected)


def _distances(values: Sequence[float | str], totals_V: FloatArray, level: Level) -> FloatArray:
    """Squared differences of values: 0 or 1, by ranks, or by size."""
    if level == "nominal":
        return 1.0 - np.eye(len(values))
    if any(isinstance(value, str) for value in values):
        raise ValueError(f"level {level} needs numbers, not texts")
    # The rank of a value is the middle of its ratings among all, counted along the ordered values.
    places_V = np.cumsum(totals_V) - totals_V / 2 if level == "ordinal" else np.array(values, dtype=np.float64)
    return np.asarray((places_V[:, None] - places_V) ** 2, dtype=np.float64)
