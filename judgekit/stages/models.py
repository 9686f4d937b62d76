"""Models as inputs of stages: those that are asked, those that training starts from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from judgekit.judges import Decoding
from judgekit.prompts.base import PairProtocol, PointProtocol, PromptConfig
from judgekit.sampling.base import SamplingParams
from judgekit.sampling.text import Replies, TextRequest, TextSampler
from judgekit.schema.fields import setting
from judgekit.stages.stage import Digest, Made, read, unkeyed
from judgekit.store import Workspace
from judgekit.weights import Weights


@dataclass(frozen=True)
class Origin:
    """Weights as an input: of the seed, of a file, or of a stage that trains them.

    :param weights: digest of the files, or of the stage
    :param fetch: gives the files
    :param stage: the stage that trains them, None for a model as it is
    """

    weights: Digest
    fetch: Callable[[], Weights] = unkeyed("the digest says what it gives")
    stage: Made[Any] | None = unkeyed("the digest is its own", None)


@dataclass(frozen=True)
class Judge:
    """A model at some point of a recipe.

    :param name: as in reports: ``seed``, ``warm``, ``sft``, ``dpo1`` ...
    :param votes: its verdicts are majorities over so many samples; 0: greedy judgments
    """

    name: str
    origin: Origin
    votes: int = 0

    def voting(self, votes: int) -> Judge:
        """The same model, judging by majority over so many samples."""
        return replace(self, name=f"{self.name}-vote{votes}", votes=votes)


@dataclass(frozen=True)
class Model:
    """A model that a stage asks, with all that decides what it says besides the prompt and the decoding.

    :param weights: digest of its files, or of the stage that trains them
    :param dtype: precision of its weights
    :param back_end: name of the sampler; ``options`` those of its settings that change what is written
    :param max_length: context in tokens; longer requests are refused
    :param template: arguments of its chat template
    :param open: makes it ready
    """

    weights: Digest
    dtype: str | None
    back_end: str
    options: dict[str, Any]
    max_length: int | None
    open: Callable[[], TextSampler] = unkeyed("the other fields say what it opens")
    template: dict[str, Any] = setting({}, "", off={})

    def ask(self, requests: Sequence[TextRequest], workspace: Workspace | None, title: str) -> Replies:
        """Replies to all requests; see ``TextSampler.ask``."""
        return self.open().ask(requests, workspace, title)


@dataclass(frozen=True)
class Drawing:
    """How samples are drawn."""

    temperature: float = read("sampler.temperature")
    top_p: float = read("sampler.top_p")
    seed: int = read("seed")
    repetition_penalty: float = read("sampler.repetition_penalty", off=1.0)

    def params(self, tokens: int, stop: tuple[str, ...] = ()) -> SamplingParams:
        """Sampling of at most ``tokens`` new tokens."""
        return SamplingParams(
            self.temperature, self.top_p, tokens, stop, (), self.seed, repetition_penalty=self.repetition_penalty
        )


@dataclass(frozen=True)
class Judging(Decoding):
    """How whole judgments are asked for and read."""

    prompt: PromptConfig = read("prompt")
    tokens: int = read("sampler.judge_tokens")
    verdict: Literal["free", "constrained"] = read("sampler.verdict")
    beams: int = read("sampler.beams", off=1)
    repetition_penalty: float = read("sampler.repetition_penalty", off=1.0)
    strip_thoughts: bool = read("bias.strip_thoughts", off=False)

    @property
    def protocol(self) -> PairProtocol | PointProtocol:
        """How to ask and how to read."""
        return self.prompt.protocol
