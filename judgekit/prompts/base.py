"""What every protocol for response pairs offers: a way to ask, and a way to read the reply."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from judgekit.rows import Message, Order, Response, ResponsePair, Verdict

SWAPPED: dict[Verdict, Verdict] = {"A": "B", "B": "A", "tie": "tie"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a judge's reply says.

    :param verdict: names a *position* (A = shown first), or is None with a reason
    :param invalid: why there is no verdict: ``missing``, ``ambiguous``, ``truncated``, ``out of range`` ...
    :param scores: of the response shown first and second, from protocols that end in scores
    """

    verdict: Verdict | None
    invalid: str | None
    scores: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class ScoreReading:
    """What a judge's reply about one response says.

    :param score: on the protocol's scale, or None with a reason
    :param invalid: why there is no score: ``missing``, ``ambiguous``, ``truncated``, ``out of range`` ...
    """

    score: float | None
    invalid: str | None


@runtime_checkable
class PairProtocol(Protocol):
    """How a judge is asked about two responses. Asking and reading live in one class, so they cannot drift apart."""

    @property
    def verdict_tokens(self) -> tuple[str, ...]:
        """The verdicts constrained decoding chooses among: first position, second position, tie where there is one.

        Empty for protocols that end in scores.
        """
        ...

    @property
    def verdict_lead(self) -> str:
        """What stands before the verdict, where decoding is constrained."""
        ...

    @property
    def verdict_stops(self) -> tuple[str, ...]:
        """Where free reasoning ends, so that the verdict can be chosen; empty: there is no reasoning before it."""
        ...

    def judge_prompt(self, pair: ResponsePair, order: Order) -> tuple[Message, ...]:
        """The prompt for a pair in one order."""
        ...

    def read(self, text: str, truncated: bool) -> Reading:
        """The verdict of a reply.

        :param truncated: the reply hit its token limit
        """
        ...


@runtime_checkable
class PointProtocol(Protocol):
    """How a judge is asked about one response, which it scores."""

    @property
    def scale(self) -> tuple[float, float]:
        """Worst and best score."""
        ...

    def score_prompt(self, row: Response) -> tuple[Message, ...]:
        """The prompt for a response."""
        ...

    def read_score(self, text: str, truncated: bool) -> ScoreReading:
        """The score of a reply.

        :param truncated: the reply hit its token limit
        """
        ...


@runtime_checkable
class WorkedProtocol(PairProtocol, Protocol):
    """A protocol that can also write a judgment down, which a warm start needs."""

    def stitch(self, plan: str, execution: str, position: str) -> str:
        """A whole reply from its parts (see ``judgekit.data.worked``).

        :param position: ``A`` when the answer shown first is better
        """
        ...


@runtime_checkable
class WorkedPointProtocol(PointProtocol, Protocol):
    """A protocol for single responses that can also write a judgment down, which a warm start needs."""

    def stitch_score(self, plan: str, execution: str, score: float) -> str:
        """A whole reply from its parts (see ``judgekit.data.worked``)."""
        ...


def name_response(position: Verdict | None, order: Order) -> Verdict | None:
    """From the position a judge named to the response it stands for (A = response_a)."""
    return position if position is None or order == "ab" else SWAPPED[position]


def shown(pair: ResponsePair, order: Order) -> tuple[str, str]:
    """The responses in the order a judge sees them."""
    return (pair.response_a, pair.response_b) if order == "ab" else (pair.response_b, pair.response_a)


def fill(template: str, **slots: str) -> str:
    """Put texts into ``{slot}`` places in one pass, so that braces inside them stay what they are."""
    return re.sub(r"\{(\w+)\}", lambda match: slots[match.group(1)], template)
