"""The warm start, which every recipe offers."""

from __future__ import annotations

from dataclasses import dataclass

from judgekit.schema.fields import setting
from judgekit.schema.optim import OptimConfig


@dataclass(frozen=True)
class WarmStartConfig:
    """Optional first stage: SFT on worked judgments shipped with the starter data. Off in paper set-ups."""

    enabled: bool = setting(False, "run the warm start")
    examples: int = setting(320, "worked judgments to use", ge=1)
    plan_every: int = setting(
        4, "also show the plan prompt and, where it is used, the execution prompt (evalplanner), or the plain task "
        "(self_rewarding, meta_rewarding) for every n-th of them; 0: never", ge=0,
    )  # fmt: skip
    categories: tuple[str, ...] | None = setting(
        None,
        "categories (SOURCE/CATEGORY) they come from, so that the others are left to self-training; null: all",
    )
    stop_accuracy: float | None = setting(
        None,
        "stop at the first checkpoint whose consistent accuracy on the validation split reaches this, so that "
        "right and wrong chains are left to learn from; null: train all steps",
        gt=0.0,
        le=1.0,
    )
    optim: OptimConfig = setting(OptimConfig, "how it optimises")
