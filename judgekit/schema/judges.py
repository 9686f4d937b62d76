"""``judge``: which judge is asked, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from judgekit.prompts.base import PromptConfig
from judgekit.schema.fields import setting
from judgekit.schema.models import ModelConfig


@dataclass(frozen=True)
class JudgeConfig:
    """``judge``: a folder, a model of the hub, or with ``sampler=openai`` a server's model."""

    name: str | None = setting(
        None, "name in reports; null: that of the run's judge, the folder or the model", unkeyed="a name"
    )
    path: str | None = setting(None, "folder of a run, of its judge, of an adapter or of a whole model")
    hub: str | None = setting(None, "model of the hub with its commit, ORGANISATION/NAME@COMMIT")
    model: ModelConfig | None = setting(None, "a model by its parts; for a run or an adapter, the base in use")
    dtype: Literal["bfloat16", "float32", "float16"] | None = setting(
        None, "precision of the weights in memory; null: that of the run or the model, otherwise bfloat16"
    )
    max_length: int | None = setting(
        None, "context length in tokens; null: that of the run or the model, otherwise its own up to 8192", ge=64
    )
    tokens: int | None = setting(
        None, "longest judgment, tokens; null: that of the run, otherwise sampler.judge_tokens", ge=1
    )
    verdict: Literal["free", "constrained"] | None = setting(
        None, "how a verdict is decoded; null: as in the run, otherwise sampler.verdict"
    )
    beams: int | None = setting(None, "beams of greedy judgments; null: as in the run, otherwise sampler.beams", ge=1)
    repetition_penalty: float | None = setting(
        None, "less likely tokens that stand there already; null: as in the run, otherwise sampler's", gt=0.0
    )
    strip_thoughts: bool | None = setting(
        None, "judge responses without the thoughts before their answers; null: as in the run, otherwise false"
    )
    prompt: PromptConfig | None = setting(None, "protocol it is asked with; null: that of the run it comes from")
