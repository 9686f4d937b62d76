"""Direct preference optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from judgekit.losses.base import LOSSES, LossConfig, Pairs
from judgekit.schema.fields import setting

if TYPE_CHECKING:
    from torch import Tensor


@LOSSES.register
@dataclass(frozen=True)
class DpoLoss(LossConfig):
    """``loss=dpo``: Rafailov et al. 2023, eq. 7; with ``label_smoothing`` cDPO."""

    name: Literal["dpo"] = setting("dpo", "loss")

    def pair_loss(self, gap_B: Tensor, pairs: Pairs) -> Tensor:
        """As of ``LossConfig``."""
        return dpo_loss(gap_B, self.beta, self.label_smoothing)


def dpo_loss(gap_B: Tensor, beta: float, label_smoothing: float = 0.0) -> Tensor:
    """Direct preference optimisation: Rafailov et al. 2023 (arXiv 2305.18290), eq. 7, with cDPO's label smoothing.

    :param gap_B: (pairs,) from ``preference_gap``
    :param beta: β, strength of the pull to the reference model
    :param label_smoothing: ε, the assumed share of flipped preferences (Mitchell 2023, conservative DPO)
    :return: loss of each pair, (pairs,)
    """
    from torch.nn.functional import logsigmoid

    kept_B = -logsigmoid(beta * gap_B) * (1.0 - label_smoothing)
    flipped_B = -logsigmoid(-beta * gap_B) * label_smoothing
    return kept_B + flipped_B
