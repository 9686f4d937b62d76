"""Calibration against torchmetrics and scikit-learn, and debiasing by averaging both orders."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss
from torchmetrics.functional.classification import multiclass_calibration_error

from judgekit.evaluation.verdict_calibration import average_orders, calibrate
from judgekit.evaluation.verdict_metrics import score
from judgekit.rows import ORDERS, Order, ResponsePair, Verdict
from judgekit.verdict_rows import VerdictRow
from tests.evaluation.judges import pair


def row(number: int, order: Order, p_a: float | None) -> VerdictRow:
    verdict: Verdict = "A" if p_a is not None and p_a > 0.5 else "B"
    return VerdictRow(f"p{number}", order, 0, verdict, None, "", p_a=p_a)


def confident(seed: int, count: int = 200, stretch: float = 1.0) -> tuple[list[ResponsePair], list[VerdictRow]]:
    """A judge calibrated at stretch 1, over-confident above."""
    draw = random.Random(seed)
    pairs, rows = [], []
    for number in range(count):
        p = draw.random()
        pairs.append(pair(number, "A" if draw.random() < p else "B"))
        logit = stretch * float(np.log(p / (1 - p)))
        rows.append(row(number, draw.choice(ORDERS), float(1 / (1 + np.exp(-logit)))))
    return pairs, rows


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("bins", [5, 10, 15])
def test_equals_torchmetrics_and_scikit_learn(seed: int, bins: int) -> None:
    pairs, rows = confident(seed, stretch=2.0)
    gold = {one.id: one.label == "A" for one in pairs}
    p = np.array([one.p_a for one in rows])
    labels = np.array([gold[one.id] for one in rows])
    found = calibrate(pairs, rows, bins, resamples=20)
    theirs = multiclass_calibration_error(
        torch.tensor(np.stack([1 - p, p], axis=1)), torch.tensor(labels).long(), 2, n_bins=bins, norm="l1"
    )
    assert found.ece.value == pytest.approx(float(theirs), abs=1e-6)
    assert found.brier.value == pytest.approx(brier_score_loss(labels, p))
    confidence = np.maximum(p, 1 - p)
    assert found.overconfidence.value == pytest.approx(float(confidence.mean() - ((p > 0.5) == labels).mean()))


def test_bins_hold_every_verdict_once() -> None:
    pairs, rows = confident(0)
    found = calibrate(pairs, rows, 10, resamples=20)
    assert sum(one.n for one in found.bins) == len(rows) == found.ece.n
    assert [one.n for one in found.bins[:5]] == [0] * 5
    for one in found.bins[5:]:
        assert one.confidence is not None and one.accuracy.value is not None and one.accuracy.ci95 is not None
        assert one.low < one.confidence <= one.high
        assert 0 <= one.accuracy.ci95[0] <= one.accuracy.value <= one.accuracy.ci95[1] <= 1
    gaps = sum(one.n * abs((one.confidence or 0) - (one.accuracy.value or 0)) for one in found.bins)
    assert found.ece.value == pytest.approx(gaps / len(rows))


def test_edges_of_probability() -> None:
    pairs = [pair(number, "A") for number in range(4)]
    found = calibrate(pairs, [row(0, "ab", 1.0), row(1, "ab", 0.0), row(2, "ab", 0.5), row(3, "ab", None)])
    assert [(one.n, one.confidence, one.accuracy.value) for one in found.bins if one.n] == [
        (1, 0.5, 0.5),
        (2, 1.0, 0.5),
    ]
    assert found.overconfidence.value == pytest.approx(2.5 / 3 - 1.5 / 3)


def test_nothing_to_calibrate_is_none() -> None:
    pairs = [pair(0, "tie"), pair(1, None), pair(2, "A")]
    rows = [row(0, "ab", 0.7), row(1, "ab", 0.7), row(2, "ab", None)]
    found = calibrate(pairs, rows)
    assert found.ece.value is found.brier.value is found.overconfidence.value is None
    assert all((one.n, one.confidence) == (0, None) for one in found.bins)


def test_averaging_orders_takes_position_out() -> None:
    draw = random.Random(0)
    pairs, rows = [], []
    for number in range(200):
        pairs.append(pair(number, "A" if number % 2 else "B"))
        lean = (1.0 if number % 2 else -1.0) + draw.gauss(0, 1)
        for order in ORDERS:
            # The same doubt in both orders, and a strong pull to the first position.
            logit = lean + (2.0 if order == "ab" else -2.0)
            rows.append(row(number, order, float(1 / (1 + np.exp(-logit)))))
    before, after = score(pairs, rows).overall, score(pairs, average_orders(rows)).overall
    assert isinstance(before["first_position_rate"], float) and before["first_position_rate"] > 0.85
    assert (after["first_position_rate"], after["consistency"], after["delta_bias"]) == (0.5, 1.0, 0.0)
    assert isinstance(before["accuracy"], float) and isinstance(after["accuracy"], float)
    assert after["accuracy"] > before["accuracy"] + 0.15


def test_averaging_needs_both_orders() -> None:
    rows = [row(0, "ab", 0.8), row(0, "ba", 0.2), row(1, "ab", 0.9), row(2, "ab", 0.9), row(2, "ba", None)]
    found = average_orders(rows)
    assert [(one.id, one.order, one.verdict, one.p_a) for one in found] == [
        ("p0", "ab", "tie", 0.5), ("p0", "ba", "tie", 0.5),
    ]  # fmt: skip
