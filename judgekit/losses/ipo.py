"""Identity preference optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from judgekit.errors import Problem
from judgekit.losses.base import LOSSES, LossConfig, Pairs
from judgekit.schema.fields import setting

if TYPE_CHECKING:
    from torch import Tensor


@LOSSES.register
@dataclass(frozen=True)
class IpoLoss(LossConfig):
    """``loss=ipo``: Azar et al. 2023, eq. 17; ``beta`` is its τ."""

    name: Literal["ipo"] = setting("ipo", "loss")

    def pair_loss(self, gap_B: Tensor, pairs: Pairs) -> Tensor:
        """As of ``LossConfig``."""
        return ipo_loss(gap_B, self.beta)

    def problems(self) -> list[Problem]:
        """Label smoothing, which it has none of."""
        if self.label_smoothing == 0:
            return []
        return [Problem("label_smoothing", "IPO has no label smoothing", "Use 0, or loss=dpo or loss=robust")]


def ipo_loss(gap_B: Tensor, beta: float) -> Tensor:
    """Identity preference optimisation: Azar et al. 2023 (arXiv 2310.12036), eq. 17.

    :param gap_B: (pairs,) from ``preference_gap``; its authors use the length-normalised one
    :param beta: τ of the paper: the gap is drawn to 1 / 2τ
    :return: loss of each pair, (pairs,)
    """
    return (gap_B - 1.0 / (2.0 * beta)) ** 2
