"""Ranking answers or systems from verdicts on pairs by the model of ``bradley_terry``.

A tie is half a win for each (so every verdict weighs 1), an invalid verdict is left out and counted.

Shapes: N answers, G groups, R resamples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from judgekit.stats.bootstrap import Estimate, FloatArray, resample, sum_clusters
from judgekit.stats.bradley_terry import ALPHA, DIGITS, elo, estimate


@dataclass(frozen=True, slots=True)
class Battle:
    """One verdict on two named answers.

    :param verdict: ``A`` when ``a`` won; None when invalid, with the reason in ``invalid``
    :param group: battles of one group share an instruction; intervals resample groups
    """

    a: str
    b: str
    verdict: Literal["A", "B", "tie"] | None
    group: str
    invalid: str | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """One answer's (or system's) place.

    :param strength: θ in log odds, its interval from the bootstrap over groups; ``n`` is the number of battles
    :param elo: the strength in Elo points, 1000 on average
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
    return Ranked(name, strength, float(elo(theta)), said["won"], said["lost"], said["tie"])


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


@dataclass(frozen=True, slots=True)
class Meetings:
    """What came of all battles of two models.

    :param games: valid battles
    :param wins: of the first, a tie counted as one half
    """

    games: int
    wins: float

    @property
    def share(self) -> float | None:
        """Share of the first's wins, ties as one half; None where they never met."""
        return self.wins / self.games if self.games else None


@dataclass(frozen=True, slots=True)
class Tournament:
    """Ranking and win matrix.

    :param matrix: row against column, both in the order of the ranking; the diagonal is empty
    :param prompts: distinct groups with a valid battle
    """

    ranking: Ranking
    matrix: tuple[tuple[Meetings, ...], ...]
    prompts: int

    @property
    def names(self) -> list[str]:
        """The models, best first."""
        return [place.name for place in self.ranking.places]


def tournament(
    fought: Iterable[Battle], names: Sequence[str] = (), *, alpha: float = ALPHA, resamples: int = 1000, seed: int = 0
) -> Tournament:
    """Rank all that fought and count their wins over each other. Parameters as ``rank``.

    :raises ValueError: as ``rank``
    """
    fought = list(fought)
    ranking = rank(fought, names, alpha=alpha, resamples=resamples, seed=seed)
    games, wins = Counter[tuple[str, str]](), dict[tuple[str, str], float]()
    for one in fought:
        if one.verdict is None:
            continue
        share = {"A": 1.0, "B": 0.0, "tie": 0.5}[one.verdict]
        for pair, won in (((one.a, one.b), share), ((one.b, one.a), 1.0 - share)):
            games[pair] += 1
            wins[pair] = wins.get(pair, 0.0) + won
    order = [place.name for place in ranking.places]
    matrix = tuple(
        tuple(Meetings(games[row, column], wins.get((row, column), 0.0)) for column in order) for row in order
    )
    return Tournament(ranking, matrix, len({one.group for one in fought if one.verdict is not None}))
