"""What every protocol offers: a way to ask, and a way to read the reply; and the register of what configures them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from judgekit.errors import ConfigError, Problem
from judgekit.prompts.thoughts import of_answer
from judgekit.registry import Named, Sections
from judgekit.rows import Message, Order, Response, ResponsePair, Verdict

VERDICT = r"\[\[([AB])\]\]"
"""Regular expression of the verdict many protocols end in."""
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


@dataclass(frozen=True, slots=True)
class ScoresReading:
    """The scores of all answers in the order shown, or the reason why they are not known."""

    scores: tuple[float, ...] | None
    invalid: str | None = None


class Verdicts(Protocol):
    """What constrained decoding needs to know of a protocol."""

    @property
    def verdict_tokens(self) -> tuple[str, ...]:
        """The verdicts it chooses among; none where decoding is always free."""
        ...

    @property
    def verdict_lead(self) -> str:
        """What stands before the verdict, where decoding is constrained."""
        ...

    @property
    def verdict_stops(self) -> tuple[str, ...]:
        """Where free reasoning ends, so that the verdict can be chosen; empty: there is no reasoning before it."""
        ...


@runtime_checkable
class PairProtocol(Verdicts, Protocol):
    """How a judge is asked about two responses. Asking and reading live in one class, so they cannot drift apart.

    Verdicts are, in this order: first position, second position, tie where there is one. Protocols that end in scores
    have none.
    """

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
class ManyProtocol(Protocol):
    """A protocol that can score several responses to one instruction in a single reply."""

    @property
    def at_once(self) -> bool:
        """Whether several responses are scored so, instead of pair by pair."""
        ...

    def many_prompt(self, question: str, answers: Sequence[str], reference: str | None = None) -> tuple[Message, ...]:
        """The prompt for two or more answers, in the order given."""
        ...

    def read_many(self, text: str, truncated: bool, count: int) -> ScoresReading:
        """The scores of ``count`` answers.

        :param truncated: the reply hit its token limit
        """
        ...

    def compare(self, first: float, second: float) -> Verdict:
        """The verdict of two scores."""
        ...


@runtime_checkable
class ShapedReply(Protocol):
    """A protocol that says how the judge's reply begins and where it ends."""

    @property
    def prefill(self) -> str:
        """Text that already starts the reply; what is read is what follows it. Empty: none."""
        ...

    @property
    def stops(self) -> tuple[str, ...]:
        """The reply ends before the first of these. Empty: where the judge ends it."""
        ...


@runtime_checkable
class WorkedProtocol(PairProtocol, Protocol):
    """A protocol that can also write a judgment down, which a warm start needs."""

    def stitch(self, plan: str, execution: str, position: str) -> str:
        """A whole reply from its parts (see ``judgekit.data.worked_judgments``).

        :param position: ``A`` when the answer shown first is better
        """
        ...


@runtime_checkable
class WorkedPointProtocol(PointProtocol, Protocol):
    """A protocol for single responses that can also write a judgment down, which a warm start needs."""

    def stitch_score(self, plan: str, execution: str, score: float) -> str:
        """A whole reply from its parts (see ``judgekit.data.worked_judgments``)."""
        ...


@dataclass(frozen=True, slots=True)
class Ending:
    """How the verdict of a reply is read without judgekit, for cards of judges.

    :param told: what a reply is and where its verdict stands, in words
    :param after: the verdict follows the last of these; empty: it stands anywhere
    :param pattern: regular expression whose group is the verdict, A or B; none or both are no verdict
    """

    told: str
    after: str
    pattern: str


@dataclass(frozen=True)
class PromptConfig(Named):
    """``prompt``: how judges are asked, and how their replies are read. Each protocol's file has its own.

    :cvar ending: how its verdicts are read without judgekit, where that can be said in a line
    """

    ending: ClassVar[Ending | None] = None
    speaks: ClassVar[Callable[[Any], PairProtocol | PointProtocol]]

    @property
    def protocol(self) -> PairProtocol | PointProtocol:
        """How it asks and reads."""
        return type(self).speaks(self)


_READERS: dict[str, Callable[[None, str], Any]] = {
    "read": Reading,
    "read_score": ScoreReading,
    "read_many": ScoresReading,
}


class _Prompts(Sections[PromptConfig]):
    def protocol(self, config: type[PromptConfig]) -> Callable[[type[P]], type[P]]:
        """Decorator of a protocol, which is made of the configuration: registers that.

        Its readers are given answers, without the thoughts that come before them.
        """

        def register(protocol: type[P]) -> type[P]:
            for name, unread in _READERS.items():
                if name in vars(protocol):
                    setattr(protocol, name, of_answer(unread)(vars(protocol)[name]))
            config.speaks = protocol
            self.register(config)
            return protocol

        return register


P = TypeVar("P", bound="PairProtocol | PointProtocol")
PROMPTS = _Prompts("prompt", "judgekit.prompts", PromptConfig)


def pair_protocol(config: PromptConfig) -> PairProtocol:
    """The protocol a configuration names, for callers that compare two responses.

    :raises ConfigError: when it scores single responses
    """
    protocol = config.protocol
    if isinstance(protocol, PairProtocol):
        return protocol
    message = f"the protocol '{config.name}' scores single responses, and two are to be compared"
    raise ConfigError([Problem("prompt.name", message, "Use prompt=pairwise")])


def no_room(low: float, high: float) -> list[Problem]:
    """The mistake of a scale whose worst score is not below its best."""
    if low < high:
        return []
    return [Problem("high", f"a scale from {low:g} to {high:g} has no room", "Give a best score above prompt.low")]


def name_response(position: Verdict | None, order: Order) -> Verdict | None:
    """From the position a judge named to the response it stands for (A = response_a)."""
    return position if position is None or order == "ab" else SWAPPED[position]


def shown(pair: ResponsePair, order: Order) -> tuple[str, str]:
    """The responses in the order a judge sees them."""
    return (pair.response_a, pair.response_b) if order == "ab" else (pair.response_b, pair.response_a)


def fill(template: str, **slots: str) -> str:
    """Put texts into ``{slot}`` places in one pass, so that braces inside them stay what they are."""
    return re.sub(r"\{(\w+)\}", lambda match: slots[match.group(1)], template)
