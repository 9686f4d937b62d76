"""The judge's pairs: a worked battle matrix, Elo against choix, and what a biased meta-judge cannot do."""

from __future__ import annotations

from itertools import combinations

import choix
import numpy as np
import pytest

from judgekit.preferences.judgment_battles import (
    Contest,
    PositionWeights,
    battle_matrices,
    contest_pairs,
    contests,
    outcomes,
    position_weights,
    strengths,
)
from judgekit.rows import Candidate, Judgment, Order, PointJudgment, Verdict
from judgekit.stats.bradley_terry import estimate

RESPONSE = Candidate("p/r0", "p", "ask", "answer", 1)


def contest(count: int, candidate: Candidate = RESPONSE, chars: int = 10) -> Contest:
    rows = [PointJudgment(candidate.id, i, float(i % 5), None, f"{i}" * chars, 1) for i in range(count)]
    return Contest(candidate, tuple(rows))


def verdict(key: str, order: Order, named: Verdict | None) -> Judgment:
    return Judgment(key, order, 0, named, None if named else "missing", "text")


# r[m][n]: m shown first. 0 beats 1 from both positions, 1 beats 2 from the first only and fails to parse otherwise,
# 0 against 2: whoever is shown first wins.
WORKED = [
    verdict("p/r0#0-1", "ab", "A"),
    verdict("p/r0#0-1", "ba", "A"),
    verdict("p/r0#0-2", "ab", "A"),
    verdict("p/r0#0-2", "ba", "B"),
    verdict("p/r0#1-2", "ab", "A"),
    verdict("p/r0#1-2", "ba", None),
]


def test_a_worked_example_of_three() -> None:
    r_PJJ = outcomes([contest(3)], WORKED)
    assert r_PJJ.tolist() == [[[0, 1, 1], [-1, 0, 1], [1, 0, 0]]]
    weights = position_weights(r_PJJ)
    assert (weights.first, weights.second) == (4, 1)
    assert (weights.omega1, weights.omega2) == (0.2, 0.8)
    # B01 = ω1 (won first) + ω2 (won second), B02 = ω1, B12 = ω1, B20 = ω1, the rest 0
    assert battle_matrices(r_PJJ, weights)[0].tolist() == [[0.0, 1.0, 0.2], [0.0, 0.0, 0.2], [0.2, 0.0, 0.0]]
    found = contest_pairs([contest(3)], WORKED, seed=1)
    assert [(pair.chosen.sample, pair.rejected.sample) for pair in found.kept] == [(0, 1)]
    assert found.kept[0].chosen_strength > 0 > found.kept[0].rejected_strength


def test_position_weights_sum_to_one_and_no_tie_is_invented() -> None:
    for first, second in ((0, 0), (5, 0), (0, 5), (7, 3), (1, 2)):
        weights = PositionWeights(first, second)
        assert weights.omega1 + weights.omega2 == 1.0
    assert PositionWeights(0, 0).omega1 == 0.5
    assert PositionWeights(7, 3).omega1 == 0.3, "a win from the favoured position counts less"
    ties = [verdict(row.id, row.order, "tie") for row in WORKED]
    assert not outcomes([contest(3)], ties).any()
    assert outcomes([contest(3)], [verdict(row.id, row.order, None) for row in WORKED]).sum() == 0


@pytest.mark.parametrize("size", [3, 5, 11])
def test_elo_equals_choix_with_the_same_penalty(size: int) -> None:
    """200 random tables in all. Weights are quarters, so that four times each is a whole number of games there."""
    draw = np.random.default_rng(size)
    count = {3: 120, 5: 70, 11: 10}[size]
    r_PJJ = draw.choice([-1, 0, 1], p=[0.3, 0.2, 0.5], size=(count, size, size)).astype(np.int8)
    r_PJJ[:, np.arange(size), np.arange(size)] = 0
    weights = PositionWeights(3, 1)  # ω1 = 1/4, ω2 = 3/4
    alpha = 0.05
    ours = strengths(r_PJJ, weights, alpha)
    for theta, wins in zip(ours, battle_matrices(r_PJJ, weights), strict=True):
        games = [(int(i), int(j)) for i, j in np.argwhere(wins) for _ in range(round(4 * wins[i, j]))]
        theirs = choix.opt_pairwise(size, games, alpha=4 * alpha, tol=1e-12)
        assert theta == pytest.approx(theirs, abs=1e-6)
        assert theta.sum() == pytest.approx(0, abs=1e-6)


