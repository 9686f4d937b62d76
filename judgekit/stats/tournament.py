"""Models against models on the same prompts: who wins how often, and how strong that makes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from judgekit.stats.bradley_terry import ALPHA
from judgekit.stats.ranking import Battle, Ranking, rank


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
    """Rank all that fought and count their wins over each other. Parameters as ``ranking.rank``.

    :raises ValueError: as ``ranking.rank``
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
