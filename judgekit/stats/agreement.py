"""Agreement of two raters, or several, beyond what chance makes: κ of Cohen, α of Krippendorff."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from judgekit.stats.bootstrap import Estimate, FloatArray, gather, interval, resample

Level = Literal["nominal", "ordinal", "interval"]


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


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """How far two raters say the same; n counts the items that both rated.

    :param agreed: share of equal ratings
    :param kappa: the same corrected for chance (Cohen 1960)
    """

    agreed: Estimate
    kappa: Estimate


def table_agreement(
    names: Iterable[str], codes: Iterable[tuple[int, int]], width: int, resamples: int, seed: int
) -> PairAgreement:
    """Agreement of two raters with intervals.

    :param names: the cluster of each item
    :param codes: what each rater said, from 0 to ``width`` - 1
    """
    clusters = gather(names, (width * one + two for one, two in codes), width * width)
    if not (count := clusters.count()):
        return PairAgreement(Estimate(None, None, 0), Estimate(None, None, 0))
    tables_RVV = np.concatenate([clusters.total_C[None], resample(clusters, resamples, seed)])
    tables_RVV = tables_RVV.reshape(-1, width, width)
    total_R, same_R = tables_RVV.sum(axis=(1, 2)), np.trace(tables_RVV, axis1=1, axis2=2)
    chance_R = (tables_RVV.sum(axis=1) * tables_RVV.sum(axis=2)).sum(axis=1)
    # In whole numbers: agreement by chance of exactly 1 must be seen as such.
    room_R = np.where(chance_R == total_R**2, np.nan, total_R**2 - chance_R)
    shares_R, kappas_R, n = same_R / total_R, (same_R * total_R - chance_R) / room_R, int(total_R[0])
    share, kappa = float(shares_R[0]), float(kappas_R[0])
    agreed = Estimate(share, interval(share, shares_R[1:], count), n)
    if np.isnan(kappa):
        return PairAgreement(agreed, Estimate(None, None, n))
    return PairAgreement(agreed, Estimate(kappa, interval(kappa, kappas_R[1:], count, signed=True), n))
