"""What every ``sampler`` has, and their register."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from judgekit.errors import ModelError, Problem
from judgekit.registry import Named, Sections
from judgekit.schema.fields import setting

if TYPE_CHECKING:
    from judgekit.sampling.base import Progress, Sampler
    from judgekit.sampling.text import TextSampler
    from judgekit.schema.models import ModelConfig
    from judgekit.weights import Weights


WHO = "who draws, when and how fast, not what"
"""Why such settings are in no stage's key."""


@dataclass(frozen=True)
class SamplerConfig(Named):
    """What every back end understands.

    :cvar function: MODULE:NAME of what makes the back end, imported when it is needed
    :cvar takes_weights: it samples from weights it is given (``make``); otherwise from a model of its own (``serve``)
    :cvar chunk: rows of a file judged together: back ends that batch on their own wait for the slowest of them
    :cvar searches: it has a beam search; ``penalises`` a repetition penalty
    """

    function: ClassVar[str] = ""
    takes_weights: ClassVar[bool] = True
    chunk: ClassVar[int] = 512
    searches: ClassVar[bool] = False
    penalises: ClassVar[bool] = False
    temperature: float = setting(
        0.8, "sampling temperature of plans, executions and judgments to train on; 0: greedy", ge=0.0, le=2.0
    )
    top_p: float = setting(0.95, "nucleus probability", gt=0.0, le=1.0)
    plan_tokens: int = setting(512, "longest plan, tokens", ge=1)
    execution_tokens: int = setting(2048, "longest execution with its verdict, tokens", ge=1)
    judge_tokens: int = setting(2048, "longest whole judgment, tokens", ge=1)
    thinking_tokens: int | None = setting(
        None,
        "longest thought before an answer, tokens, on top of those of the answer; a longer one is closed there. null: "
        "thought and answer share theirs",
        ge=1,
    )
    verdict: Literal["free", "constrained"] = setting(
        "free", "free: the verdict is read from the text; constrained: chosen among the allowed verdicts, yields P(A)"
    )
    beams: int = setting(
        1, "beams of greedy judgments in free text: a search ends when as many have ended; 1: no search", ge=1
    )
    repetition_penalty: float = setting(
        1.0, "over 1, tokens that stand in the prompt or the reply so far are less likely, in all free text", gt=0.0
    )
    shards: int = setting(1, "parts a sampling stage splits into", ge=1, unkeyed=WHO)
    shard: int | None = setting(
        None, "draw only this part (0-based), then wait for the others; null: draw all", ge=0, unkeyed=WHO
    )
    shard_wait: float | None = setting(
        None, "seconds a shard waits for the others after its own part; null: as long as it takes", ge=0, unkeyed=WHO
    )
    flip_pairs: int = setting(
        0, "pairs of a benchmark judged a second time, to report how many greedy verdicts flip (flip_rate)", ge=0
    )

    @property
    def identity(self) -> list[Any]:
        """Settings of its own that change what the same weights write."""
        return [] if self.thinking_tokens is None else [{"thinking_tokens": self.thinking_tokens}]

    def make(self, weights: Weights, model: ModelConfig) -> Sampler:
        """The back end, which loads the weights when it is first asked.

        :raises ModelError: it takes none
        """
        if not self.takes_weights:
            raise ModelError(f"sampler={self.name} does not take weights. Use sampler=vllm or sampler=hf.")
        sampler: Sampler = pkgutil.resolve_name(self.function)(weights, model, self)
        return sampler

    def serve(
        self, store: Path, progress: Callable[[str], Progress] | None = None, count_timeouts: bool = False
    ) -> TextSampler:
        """A model of its own, ready to be asked. Close it after use.

        :param store: root of the store that keeps the replies
        :param count_timeouts: a request that times out at last is refused, instead of ending the call
        :raises JudgekitError: it cannot be asked so
        """
        sampler: TextSampler = pkgutil.resolve_name(self.function)(self, store, progress, count_timeouts)
        return sampler

    def problems(self) -> list[Problem]:
        """A shard that there is not, and decoding that this back end has not got."""
        if self.shard is None or self.shard < self.shards:
            return self.beyond
        message = f"there are {self.shards} shards, numbered from 0, and this asks for number {self.shard}"
        return [Problem("shard", message, f"Use 0 to {self.shards - 1}, or raise sampler.shards"), *self.beyond]

    @property
    def beyond(self) -> list[Problem]:
        """Decoding that this back end has not got."""
        found = []
        if self.beams > 1 and not self.searches:
            message = f"sampler={self.name} has no beam search"
            found.append(Problem("beams", message, "Use sampler=hf, or 1 for plain greedy decoding"))
        if self.repetition_penalty != 1 and not self.penalises:
            message = f"sampler={self.name} has no repetition penalty"
            found.append(Problem("repetition_penalty", message, "Use sampler=hf or sampler=vllm, or 1 for none"))
        if self.thinking_tokens is not None and self.beams > 1:
            message = "a beam search does not stop at the end of a thought"
            found.append(Problem("thinking_tokens", message, "Use sampler.beams=1, or null for no budget"))
        return found


SAMPLERS = Sections("sampler", "judgekit.samplers", SamplerConfig)
