"""Bradley-Terry strengths: against choix, in simulation, and at the edges."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import choix
import numpy as np
import pytest

from judgekit.evaluation.model_battles import battles
from judgekit.rows import ResponsePair, Verdict
from judgekit.stats.bradley_terry import ALPHA, estimate
from judgekit.stats.ranking import Battle, rank
from tests.evaluation.judges import row


def fought(strengths: Sequence[float], seed: int, groups: int, tied: float = 0.1) -> list[Battle]:
    """Every system against every other once for each group, won with the model's probability."""
    draw = random.Random(seed)
    found = []
    for group in range(groups):
        for a in range(len(strengths)):
            for b in range(a):
                chance = 1 / (1 + math.exp(strengths[b] - strengths[a]))
                verdict: Verdict = "tie" if draw.random() < tied else "A" if draw.random() < chance else "B"
                found.append(Battle(f"s{a}", f"s{b}", verdict, f"g{group}"))
    return found


@pytest.mark.parametrize("alpha", [1e-3, ALPHA, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_equals_choix(seed: int, alpha: float) -> None:
    """It knows no ties: everything counts twice there, and so does the penalty."""
    found = fought([0.0, 0.5, 3.0, -1.0, 6.0], seed, groups=3, tied=0.3)
    number = {f"s{index}": index for index in range(5)}
    data = []
    for one in found:
        a, b = number[one.a], number[one.b]
        data += [(a, b), (b, a)] if one.verdict == "tie" else [(a, b) if one.verdict == "A" else (b, a)] * 2
    theirs = choix.opt_pairwise(5, data, alpha=2 * alpha, tol=1e-12)
    ours = rank(found, alpha=alpha).strengths
    assert [ours[f"s{index}"] for index in range(5)] == pytest.approx(theirs, abs=1e-6)


def test_many_tables_at_once_equal_each_alone() -> None:
    generator = np.random.default_rng(0)
    tables = generator.integers(0, 4, (20, 6, 6)).astype(float) * (1 - np.eye(6))
    together = estimate(tables)
    assert together.shape == (20, 6)
    for table, strengths in zip(tables, together, strict=True):
        assert strengths == pytest.approx(estimate(table), abs=1e-9)
        assert strengths.sum() == pytest.approx(0, abs=1e-9)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    truth = np.array([0.0, 0.4, 1.0, -1.4])
    covered = 0
    for seed in range(60):
        ranking = rank(fought(truth.tolist(), seed, groups=60, tied=0.0), resamples=200, seed=seed)
        assert [place.name for place in ranking.places][0] in ("s2", "s1")
        for place in ranking.places:
            assert place.strength.ci95 is not None
            low, high = place.strength.ci95
            covered += low <= truth[int(place.name[1:])] <= high
    assert 215 <= covered <= 238  # 228 of 240 are expected


def test_an_unbeaten_answer_stays_finite_and_first() -> None:
    ranking = rank([Battle("a", "b", "A", "g"), Battle("b", "a", "B", "g")])
    assert [place.name for place in ranking.places] == ["a", "b"]
    best = ranking.places[0]
    # The slope is 0: two wins not expected, against the penalty.
    theta = ranking.strengths["a"]
    assert 2 / (1 + math.exp(2 * theta)) == pytest.approx(2 * ALPHA * theta, abs=1e-8)
    assert theta == pytest.approx(1.9, abs=0.1)
    assert best.elo == pytest.approx(1000 + 400 * math.log10(math.exp(theta)))
    assert (best.wins, best.losses, best.ties, best.strength.ci95) == (2, 0, 0, None)


def test_ties_are_half_wins_and_invalid_verdicts_are_left_out() -> None:
    ties = [Battle("a", "b", "tie", "g"), Battle("a", "b", "tie", "g")]
    split = [Battle("a", "b", "A", "g"), Battle("a", "b", "B", "g")]
    assert rank(ties).strengths == rank(split).strengths == {"a": 0.0, "b": 0.0}
    lean = [*split, Battle("a", "b", "A", "g"), Battle("b", "a", "tie", "g")]
    wrong = [Battle("b", "a", None, "g", "ambiguous")] * 3
    assert rank([*lean, *wrong]).strengths == rank(lean).strengths
    assert rank([*lean, *wrong]).invalid == {"ambiguous": 3}


def test_equals_keep_the_order_of_their_names() -> None:
    assert list(rank([], ["c", "a", "b"]).strengths.items()) == [("c", 0.0), ("a", 0.0), ("b", 0.0)]
    circle = [Battle("a", "b", "A", "g"), Battle("b", "c", "A", "g"), Battle("c", "a", "A", "g")]
    assert list(rank(circle, ["c", "b", "a"]).strengths.items()) == [("c", 0.0), ("b", 0.0), ("a", 0.0)]
    assert rank([]).places == ()


def test_order_of_battles_and_sides_change_nothing() -> None:
    found = fought([0.0, 1.0, 2.0], 3, groups=20)
    mirrored = [
        Battle(one.b, one.a, {"A": "B", "B": "A"}.get(str(one.verdict), "tie"), one.group)  # type: ignore[arg-type]
        for one in reversed(found)
    ]
    names = ["s0", "s1", "s2"]
    assert rank(found, names, resamples=50) == rank(mirrored, names, resamples=50)


def test_battles_of_models() -> None:
    known = ResponsePair("p0", "ask", "one", "two", None, group="g", model_a="x", model_b="y")
    others = [
        ResponsePair("p1", "ask", "one", "two", None),
        ResponsePair("p2", "q", "1", "2", None, None, None, None, "x", "x"),
    ]
    found = battles([known, *others], [row(0, "ba", "B"), row(0, "ab", None), row(1, "ab", "A"), row(2, "ab", "A")])
    assert found == [Battle("x", "y", "B", "g"), Battle("x", "y", None, "g", "ambiguous")]


def test_without_a_penalty_it_refuses() -> None:
    with pytest.raises(ValueError, match="positive"):
        rank([], alpha=0.0)