def test_renaming_judgments_renames_their_strengths() -> None:
    draw = np.random.default_rng(1)
    r_JJ = draw.choice([-1, 0, 1], size=(7, 7)).astype(np.int8)
    np.fill_diagonal(r_JJ, 0)
    weights, order = PositionWeights(5, 2), draw.permutation(7)
    assert strengths(r_JJ[order][:, order], weights) == pytest.approx(strengths(r_JJ, weights)[order], abs=1e-8)


def test_strengths_are_finite_for_one_that_wins_all_ties_and_nothing() -> None:
    wins = np.zeros((3, 4, 4))
    wins[0, 0, 1:] = 2.0  # wins all
    wins[1] = 0.5 * (1 - np.eye(4))  # all alike
    wins[2, 0, 1] = 1.0  # two never fought
    theta = estimate(wins)
    assert np.isfinite(theta).all()
    assert theta[0, 0] == theta[0].max() and theta[0, 1:] == pytest.approx(theta[0, 1])
    assert theta[1] == pytest.approx(0) and theta[2, 2:] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("position", ["A", "B"])
def test_who_always_prefers_a_position_gives_nobody_elo(position: str) -> None:
    rows = contest(6)
    named: dict[Order, Verdict] = {"ab": "A", "ba": "B"} if position == "A" else {"ab": "B", "ba": "A"}
    verdicts = [verdict(key, order, named[order]) for key, _, _ in rows.pairs for order in named]
    r_PJJ = outcomes([rows], verdicts)
    assert not strengths(r_PJJ, position_weights(r_PJJ)).any()
    found = contest_pairs([rows], verdicts, seed=1)
    assert found.kept == [] and found.dropped == {"prompt whose judgments are equally strong": 1}


def test_weights_come_from_the_whole_run() -> None:
    """Alone the second contest would know no second position that wins."""
    other = Candidate("q/r0", "q", "ask", "answer", 1)
    fair = [verdict(key, order, "A") for key, _, _ in contest(2).pairs for order in ("ab", "ba")]
    first = [verdict("q/r0#0-1", "ab", "A"), verdict("q/r0#0-1", "ba", None)]
    both = contest_pairs([contest(2), contest(2, other)], [*fair, *first], seed=1)
    assert [pair.chosen.sample for pair in both.kept] == [0, 0]
    assert both.kept[0].chosen_strength > both.kept[1].chosen_strength
    assert not contest_pairs([contest(2, other)], first, seed=1).kept


def test_over_long_chosen_judgments_are_dropped() -> None:
    found = contest_pairs([contest(3, chars=100)], WORKED, seed=1, max_chars=99)
    assert found.kept == [] and found.dropped == {"chosen judgment over max_judgment_chars": 1}


def test_the_response_of_largest_variance_is_taken() -> None:
    rows = [Candidate(f"{prompt}/r{i}", prompt, "ask", str(i), 1) for prompt in "pqst" for i in range(2)]
    scores: dict[str, list[float | None]] = {
        "p/r0": [3, 3, 4], "p/r1": [1, 3, 5],
        "q/r0": [1, 5, None], "q/r1": [2, 2, 3],  # the wide one has one valid judgment too few
        "s/r0": [None, None, None], "s/r1": [None, 2, None],
        "t/r0": [2, 2, 2], "t/r1": [4, 4, 4],
    }  # fmt: skip
    judgments = [
        PointJudgment(name, i, score, None if score is not None else "missing", f"text {i % 2 or name[0]}", 1)
        for name, given in scores.items()
        for i, score in enumerate(given)
        if name[0] != "t"
    ] + [PointJudgment(name, i, 2.0, None, "the same", 1) for name in ("t/r0", "t/r1") for i in range(3)]
    found = contests(rows, judgments, min_valid=3, seed=1)
    assert [one.candidate.id for one in found.kept] == ["p/r1", "q/r1"]
    assert [row.sample for row in found.kept[0].judgments] == [0, 1], "samples 0 and 2 are the same text"
    assert found.dropped == {
        "prompt without a response with enough valid judgments": 1,
        "prompt whose judgments to compare are all the same": 1,
    }
    assert [key for key, _, _ in found.kept[0].pairs] == ["p/r1#0-1"]


def test_ties_in_variance_are_drawn() -> None:
    taken = set()
    for number in range(20):
        rows = [Candidate(f"p{number}/r{i}", f"p{number}", "ask", str(i), 1) for i in range(2)]
        judgments = [PointJudgment(row.id, i, score, None, f"{i}", 1) for row in rows for i, score in enumerate((1, 2))]
        taken.add(contests(rows, judgments, 1, seed=3).kept[0].candidate.id.rpartition("/")[2])
    assert taken == {"r0", "r1"}


def test_every_pair_of_eleven_judgments_is_compared() -> None:
    rows = contest(11)
    assert len(rows.pairs) == len(list(combinations(range(11), 2))) == 55
