"""What every sampler back end is asked and answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from judgekit.rows import Message

Finish = Literal["stop", "eos", "length", "choice"]
Item = tuple[int, int]
"""(index into the requests, sample index): one sample to draw."""
Batch = tuple[Item, ...]
"""Samples that are generated together."""


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How one sample is drawn.

    :param temperature: 0 is greedy
    :param top_p: nucleus probability
    :param max_new_tokens: longest reply, tokens
    :param stop: generation ends once the text contains one of these
    :param choices: when not empty, the reply is one of these strings, with the probability of each
    :param seed: random stream; a sample's draws depend on (seed, prompt token ids, sample index) and nothing else
    :param beams: of a beam search, for greedy replies; 1: none
    :param repetition_penalty: divides positive logits of the tokens that stand in prompt and reply so far, and
        multiplies negative ones (arXiv 1909.05858, §4.1); 1: none. Choices know neither
    """

    temperature: float
    top_p: float
    max_new_tokens: int
    stop: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    seed: int = 0
    beams: int = 1
    repetition_penalty: float = 1.0

    @property
    def key(self) -> dict[str, Any]:
        """What a reply is kept under, as JSON; what came later is left out where it is off."""
        values = asdict(self)
        # 0 and 0.0 are the same temperature but not the same JSON.
        values |= {name: float(values[name]) for name in ("temperature", "top_p", "repetition_penalty")}
        off = {"beams": 1, "repetition_penalty": 1.0}
        return {name: value for name, value in values.items() if name not in off or value != off[name]}


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt and the samples wanted of it.

    :param id: names the request among the requests of one call; it does not influence what is drawn
    :param prompt_ids: prompt token ids, special tokens included; empty where a server encodes ``messages`` itself
    :param samples: sample indices; each is a random stream of its own
    :param messages: the prompt in text, only for back ends that take text
    :param prefill: text that already starts the reply, likewise
    """

    id: str
    prompt_ids: tuple[int, ...]
    params: SamplingParams
    samples: tuple[int, ...] = (0,)
    messages: tuple[Message, ...] = ()
    prefill: str = ""

    @property
    def prompt(self) -> list[Any]:
        """What the reply depends on, as JSON: token ids, or messages and prefill."""
        turns = [[message["role"], message["content"]] for message in self.messages]
        return list(self.prompt_ids) or [*turns, self.prefill]


@dataclass(frozen=True, slots=True)
class Generation:
    """One finished sample.

    :param text: the reply
    :param token_ids: ids the model produced, without the prompt
    :param finish: why it ended; ``length`` means it was cut at ``max_new_tokens``
    :param prompt_tokens: length of the prompt, tokens
    :param choice_probs: probability of each choice (they sum to 1), for requests with choices
    :param generated: length of the reply as a server counts it, tokens; None where ``token_ids`` tell
    :param served: what a server says of it: ``model`` and ``fingerprint`` that answered, what was ``changed`` in the
        request, in words, and ``thought_tokens`` where it counts them; None without a server
    """

    text: str
    token_ids: tuple[int, ...]
    finish: Finish
    prompt_tokens: int
    choice_probs: dict[str, float] | None = None
    generated: int | None = None
    served: dict[str, Any] | None = field(default=None, compare=False)

    @property
    def tokens(self) -> int:
        """Length of the reply, tokens."""
        return len(self.token_ids) if self.generated is None else self.generated


class ModelChanged(Exception):
    """Another model answers than the one whose replies are at hand. :ivar digest: what its replies are kept under"""

    def __init__(self, message: str, digest: str) -> None:
        self.digest = digest
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a prompt cannot be asked. It concerns this prompt alone: the others are asked.

    :param reason: what refusals are counted under, without numbers of single rows
    :param detail: what is particular to this prompt
    """

    reason: str
    detail: str = ""

    def __str__(self) -> str:
        """``REASON: DETAIL``."""
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


Finished = Sequence[tuple[Item, Generation | Refusal]]
"""Samples that came back together."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What a server charges, in any currency.

    :param prompt: for a million prompt tokens
    :param generated: for a million generated tokens
    """

    prompt: float
    generated: float


class Sampler(Protocol):
    """A back end that turns requests into generations.

    Where low-precision arithmetic makes a sample depend on the others of its batch, batches are planned first and can
    be run again later in the same composition. A back end that batches on its own plans batches of one sample.
    """

    def plan(self, requests: Sequence[Request]) -> list[Batch]:
        """Split the samples of ``requests`` into batches, each sample into exactly one. Deterministic."""
        ...

    def stream(self, requests: Sequence[Request], batches: Iterator[Batch]) -> Iterator[Finished]:
        """Generate the batches, taking the next ones as there is room, and give samples as they finish.

        A planned batch of several samples is given whole. A refused sample is left out of what is kept: the next call
        asks again.
        """
        ...

    def close(self) -> None:
        """Give memory and processes back; the next batch starts anew."""
        ...


@runtime_checkable
class Inheriting(Protocol):
    """A back end that can go on with what another one holds."""

    def take_over(self, other: Sampler) -> None:
        """Take from ``other`` what is of use, if anything is."""
        ...


class Progress(Protocol):
    """Told how sampling gets on."""

    def begin(self, samples: int, cached: int) -> None:
        """Called once: ``samples`` distinct samples are wanted, of which ``cached`` exist already."""
        ...

    def advance(self, samples: int, tokens: int) -> None:
        """``samples`` more are there, ``tokens`` newly generated for them (0 when another process did it)."""
        ...
