"""Losses against the formulas, written again in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from judgekit.losses.base import nll_term, preference_gap
from judgekit.losses.dpo import dpo_loss
from judgekit.losses.ipo import ipo_loss
from judgekit.losses.robust import robust_dpo_loss
from judgekit.losses.sft import sft_example_loss, sft_loss

RNG = np.random.default_rng(3)
POLICY, REFERENCE = RNG.normal(-12.0, 1.5, (2, 6, 2))
LENGTHS = RNG.integers(3, 40, (6, 2))


def ratios() -> np.ndarray:
    """π / π_ref of chosen and rejected, as probabilities."""
    return np.exp(POLICY) / np.exp(REFERENCE)


def gap(lengths: np.ndarray | None = None) -> torch.Tensor:
    """Ours, from tensors."""
    held = None if lengths is None else torch.tensor(lengths)
    return preference_gap(torch.tensor(POLICY), torch.tensor(REFERENCE), held)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


@pytest.mark.parametrize(("beta", "smoothing"), [(0.1, 0.0), (0.5, 0.2), (2.0, 0.49)])
def test_dpo_equals_the_formula(beta: float, smoothing: float) -> None:
    share = sigmoid(beta * np.log(ratios()[:, 0] / ratios()[:, 1]))
    expected = -(1.0 - smoothing) * np.log(share) - smoothing * np.log(1.0 - share)
    np.testing.assert_allclose(dpo_loss(gap(), beta, smoothing).numpy(), expected, rtol=1e-7)


@pytest.mark.parametrize("beta", [0.1, 5.0])
def test_length_normalised_dpo_equals_the_formula(beta: float) -> None:
    means = ratios() ** (1.0 / LENGTHS)
    expected = -np.log(sigmoid(beta * np.log(means[:, 0]) - beta * np.log(means[:, 1])))
    np.testing.assert_allclose(dpo_loss(gap(LENGTHS), beta).numpy(), expected, rtol=1e-7)


@pytest.mark.parametrize("normalised", [False, True])
def test_ipo_equals_the_formula(normalised: bool) -> None:
    powers = ratios() ** (1.0 / LENGTHS) if normalised else ratios()
    expected = (np.log(powers[:, 0] / powers[:, 1]) - 1.0 / (2.0 * 0.2)) ** 2
    found = ipo_loss(gap(LENGTHS if normalised else None), 0.2)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-7)


@pytest.mark.parametrize("flip_rate", [0.0, 0.1, 0.4])
def test_robust_dpo_is_unbiased_under_flips(flip_rate: float) -> None:
    """Each label is flipped with the assumed rate: in expectation the loss is that of the true labels."""
    expected = -np.log(sigmoid(0.3 * np.log(ratios()[:, 0] / ratios()[:, 1])))
    true, flipped = robust_dpo_loss(gap(), 0.3, flip_rate), robust_dpo_loss(-gap(), 0.3, flip_rate)
    np.testing.assert_allclose(((1.0 - flip_rate) * true + flip_rate * flipped).numpy(), expected, rtol=1e-7)
    if flip_rate:
        assert not np.allclose(true.numpy(), expected)


def test_losses_stay_finite_where_a_naive_sigmoid_overflows() -> None:
    far = torch.tensor([-5000.0, 5000.0])
    assert dpo_loss(far, 1.0).tolist() == [5000.0, 0.0]
    assert robust_dpo_loss(far, 1.0, 0.25).tolist() == [7500.0, -2500.0]


def test_sft_parts_add_up_to_the_mean() -> None:
    logps, lengths = torch.tensor([-1.0, -2.0, -4.0, -9.0]), torch.tensor([1, 2, 2, 3])
    assert float(sft_loss(logps, 8)) == 2.0
    assert float(sft_loss(logps[:1], 8) + sft_loss(logps[1:], 8)) == 2.0
    assert float(sft_example_loss(logps, lengths, 4)) == (1.0 + 1.0 + 2.0 + 3.0) / 4
    parts = sft_example_loss(logps[:1], lengths[:1], 4) + sft_example_loss(logps[1:], lengths[1:], 4)
    assert float(parts) == (1.0 + 1.0 + 2.0 + 3.0) / 4


def test_nll_is_per_token() -> None:
    assert nll_term(torch.tensor([-6.0, -5.0]), torch.tensor([3, 5])).tolist() == [2.0, 1.0]
