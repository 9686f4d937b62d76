"""Losses against the formulas, written again in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from judgekit.training.losses import dpo_loss, nll_term, sft_loss

RNG = np.random.default_rng(3)
POLICY_CHOSEN, POLICY_REJECTED, REFERENCE_CHOSEN, REFERENCE_REJECTED = RNG.normal(-12.0, 1.5, (4, 6))


@pytest.mark.parametrize(("beta", "smoothing"), [(0.1, 0.0), (0.5, 0.2), (2.0, 0.49)])
def test_dpo_equals_the_formula(beta: float, smoothing: float) -> None:
    logits = beta * (np.log(np.exp(POLICY_CHOSEN - REFERENCE_CHOSEN) / np.exp(POLICY_REJECTED - REFERENCE_REJECTED)))
    sigmoid = 1.0 / (1.0 + np.exp(-logits))
    expected = -(1.0 - smoothing) * np.log(sigmoid) - smoothing * np.log(1.0 - sigmoid)
    inputs = [torch.tensor(x) for x in (POLICY_CHOSEN, POLICY_REJECTED, REFERENCE_CHOSEN, REFERENCE_REJECTED)]
    losses, margins = dpo_loss(*inputs, beta, smoothing)
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-7)
    np.testing.assert_allclose(margins.numpy(), logits, rtol=1e-7)


def test_dpo_stays_finite_where_a_naive_sigmoid_overflows() -> None:
    far = torch.tensor([-5000.0, 5000.0])
    losses, _ = dpo_loss(far, torch.zeros(2), torch.zeros(2), torch.zeros(2), 1.0)
    assert losses.tolist() == [5000.0, 0.0]


def test_sft_parts_add_up_to_the_token_mean() -> None:
    logps = torch.tensor([-1.0, -2.0, -4.0, -9.0])
    assert float(sft_loss(logps, 4)) == 4.0
    assert float(sft_loss(logps[:1], 4) + sft_loss(logps[1:], 4)) == 4.0


def test_nll_is_per_token() -> None:
    assert nll_term(torch.tensor([-6.0, -5.0]), torch.tensor([3, 5])).tolist() == [2.0, 1.0]
