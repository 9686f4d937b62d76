"""``teacher``: the model whose judgments a recipe distils."""

from __future__ import annotations

from dataclasses import dataclass

from judgekit.samplers.base import SamplerConfig
from judgekit.schema.fields import setting
from judgekit.schema.judges import JudgeConfig


@dataclass(frozen=True)
class TeacherConfig(JudgeConfig):
    """``teacher``: any judge, or with an OpenAI sampler of its own a server's model; by default the run's own seed."""

    sampler: SamplerConfig | None = setting(None, "back end it is asked through; null: the run's sampler")
    temperature: float = setting(0.0, "sampling temperature; 0: greedy", ge=0.0, le=2.0)
    top_p: float = setting(1.0, "nucleus probability", gt=0.0, le=1.0)
    max_failed: float = setting(
        0.2, "share of failed replies (refused, timed out, cut off, another format) of one stage that ends the run; "
        "fewer are counted and never trained on", ge=0.0, le=1.0,
        unkeyed="it ends a stage or does not, and changes none",
    )  # fmt: skip

    @property
    def is_seed(self) -> bool:
        """Whether the run's own seed teaches, through the run's own sampler."""
        return self.sampler is None and self.path is None and self.hub is None and self.model is None
