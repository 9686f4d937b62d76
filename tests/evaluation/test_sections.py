"""Means of parts against the arithmetic of published tables; each benchmark's own are in ``benchmarks``."""

from __future__ import annotations

import numpy as np
import pytest

from judgekit.evaluation.sections import Part, combine
from judgekit.evaluation.verdict_metrics import score
from tests.evaluation.judges import both, pair


@pytest.mark.parametrize(
    ("overall", "sections"),
    [
        # RewardBench by section, RM-Bench by domain (README, DeepSeek-R1) and by level
        (84.0, (97.2, 70.2, 82.8, 86.0)), (86.7, (96.1, 76.1, 88.1, 86.6)), (90.0, (96.9, 85.1, 89.6, 88.4)),
        (93.3, (96.6, 87.9, 93.1, 95.5)), (93.9, (97.5, 89.4, 93.0, 95.5)), (93.8, (97.7, 89.5, 91.7, 96.1)),
        (85.28, (84.24, 72.66, 93.59, 90.65)),
        (64.9, (68.9, 62.6, 63.3)), (69.5, (77.5, 66.3, 64.8)), (80.0, (81.7, 77.2, 81.1)), (82.1, (81.1, 80.8, 84.3)),
    ],
)  # fmt: skip
def test_published_overalls_are_plain_means_of_sections(overall: float, sections: tuple[float, ...]) -> None:
    found = combine((1.0, Part(value, (value, value))) for value in sections)
    assert found is not None and found.value == pytest.approx(overall, abs=0.1)


def test_intervals_of_a_weighted_mean_cover_it() -> None:
    draw = np.random.default_rng(0)
    truth, sizes, weights = np.array([0.6, 0.9, 0.75]), np.array([80, 200, 50]), np.array([1.0, 3.0, 2.0])
    covered = 0
    for _ in range(500):
        shares = draw.binomial(sizes, truth) / sizes
        half = 1.96 * np.sqrt(shares * (1 - shares) / sizes)
        parts = [(float(weight), Part(float(one), (float(one - width), float(one + width))))
                 for weight, one, width in zip(weights, shares, half, strict=True)]  # fmt: skip
        found = combine(parts)
        assert found is not None
        covered += found.ci95[0] <= truth @ weights / weights.sum() <= found.ci95[1]
    assert 0.91 <= covered / 500 <= 0.98


@pytest.mark.parametrize(
    ("overall", "categories"),
    [
        (50.3, (53.9, 36.7, 64.3, 50.0)), (48.6, (50.0, 43.9, 55.4, 45.2)), (57.1, (56.5, 55.1, 71.4, 45.2)),
        (50.9, (48.1, 50.0, 60.7, 50.0)), (56.6, (55.8, 56.1, 69.6, 42.9)),
    ],
)  # fmt: skip
def test_published_judgebench_overalls_follow_from_the_categories(
    overall: float, categories: tuple[float, ...]
) -> None:
    """A judge right on the published shares of the 154, 98, 56 and 42 pairs scores the published whole."""
    sizes = (("knowledge", 154), ("reasoning", 98), ("math", 56), ("coding", 42))
    pairs, rows = [], []
    for (name, size), percent in zip(sizes, categories, strict=True):
        right = round(size * percent / 100)
        for place in range(size):
            pairs.append(pair(len(pairs), "A", subset=name))
            rows += both(len(pairs) - 1, "A", "A" if place < right else "B")
    scores = score(pairs, rows, resamples=2)
    consistent = scores.overall["consistent_accuracy"]
    assert isinstance(consistent, float) and round(100 * consistent, 1) == overall
