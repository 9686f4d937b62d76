"""``sampler=hf``: transformers on one device."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from judgekit.errors import Problem
from judgekit.samplers.base import SAMPLERS, SamplerConfig
from judgekit.schema.fields import setting

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


@SAMPLERS.register
@dataclass(frozen=True)
class HfConfig(SamplerConfig):
    """``sampler=hf``: transformers on one device."""

    function: ClassVar[str] = "judgekit.sampling.hf:HfSampler"
    chunk: ClassVar[int] = 64
    searches: ClassVar[bool] = True
    penalises: ClassVar[bool] = True
    name: Literal["hf"] = setting("hf", "back end")
    device: str = setting("auto", "torch device; auto: cuda where there is one, else cpu", rounding=True)
    batch_size: int = setting(64, "sequences generated together, at most", ge=1, rounding=True)
    batch_tokens: int = setting(32768, "tokens (prompts and replies) held together, at most", ge=64, rounding=True)

    def problems(self) -> list[Problem]:
        """Also a device that is none."""
        if _DEVICE.fullmatch(self.device):
            return super().problems()
        wrong = Problem("device", f"{self.device!r} is not a device", "Valid: auto, cpu, mps, cuda, cuda:N")
        return [wrong, *super().problems()]
