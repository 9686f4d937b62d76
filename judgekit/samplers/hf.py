"""``sampler=hf``: transformers on one device."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from judgekit.errors import Problem
from judgekit.samplers.base import SAMPLERS, SamplerConfig
from judgekit.schema.fields import setting

if TYPE_CHECKING:
    from judgekit.sampling.hf import HfSampler
    from judgekit.schema.models import ModelConfig
    from judgekit.weights import Weights

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


@SAMPLERS.register
@dataclass(frozen=True)
class HfConfig(SamplerConfig):
    """``sampler=hf``: transformers on one device."""

    chunk: ClassVar[int] = 64
    name: Literal["hf"] = setting("hf", "back end")
    device: str = setting("auto", "torch device; auto: cuda where there is one, else cpu")
    batch_size: int = setting(64, "sequences generated together, at most", ge=1)
    batch_tokens: int = setting(32768, "tokens (prompts and replies) held together, at most", ge=64)

    def make(self, weights: Weights, model: ModelConfig) -> HfSampler:
        """As of ``SamplerConfig``."""
        from judgekit.sampling.hf import HfSampler

        return HfSampler(weights, model, self)

    def problems(self) -> list[Problem]:
        """Also a device that is none."""
        if _DEVICE.fullmatch(self.device):
            return super().problems()
        wrong = Problem("device", f"{self.device!r} is not a device", "Valid: auto, cpu, mps, cuda, cuda:N")
        return [wrong, *super().problems()]
