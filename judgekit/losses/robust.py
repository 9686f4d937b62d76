"""DPO that is unbiased under flipped preferences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from judgekit.errors import Problem
from judgekit.losses.base import LOSSES, LossConfig, Pairs
from judgekit.losses.dpo import dpo_loss
from judgekit.schema.fields import setting

if TYPE_CHECKING:
    from torch import Tensor


@LOSSES.register
@dataclass(frozen=True)
class RobustLoss(LossConfig):
    """``loss=robust``: Chowdhury et al. 2024; ``label_smoothing`` is the share of flipped preferences."""

    name: Literal["robust"] = setting("robust", "loss")

    def pair_loss(self, gap_B: Tensor, pairs: Pairs) -> Tensor:
        """As of ``LossConfig``."""
        return robust_dpo_loss(gap_B, self.beta, self.label_smoothing)

    def problems(self) -> list[Problem]:
        """No flipped preferences."""
        if self.label_smoothing > 0:
            return []
        message = "without flipped preferences robust DPO is DPO"
        return [Problem("label_smoothing", message, "Give the share expected to be flipped, or use loss=dpo")]


def robust_dpo_loss(gap_B: Tensor, beta: float, flip_rate: float) -> Tensor:
    """DPO that is unbiased under flipped preferences: Chowdhury et al. 2024 (arXiv 2403.00409).

    Its expectation over labels flipped with probability ε is the DPO loss of the true labels.

    :param gap_B: (pairs,) from ``preference_gap``
    :param beta: β, strength of the pull to the reference model
    :param flip_rate: ε, share of flipped preferences, below one half
    :return: loss of each pair, (pairs,); it can be negative
    """
    kept_B, flipped_B = dpo_loss(gap_B, beta), dpo_loss(-gap_B, beta)
    return ((1.0 - flip_rate) * kept_B - flip_rate * flipped_B) / (1.0 - 2.0 * flip_rate)
