"""Length control and the actor's pairs: tables worked out by hand."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgekit.recipes.self_rewarding.actor_pairs import ActorRules, actor_pairs, length_controlled, response_scores
from judgekit.rows import Candidate, PointJudgment

SCORES = [5.0, 4.75, 4.5, 3.8, 3.5, 3.0, 2.0, 1.0]
LENGTHS = [300, 250, 200, 100, 50, 900, 400, 60]


@pytest.mark.parametrize(
    ("rho", "chosen", "rejected"),
    [
        # Smax 5, Smin 1: upper tier from 5 - 4ρ, lower tier up to 1 + 4ρ
        (0.0, 0, 7),
        (0.1, 1, 7),  # from 4.6; up to 1.4
        (0.32, 3, 6),  # from 3.72: the one of 100; up to 2.28: the one of 400
        (0.4, 4, 6),  # from 3.4: the one of 50; up to 2.6
        (0.5, 4, 5),  # from 3 to 3: the tiers meet in the one of 900, which is rejected
        (1.0, 4, 5),  # all: the shortest and the longest
    ],
)
def test_length_control_equals_the_table(rho: float, chosen: int, rejected: int) -> None:
    assert length_controlled(SCORES, LENGTHS, rho) == (chosen, rejected)


def test_edges_belong_to_the_tiers() -> None:
    # 0.1: from 4.6 and up to 1.4, which floating point misses by a bit
    assert length_controlled([5.0, 4.6, 1.4, 1.0], [9, 5, 9, 5], 0.1) == (1, 2)


def test_equal_scores_make_no_pair_and_overlapping_tiers_may_not() -> None:
    for rho in (0.0, 0.32, 1.0):
        assert length_controlled([3.0, 3.0, 3.0], [1, 2, 3], rho) is None
    # all three are in both tiers: the shortest scores lowest here, and the longest highest
    assert length_controlled([5.0, 3.0, 1.0], [30, 20, 10], 1.0) == (2, 0)
    assert length_controlled([5.0, 1.0], [7, 7], 1.0) == (0, 1), "of equally long ones the better is chosen"


def test_at_rho_zero_equal_best_are_told_apart_by_length() -> None:
    assert length_controlled([5.0, 5.0, 1.0, 1.0], [20, 10, 5, 50], 0.0) == (1, 3)


def judged(scores: Sequence[Sequence[float | None]], lengths: Sequence[int], prompt: str = "p"):  # type: ignore[no-untyped-def]
    rows = [Candidate(f"{prompt}/r{i}", prompt, "ask", "x" * n, n) for i, n in enumerate(lengths)]
    judgments = [
        PointJudgment(row.id, sample, score, None if score is not None else "missing", "text", 1)
        for row, given in zip(rows, scores, strict=True)
        for sample, score in enumerate(given)
    ]
    return rows, judgments


def test_a_score_is_the_plain_mean_of_valid_judgments() -> None:
    _, judgments = judged([[4, 4.75, None], [None, None, 2], [None, None, None]], [1, 2, 3])
    assert response_scores(judgments, 1) == {"p/r0": 4.375, "p/r1": 2.0}
    assert response_scores(judgments, 2) == {"p/r0": 4.375}


def test_pairs_and_reasons() -> None:
    rows, judgments = [], []
    for prompt, scores, lengths in [
        ("p0", [[5, 5], [3, 2], [1, 1]], [10, 5, 7]),
        ("p1", [[5, None], [3, 3]], [10, 5]),  # one response has too few
        ("p2", [[4, 4], [4, 4]], [10, 5]),
        ("p3", [[5, 5], [1, 1]], [99, 5]),  # too long
        ("p4", [[None, None], [1, 1], [2, 2]], [9, 5, 6]),
    ]:
        more = judged(scores, lengths, prompt)
        rows += more[0]
        judgments += more[1]
    found = actor_pairs(rows, judgments, ActorRules(seed=1, rho=0.0, min_valid=2, max_chars=50))
    assert [(pair.chosen.id, pair.rejected.id) for pair in found.kept] == [("p0/r0", "p0/r2"), ("p4/r2", "p4/r1")]
    assert [(pair.chosen_score, pair.rejected_score) for pair in found.kept] == [(5.0, 1.0), (2.0, 1.0)]
    assert found.dropped == {
        "response with too few valid judgments": 2,
        "prompt with fewer than two scored responses": 1,
        "prompt whose responses all score the same": 1,
        "chosen response over max_response_chars": 1,
    }


def test_one_response_cannot_be_both() -> None:
    # at ρ = 0.5 both tiers hold the middle one, the shortest above and the longest below
    rows, judgments = judged([[5], [3], [1]], [30, 20, 10])
    found = actor_pairs(rows, judgments, ActorRules(seed=1, rho=0.5))
    assert not found.kept
    assert found.dropped == {"prompt whose shortest good and longest bad response are the same": 1}


def test_without_length_control_equals_are_drawn_by_prompt() -> None:
    chosen = set()
    for number in range(20):
        rows, judgments = judged([[5], [5], [1]], [10, 20, 30], f"p{number}")
        pair = actor_pairs(rows, judgments, ActorRules(seed=1, rho=None)).kept[0]
        assert pair.rejected.id == f"p{number}/r2"
        chosen.add(pair.chosen.id.rpartition("/")[2])
    assert chosen == {"r0", "r1"}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(4, 20), st.integers(1, 500)), min_size=2, max_size=7), st.floats(0, 0.49))
def test_below_one_half_the_chosen_response_scores_higher(drawn: list[tuple[int, int]], rho: float) -> None:
    scores, lengths = [score / 4 for score, _ in drawn], [length for _, length in drawn]
    found = length_controlled(scores, lengths, rho)
    if len(set(scores)) == 1:
        assert found is None
        return
    assert found is not None and scores[found[0]] > scores[found[1]]
    weaker = length_controlled(scores, lengths, rho / 2)
    assert weaker is not None
    assert lengths[found[0]] <= lengths[weaker[0]] and lengths[found[1]] >= lengths[weaker[1]]


def test_chosen_responses_get_shorter_as_rho_grows() -> None:
    draw = random.Random(0)
    rows, judgments = [], []
    for number in range(100):
        # longer answers score a little higher, as judges like them; means of three are near the top together
        lengths = [draw.randint(20, 400) for _ in range(6)]
        scores = [[min(5, max(0, round(n / 100 + draw.gauss(1.5, 1)))) for _ in range(3)] for n in lengths]
        more = judged(scores, lengths, f"p{number}")
        rows += more[0]
        judgments += more[1]
    means = []
    for rho in (0.0, 0.1, 0.2, 0.4):
        kept = actor_pairs(rows, judgments, ActorRules(seed=1, rho=rho)).kept
        means.append(sum(len(pair.chosen.text) for pair in kept) / len(kept))
    assert means == sorted(means, reverse=True) and len(set(means)) == 4
