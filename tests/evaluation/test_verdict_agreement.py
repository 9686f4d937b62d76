"""Agreement of judges against scikit-learn, and ties by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sklearn.metrics import cohen_kappa_score

from judgekit.evaluation.verdict_agreement import judge_agreement, tie_agreement
from judgekit.evaluation.verdict_metrics import score
from tests.evaluation.judges import both, pair, random_data


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
    assert found.kappa.value == pytest.approx(cohen_kappa_score(*zip(*said, strict=True)))
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


@pytest.mark.parametrize("seed", range(5))
def test_ties_as_halves_and_dropped_by_hand(seed: int) -> None:
    pairs, rows = random_data(seed)
    gold = {one.id: one.label for one in pairs}
    halves, firm = [], []
    for one in rows:
        label = gold[one.id]
        if one.verdict is None:
            continue
        halves.append(1.0 if one.verdict == label else 0.5 if "tie" in (one.verdict, label) else 0.0)
        if "tie" not in (one.verdict, label):
            firm.append(one.verdict == label)
    found = tie_agreement(pairs, rows, resamples=50)
    assert found.tie_half.value == pytest.approx(sum(halves) / len(halves))
    assert found.ties_dropped.value == pytest.approx(sum(firm) / len(firm))
    assert (found.tie_half.n, found.ties_dropped.n) == (len(halves), len(firm))


def test_without_ties_both_are_the_accuracy() -> None:
    pairs = [pair(number, "A") for number in range(20)]
    rows = [one for number in range(20) for one in both(number, "A", "B" if number < 5 else "A")]
    found = tie_agreement(pairs, rows)
    accuracy = score(pairs, rows).overall["accuracy"]
    assert found.tie_half == found.ties_dropped
    assert found.tie_half.value == accuracy


def test_all_ties_and_all_invalid() -> None:
    pairs = [pair(number, "A") for number in range(4)]
    ties = tie_agreement(pairs, [one for number in range(4) for one in both(number, "tie", "tie")])
    assert (ties.tie_half.value, ties.ties_dropped.value, ties.ties_dropped.ci95) == (0.5, None, None)
    invalid = tie_agreement(pairs, [one for number in range(4) for one in both(number, None, None)])
    assert invalid.tie_half.value is invalid.ties_dropped.value is None
    assert tie_agreement([], []).tie_half.value is None
