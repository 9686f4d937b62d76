"""Logistic regression without intercept, with standard errors that know clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from judgekit.stats.bootstrap import NO_WIDTH, Z95, FloatArray

STEPS = 50
"""Newton steps after which a fit counts as diverging."""
LARGEST = 30.0
"""A log odds beyond which a fit diverges: the outcomes are separated, and a coefficient has no finite estimate."""


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A coefficient of the model, in log odds.

    :param value: None where it has no finite estimate: the covariate never varies, or separates the outcomes
    :param ci95: from standard errors robust to rows of one cluster
    :param n: outcomes the model was fitted to
    """

    value: float | None
    ci95: tuple[float, float] | None
    n: int


def fit_logistic(x_NK: FloatArray, y_N: FloatArray, names: Sequence[str]) -> list[Coefficient]:
    """Coefficients of K covariates by logistic regression without intercept.

    Maximum likelihood by Newton's method; variances by the cluster sandwich with the usual small-sample factor
    G/(G-1) · (N-1)/(N-K), or where that is 0 those of independent rows. Columns of zeros are left out of the fit and
    have no coefficient.

    :param y_N: 0 or 1
    :param names: the cluster of each row
    """
    found = [Coefficient(None, None, len(y_N))] * x_NK.shape[1]
    used = np.flatnonzero(np.abs(x_NK).sum(axis=0) > 0)
    x_NK = x_NK[:, used]
    fitted = _newton(x_NK, y_N) if used.size and len(set(names)) > 1 and len(y_N) > used.size else None
    if fitted is None:
        return found
    beta_K, inverse_KK = fitted
    error_N = y_N - _logistic(x_NK @ beta_K)
    _, inverse_N = np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)
    clusters = int(inverse_N.max()) + 1
    scores_GK = np.zeros((clusters, used.size))
    np.add.at(scores_GK, inverse_N, x_NK * error_N[:, None])
    factor = clusters / (clusters - 1) * (len(y_N) - 1) / (len(y_N) - used.size)
    robust_K = np.diag(factor * inverse_KK @ (scores_GK.T @ scores_GK) @ inverse_KK)
    plain_K = np.diag(inverse_KK)
    # Clusters that all say the same (a judge never moved by the order) leave no spread to see.
    half_K = Z95 * np.sqrt(np.where(robust_K > NO_WIDTH * plain_K, robust_K, plain_K))
    for column, value, half in zip(used, beta_K, half_K, strict=True):
        found[column] = Coefficient(float(value), (float(value - half), float(value + half)), len(y_N))
    return found


def _newton(x_NK: FloatArray, y_N: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    """Coefficients and the inverse of the information matrix; None when they diverge or cannot be told apart."""
    beta_K: FloatArray = np.zeros(x_NK.shape[1])
    for _ in range(STEPS):
        p_N = _logistic(x_NK @ beta_K)
        information_KK = (x_NK * (p_N * (1 - p_N))[:, None]).T @ x_NK
        if np.linalg.cond(information_KK) > 1e12:
            return None
        step_K = np.linalg.solve(information_KK, x_NK.T @ (y_N - p_N))
        beta_K = beta_K + step_K
        if np.abs(x_NK @ beta_K).max() > LARGEST:
            return None
        if np.abs(step_K).max() < 1e-10:
            return beta_K, np.asarray(np.linalg.inv(information_KK), dtype=np.float64)
    return None


def _logistic(z: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-z)), dtype=np.float64)
