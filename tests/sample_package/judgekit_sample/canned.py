"""``sampler=canned``: replies in turn, whatever is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from judgekit.errors import Problem
from judgekit.samplers.base import SAMPLERS, SamplerConfig
from judgekit.sampling.base import Batch, Finished, Generation, Request
from judgekit.schema.fields import setting
from judgekit.schema.models import ModelConfig
from judgekit.weights import Weights


@SAMPLERS.register
@dataclass(frozen=True)
class CannedConfig(SamplerConfig):
    """``sampler=canned``."""

    function: ClassVar[str] = "judgekit_sample.canned:Canned"
    name: Literal["canned"] = setting("canned", "back end")
    replies: tuple[str, ...] = setting(("[[A]]", "[[B]]"), "sample n of a prompt is the n-th of these, from the start")

    @property
    def identity(self) -> list[Any]:
        """The replies: others are other generations."""
        return [list(self.replies)]

    def problems(self) -> list[Problem]:
        """Also nothing to reply."""
        return super().problems() if self.replies else [Problem("replies", "there is none")]


class Canned:
    """The back end."""

    def __init__(self, weights: Weights, model: ModelConfig, config: CannedConfig) -> None:
        self.config = config

    def plan(self, requests: Sequence[Request]) -> list[Batch]:
        """One sample a batch."""
        return [((index, sample),) for index, request in enumerate(requests) for sample in request.samples]

    def stream(self, requests: Sequence[Request], batches: Iterator[Batch]) -> Iterator[Finished]:
        """Reply at once."""
        for batch in batches:
            for index, sample in batch:
                text = self.config.replies[sample % len(self.config.replies)]
                size = len(requests[index].prompt_ids)
                yield [((index, sample), Generation(text, tuple(text.encode()), "eos", size))]

    def close(self) -> None:
        """There is nothing to give back."""
