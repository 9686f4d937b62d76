"""``loss=hinge``: the hinge loss of SLiC-HF (Zhao et al. 2023, arXiv 2305.10425) on the gap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from judgekit.losses.base import LOSSES, LossConfig, Pairs
from judgekit.schema.fields import setting

if TYPE_CHECKING:
    from torch import Tensor


@LOSSES.register
@dataclass(frozen=True)
class HingeLoss(LossConfig):
    """``loss=hinge``: it has a field of its own beside those of every loss."""

    name: Literal["hinge"] = setting("hinge", "loss")
    margin: float = setting(1.0, "δ: a gap of margin / beta costs nothing", gt=0)

    def pair_loss(self, gap_B: Tensor, pairs: Pairs) -> Tensor:
        """As of ``LossConfig``."""
        return hinge_loss(gap_B, self.beta, self.margin)


def hinge_loss(gap_B: Tensor, beta: float, margin: float) -> Tensor:
    """max(0, δ − β h) of each pair, (pairs,)."""
    return (margin - beta * gap_B).clamp(min=0.0)
