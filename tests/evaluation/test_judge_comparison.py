"""Two judges on the same pairs, against statsmodels, scipy and resampling by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score as sklearn_kappa

from judgekit.errors import DataError
from judgekit.evaluation.judge_comparison import compare_judges, judge_agreement, paired_difference
from judgekit.evaluation.verdict_metrics import score
from tests.evaluation.judges import both, pair, random_data, row


def test_paired_difference() -> None:
    pairs = [pair(number, "A") for number in range(50)]
    good = [verdict for number in range(50) for verdict in both(number, "A", "A" if number < 40 else "B")]
    poor = [verdict for number in range(50) for verdict in both(number, "A" if number >= 30 else None, "A")]
    result = paired_difference(pairs, good, poor)
    assert (result.only_a, result.only_b, result.n) == (30, 10, 50)
    assert result.difference == pytest.approx(0.4)
    assert result.p_value == pytest.approx(binomtest(30, 40, 0.5).pvalue)
    assert 0 < result.ci95[0] < 0.4 < result.ci95[1] < 1
    reverse = paired_difference(pairs, poor, good)
    assert (reverse.difference, reverse.p_value) == (-result.difference, result.p_value)

    same = paired_difference(pairs, good, good, "accuracy_ab")
    assert (same.difference, same.p_value) == (0.0, 1.0)
    assert same.ci95[0] == -same.ci95[1] < 0


@pytest.mark.parametrize("metric", ["accuracy", "accuracy_ab", "accuracy_ba", "consistent_accuracy", "consistency"])
def test_paired_difference_is_the_difference_of_scores(metric: str) -> None:
    pairs, first = random_data(4)
    _, second = random_data(5)
    result = paired_difference(pairs, first, second, metric)  # type: ignore[arg-type]
    one, two = (score(pairs, rows, resamples=1).overall[metric] for rows in (first, second))
    assert isinstance(one, float) and isinstance(two, float)
    assert result.difference == pytest.approx(one - two)
    assert result.ci95[0] <= result.difference <= result.ci95[1]


def test_paired_difference_refuses_what_it_cannot_compare() -> None:
    pairs = [pair(0, "A")]
    with pytest.raises(DataError, match="second verdicts, field 'order': .*needs verdicts of order ba"):
        paired_difference(pairs, both(0, "A", "A"), [row(0, "ab", "A")])
    with pytest.raises(DataError, match="no pair has a label"):
        paired_difference([pair(0, None)], both(0, "A", "A"), both(0, "A", "A"))
    with pytest.raises(ValueError, match="not a mean over pairs"):
        paired_difference(pairs, [], [], "cohen_kappa")  # type: ignore[arg-type]


def test_accuracy_compares_halves() -> None:
    pairs = [pair(number, "A") for number in range(4)]
    first = [one for number in range(4) for one in both(number, "A", "B" if number else "A")]
    second = [one for number in range(4) for one in both(number, "B", "B" if number < 2 else "A")]
    result = paired_difference(pairs, first, second, "accuracy")
    assert (result.difference, result.only_a, result.only_b) == (3 / 8, 2, 0)
    assert result.p_value is None


def test_the_paired_bootstrap_knows_clusters() -> None:
    draw = np.random.default_rng(0)
    names = [f"g{number // 8}" for number in range(160)]
    pairs = [pair(number, "A", names[number]) for number in range(160)]
    better = np.repeat(draw.random(20) < 0.65, 8)
    first = [one for number in range(160) for one in both(number, "A", "A" if better[number] else "B")]
    second = [one for number in range(160) for one in both(number, "A", "B" if better[number] else "A")]
    result = paired_difference(pairs, first, second, resamples=4000)
    signs = 2.0 * better[::8] - 1
    means = signs[draw.integers(0, 20, (40_000, 20))].mean(axis=1)
    expected = 2 * min((means <= 0).mean(), (means >= 0).mean())
    assert result.p_bootstrap == pytest.approx(min(1.0, expected), abs=0.04)
    assert result.p_value is not None and result.p_value < result.p_bootstrap / 5


def test_p_values_are_uniform_where_judges_are_equal() -> None:
    found = []
    for seed in range(200):
        draw = np.random.default_rng(seed)
        wins = draw.random((2, 60)) < 0.6
        pairs = [pair(number, "A") for number in range(60)]
        judges = [
            [one for number in range(60) for one in both(number, "A", "A" if side[number] else "B")] for side in wins
        ]
        found.append(paired_difference(pairs, judges[0], judges[1], resamples=200, seed=seed).p_bootstrap)
    assert 0.01 <= np.mean(np.array(found) < 0.05) <= 0.10
    assert 0.35 <= np.mean(np.array(found) < 0.5) <= 0.65


def test_side_by_side_over_all_and_each_subset() -> None:
    pairs, first = random_data(6)
    _, second = random_data(7)
    found = compare_judges(pairs, first, second, resamples=100)
    assert (found.orders, found.left_out, found.overall.n) == (("ab", "ba"), (0, 0), len(pairs))
    for name, scope in ((None, found.overall), *found.subsets.items()):
        chosen = [one for one in pairs if name is None or one.subset == name]
        known = {one.id for one in chosen}
        rows = [[one for one in verdicts if one.id in known] for verdicts in (first, second)]
        said = [[one.verdict for one in sorted(side, key=lambda one: (one.id, one.order))] for side in rows]
        valid = [(one, two) for one, two in zip(*said, strict=True) if one and two]
        assert scope.agreement.value == pytest.approx(np.mean([one == two for one, two in valid]))
        assert scope.agreement.n == scope.kappa.n == len(valid)
        assert scope.kappa.value == pytest.approx(sklearn_kappa(*zip(*valid, strict=True)))
        for estimate in (scope.agreement, scope.kappa):
            assert estimate.value is not None and estimate.ci95 is not None
            assert estimate.ci95[0] <= estimate.value <= estimate.ci95[1]
        assert scope.invalid == tuple(side.count(None) for side in said)
        difference = paired_difference(chosen, *rows, "consistency", resamples=100)
        assert scope.metrics["consistency"].difference == difference


def test_only_what_both_judged_is_compared() -> None:
    pairs = [pair(number, None if number == 3 else "A") for number in range(6)]
    first = [one for number in range(5) for one in both(number, "A", "B")]
    second = [row(number, "ba", "B") for number in range(1, 6)]
    found = compare_judges(pairs, first, second)
    assert (found.orders, found.left_out) == (("ba",), (1, 1))
    assert (found.overall.n, found.overall.unlabelled) == (3, 1)
    assert list(found.overall.metrics) == ["accuracy_ba"]
    assert (found.overall.agreement.value, found.overall.agreement.n) == (1.0, 4)
    assert found.overall.kappa.value is None  # by chance alone they would agree always


def test_without_labels_there_is_the_agreement() -> None:
    pairs = [pair(number, None) for number in range(4)]
    first = [one for number in range(4) for one in both(number, "A", "A")]
    second = [one for number in range(4) for one in both(number, "A", "B" if number else None)]
    found = compare_judges(pairs, first, second).overall
    assert (found.n, found.metrics, found.invalid) == (0, {}, (0, 1))
    assert found.agreement.value == pytest.approx(4 / 7)
    wrong = compare_judges(pairs, [row(0, "ab", None)], [row(0, "ab", None)]).overall
    assert (wrong.agreement.value, wrong.kappa.value, wrong.invalid) == (None, None, (1, 1))


def test_nothing_in_common_is_refused() -> None:
    pairs = [pair(0, "A"), pair(1, "A")]
    with pytest.raises(DataError, match="no pair in common: one judge has 1 pairs, the other 1"):
        compare_judges(pairs, [row(0, "ab", "A")], [row(1, "ab", "A")])
    with pytest.raises(DataError, match="no order in common"):
        compare_judges(pairs, [row(0, "ab", "A")], [row(0, "ba", "A")])
    with pytest.raises(DataError, match="no gold pair 'p7'"):
        compare_judges(pairs, [row(7, "ab", "A")], [row(7, "ab", "A")])


@pytest.mark.parametrize("seed", range(8))
def test_agreement_of_judges_equals_scikit_learn_where_both_gave_a_verdict(seed: int) -> None:
    pairs, first = random_data(seed)
    _, second = random_data(seed + 100)
    found = judge_agreement(pairs, first, [*second, replace(second[0], id="unknown")], resamples=200)
    theirs = {(row.id, row.order): row.verdict for row in second}
    both_said = [(row.verdict, theirs[row.id, row.order]) for row in first if (row.id, row.order) in theirs]
    said = [(one, two) for one, two in both_said if one is not None and two is not None]
    assert found.agreed.n == found.kappa.n == len(said)
    assert found.agreed.value == pytest.approx(sum(one == two for one, two in said) / len(said))
    assert found.kappa.value == pytest.approx(sklearn_kappa(*zip(*said, strict=True)))
    for estimate in (found.agreed, found.kappa):
        assert estimate.value is not None and estimate.ci95 is not None
        assert estimate.ci95[0] <= estimate.value <= estimate.ci95[1]
    assert judge_agreement(pairs[::-1], first[::-1], second[::-1], resamples=200) == found
    assert judge_agreement(pairs, second, first, resamples=2).kappa.value == found.kappa.value


def test_agreement_of_judges_who_cannot_be_compared_is_null() -> None:
    pairs, rows = random_data(0)
    assert judge_agreement(pairs, rows, []).agreed.value is None
    invalid = [replace(row, verdict=None, invalid="missing") for row in rows]
    assert judge_agreement(pairs, rows, invalid).kappa.value is None
    same = [replace(row, verdict="A", invalid=None) for row in rows]
    found = judge_agreement(pairs, same, same)
    assert found.agreed.value == 1 and found.kappa.value is None  # by chance alone they agree as much
