"""Agreement of raters against scikit-learn and the krippendorff package, on random and degenerate ratings."""

from __future__ import annotations

import random

import krippendorff
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from judgekit.stats.agreement import cohen_kappa, krippendorff_alpha


@pytest.mark.parametrize("seed", range(20))
def test_kappa_equals_scikit_learn(seed: int) -> None:
    draw = random.Random(seed)
    first = [draw.choice(["A", "B", "tie"]) for _ in range(40)]
    second = [value if draw.random() < 0.5 else draw.choice(["A", "B", "tie"]) for value in first]
    assert cohen_kappa(first, second) == pytest.approx(cohen_kappa_score(first, second))
    assert cohen_kappa([*first, None, "A"], [*second, "A", None]) == cohen_kappa(first, second)


def test_kappa_without_anything_to_agree_on() -> None:
    assert cohen_kappa([], []) is None
    assert cohen_kappa(["A", "A"], ["A", "A"]) is None
    assert cohen_kappa(["A", "B"], ["A", "B"]) == 1.0
    assert cohen_kappa(["A", "B"], ["B", "A"]) == -1.0


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
@pytest.mark.parametrize("seed", range(12))
def test_alpha_equals_krippendorff(level: str, seed: int) -> None:
    draw = np.random.default_rng(seed)
    truth = draw.integers(1, 6, 30)
    table = np.where(draw.random((4, 30)) < 0.6, truth, draw.integers(1, 6, (4, 30))).astype(float)
    table[draw.random((4, 30)) < 0.25] = np.nan
    theirs = krippendorff.alpha(reliability_data=table, level_of_measurement=level)
    ratings = [[None if np.isnan(value) else float(value) for value in rater] for rater in table]
    assert krippendorff_alpha(ratings, level) == pytest.approx(theirs)  # type: ignore[arg-type]


def test_alpha_of_texts_and_of_nothing() -> None:
    ratings = [["A", "B", "tie", None], ["A", "B", "B", "A"]]
    codes = [[0.0, 1.0, 2.0, np.nan], [0.0, 1.0, 1.0, 0.0]]
    assert krippendorff_alpha(ratings) == pytest.approx(
        krippendorff.alpha(reliability_data=codes, level_of_measurement="nominal")
    )
    assert krippendorff_alpha([]) is krippendorff_alpha([[1.0], [None]]) is krippendorff_alpha([[1, 1], [1, 1]]) is None
    with pytest.raises(ValueError, match="level interval needs numbers"):
        krippendorff_alpha(ratings, "interval")
