"""The majority verdict over samples, and what more samples bring."""

from __future__ import annotations

import random
from itertools import combinations
from statistics import fmean

import pytest

from judgekit.errors import DataError
from judgekit.evaluation.merging import Merged, merge_orders
from judgekit.evaluation.verdict_metrics import score
from judgekit.evaluation.voting import majority_curve, vote
from judgekit.rows import ORDERS, VERDICTS, ResponsePair, Verdict
from judgekit.verdict_rows import VerdictRow
from tests.evaluation.judges import CHOICES, pair, row


def samples(*verdicts: Verdict | None) -> list[VerdictRow]:
    return [row(0, "ab", verdict, sample) for sample, verdict in enumerate(verdicts)]


@pytest.mark.parametrize(
    ("verdicts", "winner"),
    [
        (["A"], "A"),
        (["B", "A", "A"], "A"),
        (["A", None, "A"], "A"),
        (["tie", "B", "A", "B"], "B"),
        (["B", "A"], "no_majority"),
        (["A", None, "B"], "no_majority"),
        (["tie", "B", "A", "A", "tie"], "no_majority"),
        (["A", None, None], "too_few_votes"),
        (["A", "A", None, None], "too_few_votes"),
        ([None, None], "ambiguous"),
    ],
)
def test_the_modal_verdict_wins_and_there_is_none_among_equals_or_few(
    verdicts: list[Verdict | None], winner: str
) -> None:
    rows = samples(*verdicts)
    random.Random(0).shuffle(rows)
    (found,) = vote(rows)
    assert found.sample == 0
    assert (found.verdict, found.invalid) == ((winner, None) if winner in VERDICTS else (None, winner))


@pytest.mark.parametrize(
    ("verdicts", "min_votes", "winner"),
    [
        (["A", None, None], 1, "A"),
        (["A", None, None], 2, "too_few_votes"),
        (["A", "A", None], 3, "too_few_votes"),
        (["A", None, "B"], 1, "no_majority"),
        ([None, None], 1, "ambiguous"),
    ],
)
def test_how_many_valid_votes_it_takes_can_be_said(verdicts: list[Verdict | None], min_votes: int, winner: str) -> None:
    (found,) = vote(samples(*verdicts), min_votes)
    assert (found.verdict, found.invalid) == ((winner, None) if winner in VERDICTS else (None, winner))


def test_what_a_vote_without_majority_averages_is_merged() -> None:
    rows = [
        VerdictRow("p0", order, sample, verdict, None, "", p_a=p)
        for order, found in (("ab", [("A", 0.9), ("B", 0.3)]), ("ba", [("B", 0.3), ("B", 0.4)]))
        for sample, (verdict, p) in enumerate(found)
    ]  # fmt: skip
    assert merge_orders(vote(rows), "average_probability")["p0"] == Merged("B", None)  # 0.6 and 0.35
    assert merge_orders(vote(rows), "both_agree")["p0"] == Merged(None, "no_majority")


def test_scores_and_probabilities_are_averaged() -> None:
    rows = [
        VerdictRow("p", "ab", sample, "A", None, str(sample), p_a=p, score_a=score_a, score_b=2.0)
        for sample, (p, score_a) in enumerate([(0.9, 4.0), (0.5, None), (None, 5.0)])
    ]
    (found,) = vote(rows)
    assert (found.p_a, found.score_a, found.score_b, found.text) == (0.7, 4.5, 2.0, "0")


def test_orders_vote_apart() -> None:
    rows = [*samples("A", "A", "B"), row(0, "ba", "B", 0), row(0, "ba", "B", 1)]
    assert [(one.order, one.verdict) for one in vote(rows)] == [("ab", "A"), ("ba", "B")]


def noisy(count: int, size: int, right: float) -> tuple[list[ResponsePair], list[VerdictRow]]:
    draw = random.Random(3)
    pairs = [pair(number, draw.choice(CHOICES[:2])) for number in range(count)]
    rows = [
        row(number, order, one.label if draw.random() < right else draw.choice(CHOICES), sample)
        for number, one in enumerate(pairs)
        for order in ORDERS
        for sample in range(size)
    ]
    return pairs, rows


@pytest.mark.parametrize("metric", ["accuracy", "consistent_accuracy", "consistency"])
def test_with_all_samples_the_curve_is_the_vote(metric: str) -> None:
    pairs, rows = noisy(30, 1, 0.5)
    (point,) = majority_curve(pairs, rows, metric=metric)  # type: ignore[arg-type]
    assert point.estimate.value == pytest.approx(score(pairs, rows, resamples=5).overall[metric])


def test_the_curve_is_the_mean_over_subsets_of_samples() -> None:
    pairs, rows = noisy(6, 5, 0.4)
    by_key = {(one.id, one.order, one.sample): one for one in rows}
    exact = []
    for one in pairs:
        for order in ORDERS:
            for chosen in combinations(range(5), 3):
                said = [by_key[one.id, order, sample].verdict for sample in chosen]
                votes = [verdict for verdict in said if verdict]
                most = max(map(votes.count, votes), default=0)
                leading = {verdict for verdict in votes if votes.count(verdict) == most}
                exact.append(float(leading == {one.label} and len(votes) >= 2))
    (point,) = majority_curve(pairs, rows, [3], draws=3000, resamples=5)
    assert point.estimate.value == pytest.approx(fmean(exact), abs=0.01)


def test_votes_of_a_good_judge_get_better_with_samples() -> None:
    points = majority_curve(*noisy(150, 8, 0.5), resamples=200)
    assert [point.samples for point in points] == [1, 3, 5, 7, 8]
    values = [point.estimate.value or 0 for point in points]
    assert values[0] == pytest.approx(0.5 + 0.5 / 4, abs=0.05)
    assert values == sorted(values) and values[-1] > 0.85
    for point in points:
        assert point.estimate.ci95 is not None and point.estimate.value is not None
        assert point.estimate.ci95[0] < point.estimate.value < point.estimate.ci95[1]


def test_the_curve_does_not_depend_on_the_order_of_rows() -> None:
    pairs, rows = noisy(20, 4, 0.5)
    before = majority_curve(pairs, rows, resamples=20)
    random.Random(1).shuffle(rows)
    assert majority_curve(pairs, rows, resamples=20) == before


def test_absent_samples_and_unlabelled_pairs() -> None:
    pairs = [pair(0, "A"), pair(1, None), pair(2, "A")]
    rows = [*samples("A", "A", "A"), row(1, "ab", "B"), row(2, "ab", "A")]
    (point,) = majority_curve(pairs, rows, [1], draws=4000, resamples=5)
    assert point.estimate.n == 2
    assert point.estimate.value == pytest.approx((1 + 1 / 3) / 2, abs=0.02)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(DataError, match="there are 2 samples, not 3"):
        majority_curve([pair(0, "A")], samples("A", "B"), [3])
    with pytest.raises(DataError, match="consistency needs verdicts of both orders"):
        majority_curve([pair(0, "A")], samples("A"), metric="consistency")
    with pytest.raises(DataError, match="no pair has a label"):
        majority_curve([pair(0, None)], samples("A"))
    with pytest.raises(DataError, match="no verdicts"):
        majority_curve([pair(0, "A")], [])
    with pytest.raises(DataError, match="no gold pair 'p0'"):
        majority_curve([pair(1, "A")], samples("A"))
