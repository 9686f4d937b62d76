"""The bookkeeping of a beam search: which beams go on, which replies have ended.

As in ``transformers.generate(num_beams=..., early_stopping=True)`` a reply's score is the mean log-probability of its
tokens, the end token included, and the search ends when as many replies have ended as there are beams.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from judgekit.sampling.base import Finish

Ending = Callable[[list[int]], tuple[Finish, str] | None]
"""Why a reply of these tokens ends, and its text; None where it goes on."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A whole reply.

    :param score: mean log-probability of its tokens
    """

    score: float
    ids: tuple[int, ...]
    finish: Finish
    text: str


@dataclass(slots=True)
class Beam:
    """The beginning of a reply.

    :param score: log-probability
    :param parent: place, among the beams of the step before, of the one it continues
    """

    score: float = 0.0
    ids: list[int] = field(default_factory=list)
    parent: int = 0


@dataclass(slots=True)
class Search:
    """The search after one prompt.

    :param width: beams
    :param going: beams that go on, the best first
    :param ended: replies that have ended, the best first, ``width`` at most
    """

    width: int
    ending: Ending
    going: list[Beam] = field(default_factory=lambda: [Beam()])
    ended: list[Ended] = field(default_factory=list)

    def step(self, candidates: Iterable[tuple[float, int, int]]) -> None:
        """Go on by a token.

        :param candidates: (log-probability, place of the beam, token), the best first; so many that ``width`` of them
            go on. Only one that is among the first ``width`` may end
        """
        before, self.going = self.going, []
        for rank, (score, parent, token) in enumerate(candidates):
            if score == -math.inf:
                break  # of a place that holds no beam
            ids = [*before[parent].ids, token]
            ended = self.ending(ids)
            if ended is None and len(self.going) < self.width:
                self.going.append(Beam(score, ids, parent))
            elif ended is not None and rank < self.width:
                self.ended.append(Ended(score / len(ids), tuple(ids), *ended))
        self.ended = sorted(self.ended, key=lambda reply: -reply.score)[: self.width]

    @property
    def rows(self) -> list[Beam]:
        """The beams that go on; where they are too few, the rest are stand-ins that nothing comes of."""
        missing = self.width - len(self.going)
        return self.going + [replace(self.going[-1], score=-math.inf)] * missing

    @property
    def over(self) -> bool:
        """Whether nothing more can come."""
        return len(self.ended) == self.width or not self.going
