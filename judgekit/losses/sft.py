"""Supervised fine-tuning, which also comes before every preference loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from judgekit.losses.base import LOSSES, LossConfig
from judgekit.schema.fields import setting

if TYPE_CHECKING:
    from torch import Tensor


@LOSSES.register
@dataclass(frozen=True)
class SftLoss(LossConfig):
    """``loss=sft``: no preference training."""

    name: Literal["sft"] = setting("sft", "loss")


def sft_loss(logps_N: Tensor, tokens: int) -> Tensor:
    """Mean negative log-likelihood of completion tokens: long examples count for more.

    :param logps_N: (tokens of this part,) log-probability of each completion token, or their sums
    :param tokens: completion tokens of the whole optimizer batch, so that the parts' losses add up to the mean
    """
    return -logps_N.sum() / tokens


def sft_example_loss(logps_B: Tensor, lengths_B: Tensor, examples: int) -> Tensor:
    """Mean over examples of the mean negative log-likelihood of their tokens: every example counts the same.

    :param logps_B: (examples of this part,) log-probability of each completion, summed over its tokens
    :param lengths_B: tokens of each completion
    :param examples: examples of the whole optimizer batch, so that the parts' losses add up to the mean
    """
    return -(logps_B / lengths_B).sum() / examples
