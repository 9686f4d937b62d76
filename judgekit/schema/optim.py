"""How training stages optimise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from judgekit.schema.fields import setting


@dataclass(frozen=True)
class OptimConfig:
    """How one training stage optimises."""

    lr: float = setting(1e-6, "peak learning rate", gt=0)
    warmup_steps: int = setting(0, "steps of linear warm-up", ge=0)
    schedule: Literal["constant", "linear", "cosine"] = setting("cosine", "learning-rate schedule after warm-up")
    final_lr_ratio: float = setting(0.1, "last learning rate as a share of the peak", ge=0.0, le=1.0)
    epochs: int = setting(2, "largest number of passes over the data", ge=1)
    max_steps: int | None = setting(1000, "largest number of optimizer steps; null: no limit", ge=1)
    batch_size: int = setting(8, "examples (SFT) or pairs (DPO) per optimizer step, over all processes", ge=1)
    betas: tuple[float, float] = setting((0.9, 0.95), "Adam β1, β2")
    weight_decay: float = setting(0.1, "decoupled weight decay", ge=0.0)
    dropout: float = setting(
        0.0, "dropout while training, on what each layer's attention and MLP add to the residual stream", ge=0.0, lt=1.0
    )
    clip_norm: float | None = setting(1.0, "gradient norm limit; null: none", gt=0)
    checkpoint_every: int = setting(100, "steps between checkpoints", ge=1)
