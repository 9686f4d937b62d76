"""Models ranked by pairwise wins: counts by hand, merge rules, and coverage of the truth in simulation."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from judgekit.evaluation.model_battles import merged_battles
from judgekit.rows import ResponsePair, Verdict
from judgekit.stats.bootstrap import FloatArray
from judgekit.stats.ranking import Battle, Ranked, rank, tournament
from tests.evaluation.judges import row


def test_the_matrix_counted_by_hand() -> None:
    fought = [
        Battle("x", "y", "A", "1"), Battle("y", "x", "B", "1"), Battle("x", "y", "tie", "2"),
        Battle("y", "z", "A", "2"), Battle("z", "x", None, "3", "missing"),
    ]  # fmt: skip
    found = tournament(fought, resamples=0)
    assert found.names == ["x", "y", "z"] and found.prompts == 2
    assert [[meetings.share for meetings in line] for line in found.matrix] == [
        [None, pytest.approx(2.5 / 3), None], [pytest.approx(0.5 / 3), None, 1.0], [None, 0.0, None],
    ]  # fmt: skip
    assert found.matrix[0][1].games == 3 and found.ranking.invalid == {"missing": 1}


def test_merged_orders_are_one_battle_a_pair() -> None:
    pairs = [ResponsePair(f"p{i}", "q", "a", "b", None, group="q", model_a="x", model_b="y") for i in range(3)]
    verdicts = [
        row(0, "ab", "A"), row(0, "ba", "B"), row(1, "ab", "tie"), row(1, "ba", "A"),
        row(2, "ab", "A"), row(2, "ba", None),
    ]  # fmt: skip
    assert len(merged_battles(pairs, verdicts)) == 6
    panda = [battle.verdict for battle in merged_battles(pairs, verdicts, "panda")]
    assert panda == ["tie", "tie", None], "as the paper: of a tie first and a verdict second, the tie"
    symmetric = [battle.verdict for battle in merged_battles(pairs, verdicts, "panda_symmetric")]
    assert symmetric == ["tie", "A", None]


def test_order_and_coverage_in_simulation() -> None:
    """Both orders have the same verdict: one observation, not two, which only a clustered bootstrap allows for."""
    truth = np.array([0.9, 0.3, -0.2, -1.0])
    draw = random.Random(7)
    covered = covered_apart = ordered = 0
    trials, prompts = 60, 80
    for seed in range(trials):
        fought = []
        for prompt in range(prompts):
            for a in range(4):
                for b in range(a):
                    chance = 1 / (1 + math.exp(truth[b] - truth[a]))
                    verdict: Verdict = "A" if draw.random() < chance else "B"
                    fought += [Battle(f"m{a}", f"m{b}", verdict, str(prompt))] * 2
        places = tournament(fought, resamples=200, seed=seed).ranking.places
        ordered += [place.name for place in places] == ["m0", "m1", "m2", "m3"]
        covered += count_covered(places, truth)
        apart = [replace(battle, group=str(number)) for number, battle in enumerate(fought)]
        covered_apart += count_covered(rank(apart, resamples=200, seed=seed).places, truth)
    assert ordered >= trials - 2
    error = math.sqrt(0.95 * 0.05 / (4 * trials))
    assert 0.95 - 3 * error - 0.01 <= covered / (4 * trials) <= 0.95 + 3 * error
    assert covered_apart / (4 * trials) < 0.95 - 3 * error - 0.01, "as if both orders were independent"


def count_covered(places: Sequence[Ranked], truth: FloatArray) -> int:
    """Intervals with the true strength in them."""
    covered = 0
    for place in places:
        assert place.strength.ci95 is not None
        low, high = place.strength.ci95
        covered += bool(low <= truth[int(place.name[1])] - truth.mean() <= high)
    return covered
