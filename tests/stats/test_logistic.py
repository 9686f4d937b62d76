"""Logistic regression against statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from judgekit.stats.logistic import fit_logistic


@pytest.mark.parametrize("seed", range(8))
def test_logistic_regression_equals_statsmodels(seed: int) -> None:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(300, 3))
    groups = draw.integers(0, 60, 300)
    push = draw.normal(size=60)[groups]
    y = (draw.random(300) < 1 / (1 + np.exp(-(x @ [0.8, -0.5, 0.0] + push)))).astype(float)
    theirs = sm.Logit(y, x).fit(disp=0, cov_type="cluster", cov_kwds={"groups": groups}, tol=1e-12)
    ours = fit_logistic(x, y, [f"g{group}" for group in groups])
    assert [one.value for one in ours] == pytest.approx(list(theirs.params), abs=1e-8)
    assert [one.ci95 for one in ours] == [pytest.approx(tuple(ends), abs=1e-6) for ends in theirs.conf_int()]
