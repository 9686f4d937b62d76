"""Effects on verdicts against statsmodels, preferences by hand, and inputs that have no estimate."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import statsmodels.api as sm

from judgekit.evaluation.verdict_bias import (
    bias_errors,
    decisiveness,
    effects,
    longer_responses,
    own_responses,
    preference_rates,
)
from judgekit.evaluation.verdict_metrics import score
from judgekit.rows import Order, ResponsePair
from judgekit.stats.logistic import Coefficient
from tests.evaluation.judges import MIRROR, biased_judge, both, pair, row

NONE = (None, None)


def test_effects_are_those_of_the_model_in_the_module() -> None:
    pairs, rows = biased_judge(0, position=0.5, length=0.7, own=0.4, count=200)
    gold = {one.id: one for one in pairs}
    x, y, groups = [], [], []
    for one in rows:
        about = gold[one.id]
        if one.verdict != "tie":
            x.append([
                1 if about.label == "A" else -1, 1 if one.order == "ab" else -1,
                np.log(len(about.response_a) / len(about.response_b)),
                (about.model_a == "me") - (about.model_b == "me"),
            ])  # fmt: skip
            y.append(one.verdict == "A")
            groups.append(int(about.instruction.split()[1]))
    theirs = sm.Logit(np.array(y, float), np.array(x, float)).fit(
        disp=0, cov_type="cluster", cov_kwds={"groups": np.array(groups)}, tol=1e-12
    )
    found = effects(pairs, rows, own="me")
    assert list(found) == ["quality", "position", "length", "own"]
    assert [one.value for one in found.values()] == pytest.approx(list(theirs.params), abs=1e-8)
    assert {one.n for one in found.values()} == {len(y)}
    assert "own" not in effects(pairs, rows)


def test_names_of_the_responses_do_not_matter() -> None:
    pairs, rows = biased_judge(1, position=0.5, length=0.5, own=0.5)
    other: dict[Order, Order] = {"ab": "ba", "ba": "ab"}
    mirrored = [
        dataclasses.replace(one, response_a=one.response_b, response_b=one.response_a, label=MIRROR[one.label],
                            model_a=one.model_b, model_b=one.model_a)
        for one in pairs
    ]  # fmt: skip
    turned = [dataclasses.replace(one, order=other[one.order], verdict=MIRROR[one.verdict]) for one in rows]
    before, after = effects(pairs, rows, "me"), effects(mirrored, turned, "me")
    for name in before:
        assert before[name].value == pytest.approx(after[name].value)
        assert before[name].ci95 == pytest.approx(after[name].ci95)


def test_effects_without_a_finite_estimate_are_none() -> None:
    pairs = [pair(number, "A" if number % 2 else "B") for number in range(30)]
    perfect = [one for number in range(30) for one in both(number, *(["A", "A"] if number % 2 else ["B", "B"]))]  # type: ignore[arg-type]
    assert all((one.value, one.ci95) == NONE for one in effects(pairs, perfect).values())
    first = [one for number in range(30) for one in both(number, "A", "B")]
    assert effects(pairs, first)["position"] == Coefficient(None, None, 60)
    ties = [one for number in range(30) for one in both(number, "tie", None)]
    assert effects(pairs, ties)["quality"] == Coefficient(None, None, 0)
    assert effects([], [])["length"] == Coefficient(None, None, 0)
    one_cluster = [dataclasses.replace(one, group="g") for one in biased_judge(0)[0]]
    assert effects(one_cluster, biased_judge(0)[1])["quality"].value is None


def test_a_covariate_that_never_varies_leaves_the_others() -> None:
    pairs, rows = biased_judge(2, position=1.0)
    same = [dataclasses.replace(one, response_a="xx", response_b="yy") for one in pairs]
    found = effects(same, rows)
    assert found["length"].value is None
    assert found["position"].value == pytest.approx(1.0, abs=0.4)


def test_a_judge_never_moved_by_the_order_has_no_position_effect() -> None:
    pairs, rows = biased_judge(5, tied=0.0)
    said = {one.id: one.verdict for one in rows if one.order == "ab"}
    found = effects(pairs, [dataclasses.replace(one, verdict=said[one.id]) for one in rows])["position"]
    assert found.value == pytest.approx(0, abs=1e-9)
    assert found.ci95 is not None and found.ci95[0] < -0.1 and found.ci95[1] > 0.1


def test_preferences_of_judge_and_labels() -> None:
    pairs = [
        ResponsePair("p0", "q0", "longer", "no", "A", model_a="me", model_b="you"),
        ResponsePair("p1", "q1", "longer", "no", "B", model_a="me", model_b="me"),
        ResponsePair("p2", "q2", "no", "longer", "tie", model_a="you", model_b="me"),
        ResponsePair("p3", "q3", "same", "size", "A"),
    ]
    assert longer_responses(pairs) == {"p0": "A", "p1": "A", "p2": "B"}
    assert own_responses(pairs, "me") == {"p0": "A", "p2": "B"}
    rows = [*both(0, "A", "B"), *both(1, "A", None), *both(2, "B", "tie"), *both(3, "A", "A")]
    longer = preference_rates(pairs, rows, longer_responses(pairs), resamples=50)
    assert longer.judge.value == pytest.approx((1 + 0 + 1 + 1 + 0.5) / 5)
    assert longer.gold.value == pytest.approx((1 + 0 + 0.5) / 3)
    assert (longer.judge.n, longer.gold.n) == (5, 3)
    own = preference_rates(pairs, rows, own_responses(pairs, "me"), resamples=50)
    assert own.judge.value == pytest.approx(2.5 / 4)
    assert preference_rates(pairs, rows, {}).judge.value is None


def test_decisiveness_on_identical_answers() -> None:
    pairs = [ResponsePair(f"p{number}", f"q{number}", "same", "same", None) for number in range(4)] + [pair(9, "A")]
    rows = [*both(0, "A", "B"), *both(1, "tie", "tie"), *both(2, "tie", None), *both(9, "A", "A")]
    found = decisiveness(pairs, rows)
    assert found.value == pytest.approx(2 / 5)
    assert found.ci95 is not None and found.ci95[0] < 0.4 < found.ci95[1]
    assert decisiveness([pair(0, "A")], [row(0, "ab", "A")]).value is None


def test_errors_by_bias_are_what_accuracy_leaves() -> None:
    pairs = [pair(number, "A", subset="length" if number < 10 else "empty") for number in range(20)]
    rows = [one for number in range(20) for one in both(number, "A" if number % 10 < 8 else "B", None)]
    scores = score(pairs + [pair(99, None, subset="never")], rows)
    found = bias_errors(scores.subsets)
    assert set(found) == {"length", "empty"}
    assert found["length"][0] == pytest.approx(0.6)
    low, high = found["length"][1]
    assert low <= 0.6 <= high
