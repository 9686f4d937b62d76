"""The model of Bradley and Terry (1952): strengths from wins, of one ranking or of thousands together.

i beats j with probability σ(θ_i − θ_j): a strength θ is in log odds. The estimate maximises
Σ w_ij log σ(θ_i − θ_j) − α Σ θ²; the penalty keeps the strength of one that never lost, or never won, finite, and makes
the strengths of a ranking sum to 0. Whoever fought nobody has strength 0.

Shapes: N that are ranked, ``...`` rankings estimated together.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

ALPHA = 0.01
"""The penalty: one that won both orders against its only rival gets about 1.9, and its rival -1.9."""
ELO_SCALE = 400 / math.log(10)
"""Elo points of one unit of log odds: 400 points are odds of 10 to 1."""
ELO_MEAN = 1000.0
"""Elo points of strength 0."""
DIGITS = 9
"""Strengths are rounded to so many decimals where they are compared: equal records come out equal."""

NEWTON_STEPS = 100
"""Far more than Newton's method takes: it gains digits with every step."""
GRADIENT = 1e-10
"""Largest slope of the penalised log-likelihood that counts as its top."""


def elo(theta_N: FloatArray | float) -> FloatArray:
    """Strengths in Elo points: 1000 + 400 / ln 10 · θ."""
    return np.asarray(ELO_MEAN + ELO_SCALE * np.asarray(theta_N))


def estimate(wins_NN: FloatArray, alpha: float = ALPHA) -> FloatArray:
    """Strengths that maximise Σ w_ij log σ(θ_i − θ_j) − α Σ θ_i², by Newton's method.

    :param wins_NN: wins of row over column, any weights that are not negative, (..., N, N)
    :param alpha: the penalty α, positive
    :return: strengths in log odds, (..., N)
    """
    theta_N = np.zeros(wins_NN.shape[:-1])
    games_NN = wins_NN + np.swapaxes(wins_NN, -1, -2)
    identity_NN = np.eye(wins_NN.shape[-1])
    value = _objective(theta_N, wins_NN, alpha)
    for _ in range(NEWTON_STEPS):
        chance_NN = _sigmoid(theta_N[..., :, None] - theta_N[..., None, :])
        slope_N = (wins_NN - games_NN * chance_NN).sum(axis=-1) - 2 * alpha * theta_N
        if np.abs(slope_N).max(initial=0.0) <= GRADIENT * max(1.0, float(games_NN.max(initial=0.0))):
            break
        curve_NN = games_NN * chance_NN * (1 - chance_NN)
        bend_NN = (curve_NN.sum(axis=-1)[..., None] + 2 * alpha) * identity_NN - curve_NN
        step_N = np.linalg.solve(bend_NN, slope_N[..., None])[..., 0]
        theta_N, value = _climb(theta_N, step_N, value, wins_NN, alpha)
    return theta_N


def _climb(
    theta_N: FloatArray, step_N: FloatArray, value: FloatArray, wins_NN: FloatArray, alpha: float
) -> tuple[FloatArray, FloatArray]:
    """Take the step, halved until it does not lead down: a full one can overshoot where somebody never lost."""
    share = np.ones(value.shape)
    while True:
        after_N = theta_N + share[..., None] * step_N
        reached = _objective(after_N, wins_NN, alpha)
        down = reached < value - 1e-12 * np.abs(value)
        if not down.any() or share.min() < 1e-9:
            return after_N, reached
        share = np.where(down, share / 2, share)


def _objective(theta_N: FloatArray, wins_NN: FloatArray, alpha: float) -> FloatArray:
    """The penalised log-likelihood."""
    losses_NN = np.logaddexp(0.0, theta_N[..., None, :] - theta_N[..., :, None])
    return np.asarray(-(wins_NN * losses_NN).sum(axis=(-2, -1)) - alpha * (theta_N**2).sum(axis=-1))


def _sigmoid(values: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)), dtype=np.float64)
