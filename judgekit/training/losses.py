"""The losses papers define, as pure functions on log-probabilities.

Shapes: N completion tokens, B preference pairs. All log-probabilities are natural and in fp32.
"""

from __future__ import annotations

import torch.nn.functional as functional
from torch import Tensor


def sft_loss(logps_N: Tensor, tokens: int) -> Tensor:
    """Mean negative log-likelihood of completion tokens.

    :param logps_N: (tokens of this part,) log-probability of each completion token
    :param tokens: completion tokens of the whole optimizer batch, so that the parts' losses add up to the mean
    """
    return -logps_N.sum() / tokens


def dpo_loss(
    policy_chosen_B: Tensor,
    policy_rejected_B: Tensor,
    reference_chosen_B: Tensor,
    reference_rejected_B: Tensor,
    beta: float,
    label_smoothing: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Direct preference optimisation: Rafailov et al. 2023, eq. 7, with the label smoothing of conservative DPO.

    All inputs have shape (pairs,) and hold log-probabilities of whole replies, summed over their tokens.

    :param beta: β, strength of the pull to the reference model
    :param label_smoothing: ε, the assumed share of flipped preferences
    :return: loss of each pair, and its reward margin β (log π/π_ref of chosen − of rejected), both (pairs,)
    """
    margins_B = beta * ((policy_chosen_B - reference_chosen_B) - (policy_rejected_B - reference_rejected_B))
    kept_B = -functional.logsigmoid(margins_B) * (1.0 - label_smoothing)
    flipped_B = -functional.logsigmoid(-margins_B) * label_smoothing
    return kept_B + flipped_B, margins_B


def nll_term(policy_chosen_B: Tensor, lengths_B: Tensor) -> Tensor:
    """Negative log-likelihood of each chosen reply per token (the term of Pang et al. 2024, eq. 1), shape (pairs,).

    :param lengths_B: tokens of each chosen reply
    """
    return -policy_chosen_B / lengths_B
