"""Ranking answers or systems from verdicts on pairs: the model of Bradley and Terry (1952).

A beats B with probability σ(θ_A − θ_B): a strength θ is in log odds, the strengths of one ranking sum to 0. A tie is
half a win for each (so every verdict weighs 1), an invalid verdict is left out and counted. The estimate maximises
log-likelihood − α Σ θ²; the penalty keeps the strength of an answer that never lost, or never won, finite.

Shapes: N answers, G groups, R resamples, ``...`` rankings estimated together.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from judgekit.evaluation.bootstrap import Estimate, FloatArray, resample, sum_clusters
from judgekit.evaluation.verdicts import VerdictRow
from judgekit.rows import ResponsePair, Verdict

ALPHA = 0.01
"""The penalty: an answer that won both orders against its only rival gets about 1.9, and its rival -1.9."""
ELO_SCALE = 400 / math.log(10)
"""Elo points of one unit of log odds: 400 points are odds of 10 to 1."""
ELO_MEAN = 1000.0
"""Elo points of strength 0."""
DIGITS = 9
"""Strengths are rounded to so many decimals: answers with equal records come out equal."""


@dataclass(frozen=True, slots=True)
class Battle:
    """One verdict on two named answers.

    :param verdict: ``A`` when ``a`` won; None when invalid, with the reason in ``invalid``
    :param group: battles of one group share an instruction; intervals resample groups
    """

    a: str
    b: str
    verdict: Verdict | None
    group: str
    invalid: str | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """One answer's (or system's) place.

    :param strength: θ in log odds, its interval from the bootstrap over groups; ``n`` is the number of battles
    :param elo: 1000 + 400 / ln 10 · θ
    """

    name: str
    strength: Estimate
    elo: float
    wins: int
    losses: int
    ties: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """Answers from best to worst; of equals the one named first comes first.

    :param invalid: battles without a verdict, by reason
    """

    places: tuple[Ranked, ...]
    invalid: dict[str, int]

    @property
    def strengths(self) -> dict[str, float]:
        """Strengths by name, best first."""
        return {place.name: place.strength.value or 0.0 for place in self.places}


def battles(pairs: Iterable[ResponsePair], verdicts: Iterable[VerdictRow]) -> list[Battle]:
    """Verdicts on pairs as battles of who wrote the responses, ``model_a`` and ``model_b``; all orders and samples.

    Verdicts on pairs whose writers are unknown or the same say nothing about a ranking and are left out.
    """
    known = {pair.id: pair for pair in pairs}
    found = []
    for row in verdicts:
        pair = known[row.id]
        if pair.model_a is not None and pair.model_b is not None and pair.model_a != pair.model_b:
            reason = row.reason if row.verdict is None else None
            found.append(Battle(pair.model_a, pair.model_b, row.verdict, pair.cluster, reason))
    return found


def rank(
    fought: Iterable[Battle], names: Sequence[str] = (), *, alpha: float = ALPHA, resamples: int = 0, seed: int = 0
) -> Ranking:
    """Bradley-Terry strengths of all that fought.

    :param names: further names, and the order of equals; those that never fought get strength 0
    :param alpha: the penalty α on Σ θ², positive
    :param resamples: bootstrap resamples of the groups; 0: no intervals. With one group there are none
    :raises ValueError: for an α that is not positive
    """
    if alpha <= 0:
        raise ValueError("alpha must be positive: without a penalty an unbeaten answer has no finite strength")
    fought = list(fought)
    seen = dict.fromkeys((*names, *(name for one in fought for name in (one.a, one.b))))
    place = {name: index for index, name in enumerate(seen)}
    valid = [one for one in fought if one.verdict is not None]
    groups = list(dict.fromkeys(one.group for one in valid))
    wins_GNN = _wins(valid, groups, place)
    theta_N = estimate(wins_GNN.sum(axis=0), alpha)
    ends = _ends(groups, wins_GNN, alpha, resamples, seed)
    ranked = [
        _ranked(name, round(float(theta_N[index]), DIGITS), ends.get(index), valid) for name, index in place.items()
    ]
    reasons = Counter(one.invalid or "unstated" for one in fought if one.verdict is None)
    return Ranking(
        places=tuple(sorted(ranked, key=lambda one: -(one.strength.value or 0.0))),
        invalid=dict(sorted(reasons.items())),
    )


def _ranked(name: str, theta: float, ends: tuple[float, float] | None, valid: Sequence[Battle]) -> Ranked:
    theta += 0.0  # no negative zero
    said = Counter("tie" if one.verdict == "tie" else "won" if (one.verdict == "A") == (one.a == name) else "lost"
                   for one in valid if name in (one.a, one.b))  # fmt: skip
    strength = Estimate(theta, ends, said.total())
    return Ranked(name, strength, ELO_MEAN + ELO_SCALE * theta, said["won"], said["lost"], said["tie"])


def _wins(valid: Sequence[Battle], groups: Sequence[str], place: Mapping[str, int]) -> FloatArray:
    """Wins of row over column within each group, ties as one half."""
    number = {name: index for index, name in enumerate(groups)}
    wins_GNN = np.zeros((len(groups), len(place), len(place)))
    for one in valid:
        share = {"A": 1.0, "B": 0.0}.get(str(one.verdict), 0.5)
        table_NN = wins_GNN[number[one.group]]
        table_NN[place[one.a], place[one.b]] += share
        table_NN[place[one.b], place[one.a]] += 1.0 - share
    return wins_GNN


def _ends(
    groups: Sequence[str], wins_GNN: FloatArray, alpha: float, resamples: int, seed: int
) -> dict[int, tuple[float, float]]:
    """95 % percentile intervals of the strengths, by place."""
    if resamples == 0 or len(groups) < 2:
        return {}
    count = wins_GNN.shape[1]
    clusters = sum_clusters(groups, wins_GNN.reshape(len(groups), -1))
    theta_RN = estimate(resample(clusters, resamples, seed).reshape(-1, count, count), alpha)
    low_N, high_N = np.quantile(theta_RN, (0.025, 0.975), axis=0)
    return {index: (float(low_N[index]), float(high_N[index])) for index in range(count)}


NEWTON_STEPS = 100
"""Far more than Newton's method takes: it gains digits with every step."""
GRADIENT = 1e-10
"""Largest slope of the penalised log-likelihood that counts as its top."""


def estimate(wins_NN: FloatArray, alpha: float = ALPHA) -> FloatArray:
    """Strengths that maximise Σ w_ij log σ(θ_i − θ_j) − α Σ θ_i², by Newton's method.

    :param wins_NN: wins of row over column, ties as one half, (..., N, N)
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
