"""The loss of a packed sequence as configured: its part of the optimizer batch's mean, and of the series."""

from __future__ import annotations

import torch
from torch import Tensor

from judgekit.losses.base import LossConfig, Pairs, nll_term, preference_gap
from judgekit.losses.sft import sft_example_loss, sft_loss
from judgekit.training.batches import Packed, Share
from judgekit.training.logprobs import completion_logps

PREFERENCE_SERIES = ("margin", "accuracy", "chosen_logp", "rejected_logp", "nll")
"""Means over the batch that preference training reports beside its loss."""


def sft_part(logps_M: Tensor, packed: Packed, share: Share, loss: LossConfig) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of demonstrations.

    :param logps_M: log-probability of every completion token
    """
    sums_K, lengths_K = completion_logps(logps_M, packed)
    names_U = torch.tensor([names[0] for names in packed.completions], device=logps_M.device)
    if loss.sft_average == "examples":
        return sft_example_loss(sums_K[names_U], lengths_K[names_U], share.examples), {}
    return sft_loss(sums_K[names_U], share.tokens), {}


def preference_part(
    logps_M: Tensor, packed: Packed, share: Share, loss: LossConfig, reference: dict[int, Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of preference pairs, and the parts of ``PREFERENCE_SERIES``.

    :param logps_M: log-probability of every completion token
    :param reference: log-probabilities (2,) of chosen and rejected under the reference, by index of the pair
    """
    sums_K, lengths_K = completion_logps(logps_M, packed)
    names_B2 = torch.tensor(packed.completions, device=logps_M.device)
    policy_B2, lengths_B2 = sums_K[names_B2], lengths_K[names_B2]
    reference_B2 = torch.stack([reference[unit.index] for unit in packed.units])
    pairs = Pairs(policy_B2, reference_B2, lengths_B2)
    gap_B = preference_gap(policy_B2, reference_B2, lengths_B2 if loss.length_normalised else None)
    nll_B = nll_term(policy_B2[:, 0], lengths_B2[:, 0])
    values_B = (gap_B * loss.beta, (gap_B > 0).float(), policy_B2[:, 0], policy_B2[:, 1], nll_B)
    means = {
        name: value_B.detach().sum() / share.examples for name, value_B in zip(PREFERENCE_SERIES, values_B, strict=True)
    }
    return (loss.pair_loss(gap_B, pairs) + loss.nll_weight * nll_B).sum() / share.examples, means
