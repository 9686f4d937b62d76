"""Correlations of too little."""

from __future__ import annotations

from judgekit.stats.correlation import kendall, pearson, spearman


def test_correlations_of_nothing_are_none() -> None:
    for correlate in (pearson, spearman, kendall):
        assert correlate([], []) is correlate([1.0], [2.0]) is correlate([1.0, 1.0], [1.0, 2.0]) is None
