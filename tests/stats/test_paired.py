"""The exact test of McNemar against statsmodels."""

from __future__ import annotations

import pytest
from statsmodels.stats.contingency_tables import mcnemar as reference

from judgekit.stats.paired import mcnemar


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (1, 0), (3, 9), (40, 22), (7, 7)])
def test_mcnemar_equals_statsmodels(only_a: int, only_b: int) -> None:
    theirs = reference([[50, only_a], [only_b, 20]], exact=True).pvalue
    assert mcnemar(only_a, only_b) == pytest.approx(theirs)
