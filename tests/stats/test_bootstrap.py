"""The clustered bootstrap against plain resampling of rows, scipy, known coverage and the Wilson interval."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binomtest, bootstrap

from judgekit.stats.bootstrap import Clusters, gather, interval, resample, wilson

FloatArray = npt.NDArray[np.float64]


def share(tables: FloatArray) -> FloatArray:
    """Rows in cell 1 of two cells."""
    return np.asarray(tables[..., 1] / tables.sum(axis=-1))


def quantiles(values: FloatArray) -> FloatArray:
    return np.asarray(np.quantile(values, (0.025, 0.975)))


def test_clusters_are_counted_by_type() -> None:
    clusters = gather(["x", "y", "x", "z", "w"], [2, 0, 1, 0, 2], width=3)
    found = {tuple(kind): int(count) for kind, count in zip(clusters.types_TC, clusters.multiplicity_T, strict=True)}
    assert found == {(0.0, 1.0, 1.0): 1, (1.0, 0.0, 0.0): 2, (0.0, 0.0, 1.0): 1}
    assert clusters.total_C.tolist() == [2.0, 1.0, 2.0]
    assert clusters.count() == 4
    assert clusters.count(np.array([False, False, True])) == 2


def test_row_order_changes_no_bit_of_a_resample() -> None:
    draw = np.random.default_rng(0)
    names, cells = draw.integers(0, 30, 200), draw.integers(0, 5, 200)
    shuffle = draw.permutation(200)
    before = resample(gather(map(str, names), cells.tolist(), 5), 20, seed=3)
    after = resample(gather(map(str, names[shuffle]), cells[shuffle].tolist(), 5), 20, seed=3)
    assert (before == after).all()
    assert (before != resample(gather(map(str, names), cells.tolist(), 5), 20, seed=4)).any()


def test_equals_resampling_whole_clusters_of_rows() -> None:
    draw = np.random.default_rng(1)
    sizes = draw.integers(1, 12, 60)
    chances = draw.beta(1, 1, 60)
    names = np.repeat(np.arange(60), sizes)
    cells = (draw.random(len(names)) < chances[names]).astype(int)
    ours = quantiles(share(resample(gather(map(str, names), cells.tolist(), 2), 20_000, seed=0)))

    right = np.bincount(names, weights=cells)
    picked = draw.integers(0, 60, (20_000, 60))
    plain = quantiles(right[picked].sum(axis=1) / sizes[picked].sum(axis=1))
    assert ours == pytest.approx(plain, abs=0.006)

    of_rows = quantiles(draw.binomial(len(cells), cells.mean(), 20_000) / len(cells))
    assert ours[1] - ours[0] > 1.3 * (of_rows[1] - of_rows[0])


def test_equals_scipy_where_every_row_is_its_own_cluster() -> None:
    cells = (np.random.default_rng(2).random(80) < 0.7).astype(int)
    ours = quantiles(share(resample(gather(map(str, range(80)), cells.tolist(), 2), 20_000, seed=0)))
    theirs = bootstrap((cells,), np.mean, n_resamples=20_000, method="percentile", rng=0).confidence_interval
    assert ours == pytest.approx([theirs.low, theirs.high], abs=0.0126)  # one row of 80 is the step of both


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    draw = np.random.default_rng(3)
    covered = covered_by_rows = 0
    for number in range(400):
        chances = draw.beta(2, 1, 50)
        cells = (draw.random((50, 6)) < chances[:, None]).astype(int).ravel().tolist()
        for name, groups in (("clusters", np.repeat(np.arange(50), 6)), ("rows", np.arange(300))):
            clusters = gather(map(str, groups), cells, 2)
            low, high = quantiles(share(resample(clusters, 300, seed=number)))
            if name == "clusters":
                covered += low <= 2 / 3 <= high
            else:
                covered_by_rows += low <= 2 / 3 <= high
    assert 0.90 <= covered / 400 <= 0.98
    assert covered_by_rows / 400 < 0.85


def test_large_inputs_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("judgekit.stats.bootstrap.CHUNK_NUMBERS", 70)
    kinds = np.eye(20)
    tables = resample(Clusters(kinds, np.full(20, 3)), 10, seed=0)
    assert tables.shape == (10, 20)
    assert (tables.sum(axis=1) == 60).all()
    assert len({tuple(table) for table in tables}) == 10


@pytest.mark.parametrize("value", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("count", [1, 8, 300])
def test_wilson_equals_scipy(value: float, count: int) -> None:
    successes = round(value * count)
    theirs = binomtest(successes, count).proportion_ci(0.95, method="wilson")
    assert wilson(successes / count, count) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_intervals_without_spread_are_widened() -> None:
    certain = np.ones(100)
    assert interval(1.0, certain, 50) == wilson(1.0, 50)
    assert interval(0.0, certain * 0, 50) == wilson(0.0, 50)
    assert interval(0.0, certain * 0, 50, signed=True) == (-wilson(0.0, 50)[1], wilson(0.0, 50)[1])
    assert interval(-1.0, -certain, 50, signed=True) == (-1.0, -wilson(1.0, 50)[0])
    assert interval(0.5, certain * np.nan, 50) == wilson(0.5, 50)


def test_undefined_resamples_are_left_out() -> None:
    replicates = np.array([np.nan, 0.2, 0.4, np.nan])
    assert interval(0.3, replicates, 10) == pytest.approx((0.205, 0.395))


def test_nothing_to_resample_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        resample(gather(["x"], [0], 2), 0, seed=0)
    with pytest.raises(ValueError, match="at least one"):
        resample(gather([], [], 2), 10, seed=0)
