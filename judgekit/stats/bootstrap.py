"""The clustered percentile bootstrap.

Rows of one cluster (an instruction) are not independent, so clusters are resampled, not rows. A row is one of a
few *cells*; a cluster matters only through how many rows it has in each cell, so clusters with equal counts are
one *type* and a resample is a multinomial draw over types. This is the bootstrap itself, not an approximation,
and costs no more for a million clusters than for their few distinct types.
Shapes: T types, C cells, R resamples.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from judgekit.randomness import draw_bits

FloatArray = npt.NDArray[np.float64]

Z95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""
NO_WIDTH = 1e-12
"""Replicates closer than this are equal up to rounding."""
CHUNK_NUMBERS = 4_000_000
"""Multinomial counts held in memory at once."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """Clusters summarised by type, in an order that does not depend on the order of rows.

    :param types_TC: rows a cluster of this type has in each cell
    :param multiplicity_T: clusters of this type
    """

    types_TC: FloatArray
    multiplicity_T: npt.NDArray[np.int64]

    @property
    def total_C(self) -> FloatArray:
        """Rows in each cell over all clusters."""
        total: FloatArray = self.multiplicity_T.astype(np.float64) @ self.types_TC
        return total

    def count(self, cells_C: npt.NDArray[np.bool_] | None = None) -> int:
        """How many clusters there are, or how many have a row in one of the cells marked."""
        if cells_C is None:
            return int(self.multiplicity_T.sum())
        return int(self.multiplicity_T[self.types_TC[:, cells_C].sum(axis=1) > 0].sum())


def gather(names: Iterable[str], cells: Iterable[int], width: int) -> Clusters:
    """Count rows into clusters.

    :param names: the cluster of each row
    :param cells: the cell of each row, from 0 to ``width`` - 1
    :param width: number of cells C, at most 256
    """
    members: defaultdict[str, bytearray] = defaultdict(bytearray)
    for name, cell in zip(names, cells, strict=True):
        members[name].append(cell)
    found = Counter(bytes(sorted(member)) for member in members.values())
    kinds = sorted(found)
    types = np.zeros((len(kinds), width))
    for row, kind in enumerate(kinds):
        types[row] = np.bincount(np.frombuffer(kind, dtype=np.uint8), minlength=width)
    return Clusters(types, np.array([found[kind] for kind in kinds], dtype=np.int64))


def resample(clusters: Clusters, resamples: int, seed: int) -> FloatArray:
    """Rows in each cell of each resample, (R, C); every resample draws as many clusters as there are.

    :raises ValueError: for fewer than one resample or no clusters
    """
    if resamples < 1 or clusters.count() == 0:
        raise ValueError("the bootstrap needs at least one resample and one cluster")
    generator = np.random.default_rng(draw_bits("bootstrap", seed))
    count = clusters.count()
    shares = clusters.multiplicity_T / count
    step = max(1, CHUNK_NUMBERS // len(shares))
    parts = []
    for start in range(0, resamples, step):
        weights = generator.multinomial(count, shares, size=min(step, resamples - start))
        # Sums of whole numbers are exact in float64 and, unlike integer products, go through BLAS.
        parts.append(weights.astype(np.float64) @ clusters.types_TC)
    return np.concatenate(parts)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval.

    :param value: None where it is undefined, and so is the interval
    :param n: rows (or groups) it rests on
    """

    value: float | None
    ci95: tuple[float, float] | None
    n: int


def sum_clusters(names: Iterable[str], values_NC: FloatArray) -> Clusters:
    """Sum the numbers of rows within clusters; the order of rows changes no bit.

    :param names: the cluster of each row
    :param values_NC: C numbers of each of N rows
    """
    _, inverse = np.unique(np.array(list(names), dtype=object).astype(str), return_inverse=True)
    values_NC = np.asarray(values_NC, dtype=np.float64)
    order = np.lexsort((*values_NC.T, inverse))
    starts = np.flatnonzero(np.diff(inverse[order], prepend=-1))
    sums = np.add.reduceat(values_NC[order], starts, axis=0)
    types, counts = np.unique(sums, axis=0, return_counts=True)
    return Clusters(types, counts.astype(np.int64))


def estimate_ratio(
    names: Sequence[str],
    numerators: Iterable[float],
    denominators: Iterable[float],
    resamples: int = 1000,
    seed: int = 0,
    *,
    signed: bool = False,
) -> Estimate:
    """Sum of numerators over sum of denominators: a mean over rows in clusters, of magnitude at most 1.

    :param names: the cluster of each row
    :param denominators: weight of each row, 0 for a row that does not count
    """
    values = np.column_stack([np.fromiter(numerators, np.float64), np.fromiter(denominators, np.float64)])
    if not len(values) or values[:, 1].sum() == 0:
        return Estimate(None, None, 0)
    clusters = sum_clusters(names, values)
    total, tables = clusters.total_C, resample(clusters, resamples, seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        replicates = tables[:, 0] / tables[:, 1]
    value = float(total[0] / total[1])
    counted = int(clusters.multiplicity_T[clusters.types_TC[:, 1] > 0].sum())
    return Estimate(value, interval(value, replicates, counted, signed), int(np.count_nonzero(values[:, 1])))


def interval(value: float, replicates_R: FloatArray, clusters: int, signed: bool = False) -> tuple[float, float]:
    """95 % percentile interval of a number whose magnitude is at most 1.

    Replicates that are all equal (all clusters alike, as for a rate of 0 or 1) say nothing about the spread; the
    interval is then Wilson's for ``clusters`` independent observations of the number's magnitude.

    :param replicates_R: the number in each resample, NaN where it is undefined
    :param clusters: clusters in which the number is observed
    :param signed: the number may be negative, so that the interval of 0 reaches to both sides
    """
    defined = replicates_R[~np.isnan(replicates_R)]
    if defined.size:
        low, high = (float(edge) for edge in np.quantile(defined, (0.025, 0.975)))
        if high - low > NO_WIDTH:
            return low, high
    low, high = wilson(abs(value), clusters)
    if signed and value <= 0:
        return -high, (-low if value < 0 else high)
    return low, high


def wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share among ``count`` observations (Wilson 1927)."""
    square = Z95 * Z95
    centre = (share + square / (2 * count)) / (1 + square / count)
    half = Z95 / (1 + square / count) * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    low = 0.0 if share == 0 else max(0.0, centre - half)
    high = 1.0 if share == 1 else min(1.0, centre + half)
    return low, high
