"""Judges with one known bias of known size: the size lies in its 95 % interval, and no other probe raises an alarm."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from judgekit.evaluation.pointwise import central_tendency
from judgekit.evaluation.verdict_bias import effects
from judgekit.evaluation.verdict_calibration import calibrate
from judgekit.evaluation.verdict_metrics import score
from judgekit.rows import ORDERS, ResponsePair, ScoredResponse, Verdict
from judgekit.stats.bootstrap import Estimate
from judgekit.stats.logistic import Coefficient
from judgekit.verdict_rows import VerdictRow
from tests.evaluation.judges import biased_judge

SIMULATIONS = 200
COVERED = range(181, 200)
"""Of 200 intervals at 95 %, within about three standard deviations of 190 (and never all)."""
ALARMS = 19
"""Alarms at 5 %, at most about three standard deviations above 10."""

Probes = dict[str, Coefficient | Estimate]
NOTHING = {"position": 0.0, "length": 0.0, "own": 0.0, "overconfidence": 0.0, "middle": 0.0}


def pairwise(**planted: float) -> Callable[[int], Probes]:
    def probes(seed: int) -> Probes:
        found = effects(*biased_judge(seed, **planted), own="me")  # type: ignore[arg-type]
        return {name: found[name] for name in ("position", "length", "own")}

    return probes


def probable(stretch: float) -> Callable[[int], Probes]:
    """A judge whose log odds are those of the truth times ``stretch``."""

    def probes(seed: int) -> Probes:
        draw = random.Random(f"{seed} probability")
        pairs, rows = [], []
        for number in range(150):
            p = draw.random()
            sizes = [draw.randrange(20, 200) for _ in range(2)]
            models = draw.sample(["me", "you", "them"], 2)
            label: Verdict = "A" if draw.random() < p else "B"
            pairs.append(
                ResponsePair(f"p{number}", f"q{number}", "x" * sizes[0], "y" * sizes[1], label,
                             model_a=models[0], model_b=models[1])
            )  # fmt: skip
            for order in ORDERS:
                said = 1 / (1 + math.exp(-stretch * math.log(p / (1 - p))))
                rows.append(VerdictRow(f"p{number}", order, 0, "A" if said > 0.5 else "B", None, "", p_a=said))
        found = effects(pairs, rows, own="me")
        gap = calibrate(pairs, rows, resamples=200, seed=seed).overconfidence
        return {"overconfidence": gap, **{name: found[name] for name in ("position", "length", "own")}}

    return probes


def scoring(middle: float) -> Callable[[int], Probes]:
    """A judge that says 3 of 1 to 5 with a chance, else the human score or one as people give them."""

    def probes(seed: int) -> Probes:
        draw = random.Random(f"{seed} scores")
        rows, scores = [], {}
        for number in range(240):
            human = draw.choice(HUMAN)
            rows.append(ScoredResponse(f"r{number}", "q", "text", human, 1.0, 5.0, f"q{number // 4}"))
            honest = human if draw.random() < 0.6 else draw.choice(HUMAN)
            scores[f"r{number}"] = 3.0 if draw.random() < middle else honest
        return {"middle": central_tendency(rows, scores, resamples=200, seed=seed)}

    return probes


HUMAN = [1.0, 2.0, 2.0, 3.0, 4.0, 4.0, 4.0, 5.0, 5.0, 5.0]


def overconfidence(stretch: float) -> float:
    """Mean confidence minus accuracy where the truth is uniform."""
    p = (np.arange(20_000) + 0.5) / 20_000
    said = 1 / (1 + np.exp(-stretch * np.log(p / (1 - p))))
    return float(np.maximum(said, 1 - said).mean() - np.maximum(p, 1 - p).mean())


JUDGES: dict[str, tuple[Callable[[int], Probes], dict[str, float]]] = {
    "none": (pairwise(), {}),
    "position": (pairwise(position=0.5), {"position": 0.5}),
    "length": (pairwise(length=0.6), {"length": 0.6}),
    "self-preference": (pairwise(own=0.7), {"own": 0.7}),
    "calibrated": (probable(1.0), {}),
    "over-confidence": (probable(2.0), {"overconfidence": overconfidence(2.0)}),
    "honest scores": (scoring(0.0), {}),
    "mid-scale": (scoring(0.2), {"middle": 0.2 * (1 - HUMAN.count(3.0) / len(HUMAN))}),
}


@pytest.mark.parametrize("judge", JUDGES)
def test_planted_sizes_are_found_and_nothing_else(judge: str) -> None:
    probe, planted = JUDGES[judge]
    covered: Counter[str] = Counter()
    alarms: Counter[str] = Counter()
    names: set[str] = set()
    for seed in range(SIMULATIONS):
        for name, found in probe(seed).items():
            names.add(name)
            assert found.ci95 is not None
            low, high = found.ci95
            covered[name] += low <= planted.get(name, 0.0) <= high
            alarms[name] += not low <= 0 <= high
    for name in names:
        if name in planted:
            assert covered[name] in COVERED, (name, covered)
            assert alarms[name] > SIMULATIONS * 0.6, "a bias of this size is noticed"
        else:
            assert alarms[name] <= ALARMS, (name, alarms)
    assert set(planted) <= names <= set(NOTHING)


def test_the_rate_of_the_first_position_finds_position_bias_only() -> None:
    """``first_position_rate`` is 1/2 without position bias, whatever else biases the judge."""
    others = {"length": 0.6, "own": 0.7}
    alarms: Counter[str] = Counter()
    for seed in range(SIMULATIONS):
        for name, planted in {"position": {"position": 0.5}, "others": others}.items():
            interval = score(*biased_judge(seed, **planted), resamples=200, seed=seed).overall[  # type: ignore[arg-type]
                "first_position_rate_ci95"
            ]
            assert isinstance(interval, list)
            alarms[name] += not interval[0] <= 0.5 <= interval[1]
    assert alarms["position"] > SIMULATIONS * 0.9
    assert alarms["others"] <= ALARMS
