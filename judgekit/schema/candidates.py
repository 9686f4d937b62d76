"""Candidates: the models whose responses are compared."""

from __future__ import annotations

from dataclasses import dataclass

from judgekit.schema.fields import setting
from judgekit.schema.models import ModelConfig
from judgekit.schema.optim import OptimConfig


@dataclass(frozen=True)
class CandidateConfig:
    """One model that answers instructions, as it is or with an adapter."""

    model: ModelConfig | None = setting(None, "the model; null: the run's seed")
    adapter: str | None = setting(None, "folder of a PEFT adapter on it", path=True)
    tuned: bool = setting(True, "takes part in the tuning of candidates, where that is enabled")
    temperature: float = setting(0.8, "sampling temperature of its responses; 0: greedy", ge=0.0, le=2.0)
    top_p: float = setting(0.95, "nucleus probability", gt=0.0, le=1.0)
    chat: bool = setting(True, "asked in a chat; false: in plain text, as base models are")


@dataclass(frozen=True)
class TuningConfig:
    """Optional stage: all candidates are tuned alike on demonstrations before they answer."""

    enabled: bool = setting(False, "tune the candidates")
    path: str | None = setting(
        None, "file of demonstrations with the columns instruction, input (optional) and output; null: the better "
        "responses of labelled pairs set apart by examples", path=True,
    )  # fmt: skip
    examples: int = setting(256, "demonstrations to use; with a path, the first ones at most", ge=1)
    optim: OptimConfig = setting(OptimConfig, "how it optimises")
