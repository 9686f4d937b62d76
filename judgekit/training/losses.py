"""The losses papers define, as pure functions on log-probabilities.

Shapes: N completion tokens, B examples or preference pairs. All log-probabilities are natural and in fp32. Where a
column is named 2, it holds chosen and rejected.

Preference losses are functions of the *gap* h, by how much more the policy prefers chosen to rejected than the
reference does: ``h = log π(chosen) / π_ref(chosen) − log π(rejected) / π_ref(rejected)``.
"""

from __future__ import annotations

import torch.nn.functional as functional
from torch import Tensor


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


def preference_gap(policy_B2: Tensor, reference_B2: Tensor, lengths_B2: Tensor | None = None) -> Tensor:
    """The gap h of each pair, shape (pairs,).

    :param policy_B2: log-probabilities of whole replies under the policy, summed over tokens; ``reference_B2`` likewise
    :param lengths_B2: tokens of each reply, for the length-normalised gap of Lambert et al. 2024 (Tülu 3,
        arXiv 2411.15124), where each log-ratio is the mean over tokens; None for the sum
    """
    ratios_B2 = policy_B2 - reference_B2
    if lengths_B2 is not None:
        ratios_B2 = ratios_B2 / lengths_B2
    return ratios_B2[:, 0] - ratios_B2[:, 1]


def dpo_loss(gap_B: Tensor, beta: float, label_smoothing: float = 0.0) -> Tensor:
    """Direct preference optimisation: Rafailov et al. 2023 (arXiv 2305.18290), eq. 7, with cDPO's label smoothing.

    :param gap_B: (pairs,) from ``preference_gap``
    :param beta: β, strength of the pull to the reference model
    :param label_smoothing: ε, the assumed share of flipped preferences (Mitchell 2023, conservative DPO)
    :return: loss of each pair, (pairs,)
    """
    kept_B = -functional.logsigmoid(beta * gap_B) * (1.0 - label_smoothing)
    flipped_B = -functional.logsigmoid(-beta * gap_B) * label_smoothing
    return kept_B + flipped_B


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


def ipo_loss(gap_B: Tensor, beta: float) -> Tensor:
    """Identity preference optimisation: Azar et al. 2023 (arXiv 2310.12036), eq. 17.

    :param gap_B: (pairs,) from ``preference_gap``; its authors use the length-normalised one
    :param beta: τ of the paper: the gap is drawn to 1 / 2τ
    :return: loss of each pair, (pairs,)
    """
    return (gap_B - 1.0 / (2.0 * beta)) ** 2


def nll_term(chosen_B: Tensor, lengths_B: Tensor) -> Tensor:
    """Negative log-likelihood of each chosen reply per token (Pang et al. 2024, arXiv 2404.19733, eq. 1), (pairs,).

    :param chosen_B: log-probability of each chosen reply under the policy, summed over its tokens
    :param lengths_B: tokens of each chosen reply
    """
    return -chosen_B / lengths_B
