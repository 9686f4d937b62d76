"""Metrics of judges against independent implementations, recorded judges and their own symmetries."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, precision_recall_fscore_support

from judgekit.errors import DataError
from judgekit.evaluation.benchmarks import load_benchmark
from judgekit.evaluation.benchmarks.base import BenchmarkConfig
from judgekit.evaluation.verdict_metrics import RATES, MetricValue, score, tie_agreement
from judgekit.rows import ORDERS, Order, ResponsePair, Verdict
from judgekit.stats.agreement import cohen_kappa
from judgekit.stats.bootstrap import wilson
from judgekit.verdict_rows import VerdictRow
from tests.evaluation.judges import CHOICES, MIRROR, both, pair, random_data, row


def numbers(values: dict[str, MetricValue]) -> Iterator[float]:
    for value in values.values():
        if isinstance(value, list):
            yield from value
        elif value is not None:
            yield value


def by_hand(
    pairs: Sequence[ResponsePair], rows: Sequence[VerdictRow], tie_for_invalid: bool = False
) -> dict[str, float | None]:
    """The definitions row by row, with none of the table arithmetic of the package."""
    gold = {one.id: one.label for one in pairs}
    raw = {(one.id, one.order): one.verdict for one in rows}
    said = {key: verdict or ("tie" if tie_for_invalid else None) for key, verdict in raw.items()}
    n = len(pairs)

    def accuracy(order: Order) -> float:
        return sum(said[name, order] == label for name, label in gold.items()) / n

    first = [said[key] == ("A" if key[1] == "ab" else "B") for key in said if said[key] in ("A", "B")]
    lean_first = lean_second = 0
    for name in gold:
        ab, ba = said[name, "ab"], said[name, "ba"]
        if ab is not None and ba is not None:
            total = {"A": 1, "B": -1, "tie": 0}[ab] + {"A": -1, "B": 1, "tie": 0}[ba]
            lean_first += total > 0
            lean_second += total < 0
    invalid = sum(verdict is None for verdict in raw.values())
    right = sum(raw[name, order] == label for name, label in gold.items() for order in ORDERS)
    ties = sum(verdict == "tie" for verdict in said.values())
    truth = [gold[name] for name, _ in said]
    answers = [verdict or "invalid" for verdict in said.values()]
    found = {
        "accuracy_ab": accuracy("ab"),
        "accuracy_ba": accuracy("ba"),
        "accuracy": (accuracy("ab") + accuracy("ba")) / 2,
        "consistent_accuracy": sum(said[i, "ab"] == g and said[i, "ba"] == g for i, g in gold.items()) / n,
        "consistency": sum(said[i, "ab"] == said[i, "ba"] is not None for i in gold) / n,
        "first_position_rate": sum(first) / len(first) if first else None,
        "delta_bias": abs(lean_first - lean_second) / n,
        "bias_first": lean_first / n,
        "bias_second": lean_second / n,
        "tie_rate": ties / (2 * n) if ties or "tie" in truth else None,
        "invalid_rate": invalid / (2 * n),
        "accuracy_low": right / (2 * n),
        "accuracy_high": (right + invalid) / (2 * n),
    }
    classes = [name for name in CHOICES if name in {*truth, *answers} and name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for average in ("macro", "weighted"):
            scores = precision_recall_fscore_support(truth, answers, labels=classes, average=average, zero_division=0)
            for metric, value in zip(("precision", "recall", "f1"), scores, strict=False):
                found[f"{metric}_{average}"] = float(value)
        kappa = float(cohen_kappa_score(truth, answers))
    found["cohen_kappa"] = None if math.isnan(kappa) else kappa
    return found


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("invalid_as", [None, "tie"])
def test_every_metric_equals_its_definition_and_scikit_learn(seed: int, invalid_as: str | None) -> None:
    pairs, rows = random_data(seed, count=[1, 2, 3, 7, 60][seed % 5])
    scores = score(pairs, rows, resamples=10, invalid_as=invalid_as)  # type: ignore[arg-type]
    expected = by_hand(pairs, rows, tie_for_invalid=invalid_as == "tie")
    assert set(expected) == set(RATES)
    assert {name: scores.overall[name] for name in RATES} == pytest.approx(expected, abs=1e-12)
    for name, found in scores.subsets.items():
        inside = [one for one in pairs if one.subset == name]
        ids = {one.id for one in inside}
        expected = by_hand(inside, [one for one in rows if one.id in ids], invalid_as == "tie")
        assert {key: found[key] for key in RATES} == pytest.approx(expected, abs=1e-12)
        assert found["n"] == len(inside)


def test_keys_are_those_documented_and_intervals_hold_their_value() -> None:
    pairs, rows = random_data(1, 200, 200)
    scores = score(pairs, rows)
    assert set(scores.to_json()) == {"overall", "subsets"}
    for values in (scores.overall, *scores.subsets.values()):
        assert set(values) == {"n", "unlabelled", *RATES, *(f"{name}_ci95" for name in RATES)}
        for name in RATES:
            value, interval = values[name], values[f"{name}_ci95"]
            assert isinstance(value, float) and isinstance(interval, list)
            assert interval[0] <= value <= interval[1] and interval[0] < interval[1]
    json.dumps(scores.to_json(), allow_nan=False)


EDGE_CASES = {
    "nothing": ([], []),
    "no verdicts": ([pair(0, "A")], []),
    "all ties": ([pair(i, "tie") for i in range(4)], [v for i in range(4) for v in both(i, "tie", "tie")]),
    "tie verdicts": ([pair(i, "A") for i in range(4)], [v for i in range(4) for v in both(i, "tie", "tie")]),
    "all invalid": ([pair(i, "B") for i in range(4)], [v for i in range(4) for v in both(i, None, None)]),
    "one row": ([pair(0, "A")], [row(0, "ab", "A")]),
    "one invalid row": ([pair(0, "A")], [row(0, "ba", None)]),
    "no labels": ([pair(i, None) for i in range(4)], [v for i in range(4) for v in both(i, "A", "B")]),
    "one cluster": ([pair(i, "A", "g") for i in range(4)], [v for i in range(4) for v in both(i, "A", CHOICES[i % 2])]),
}


@pytest.mark.parametrize("case", EDGE_CASES)
def test_edge_cases_give_numbers_or_null(case: str) -> None:
    pairs, rows = EDGE_CASES[case]
    overall = score(pairs, rows, resamples=50).overall
    assert all(math.isfinite(number) for number in numbers(overall))
    for name in RATES:
        interval = overall[f"{name}_ci95"]
        assert (overall[name] is None) == (interval is None)
        if isinstance(interval, list):
            assert -1 <= interval[0] < interval[1] <= 1


def test_what_does_not_apply_is_null() -> None:
    one_order = score(*EDGE_CASES["one row"]).overall
    assert one_order["accuracy"] == one_order["accuracy_ab"] == 1.0
    assert [name for name in RATES if one_order[name] is None] == [
        "accuracy_ba", "consistent_accuracy", "consistency", "delta_bias", "bias_first", "bias_second", "tie_rate",
        "cohen_kappa",
    ]  # fmt: skip
    assert score(*EDGE_CASES["all ties"]).overall["first_position_rate"] is None
    assert score(*EDGE_CASES["tie verdicts"]).overall["tie_rate"] == 1.0
    invalid = score(*EDGE_CASES["all invalid"]).overall
    assert (invalid["invalid_rate"], invalid["accuracy_low"], invalid["accuracy_high"]) == (1.0, 0.0, 1.0)
    assert invalid["first_position_rate"] is None and invalid["consistency"] == 0.0
    assert all(value is None for name, value in score([pair(0, "A")], []).overall.items() if name in RATES)


def test_unlabelled_pairs_are_left_out_and_counted() -> None:
    pairs = [pair(0, "A", subset="x"), pair(1, None, subset="x"), pair(2, None, subset="y")]
    rows = [*both(0, "A", "A"), *both(1, None, "B"), *both(2, "A", "A")]
    scores = score(pairs, rows)
    assert (scores.overall["n"], scores.overall["unlabelled"]) == (1, 2)
    assert (scores.subsets["y"]["n"], scores.subsets["y"]["unlabelled"]) == (0, 1)
    assert scores.overall["invalid_rate"] == 0.0 and scores.invalid_reasons == {}
    assert scores.subsets["y"]["accuracy"] is None


def test_absent_rows_of_a_judged_order_are_invalid() -> None:
    pairs = [pair(0, "A"), pair(1, "B")]
    scores = score(pairs, [row(0, "ab", "A"), row(0, "ba", None), row(1, "ab", "B")])
    assert scores.invalid_reasons == {"ambiguous": 1, "missing": 1}
    assert scores.overall["invalid_rate"] == 0.5
    assert (scores.overall["accuracy_ba"], scores.overall["accuracy_high"]) == (0.0, 1.0)


def test_only_sample_zero_is_measured() -> None:
    rows = [row(0, "ab", "A"), row(0, "ab", "B", sample=1), row(0, "ab", None, sample=2)]
    overall = score([pair(0, "A")], rows).overall
    assert (overall["accuracy"], overall["invalid_rate"]) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("pairs", "rows", "message"),
    [
        ([pair(0, "A")], [row(0, "ab", "A"), row(7, "ab", "A")], r"verdicts, line 2, field 'id': .*'p7'"),
        ([pair(0, "A")], [row(0, "ab", "A"), row(0, "ab", "A")], r"line 2, field 'sample': .*'p0'.*order ab, sample 0"),
        ([pair(0, "A")], [row(0, "ba", "A", 3), row(0, "ba", "B", 3)], r"line 2, field 'sample': .*order ba, sample 3"),
        ([pair(0, "A"), pair(0, "B")], [], r"gold pairs, line 2, field 'id': 'p0' appears twice"),
    ],
)
def test_rows_that_do_not_belong_are_refused(pairs: list[ResponsePair], rows: list[VerdictRow], message: str) -> None:
    with pytest.raises(DataError, match=message):
        score(pairs, rows)


@pytest.mark.parametrize("seed", range(5))
def test_mirroring_the_responses_mirrors_the_orders(seed: int) -> None:
    pairs, rows = random_data(seed)
    mirrored_pairs = [
        dataclasses.replace(one, response_a=one.response_b, response_b=one.response_a, label=MIRROR[one.label])
        for one in pairs
    ]
    other: dict[Order, Order] = {"ab": "ba", "ba": "ab"}
    mirrored_rows = [dataclasses.replace(one, order=other[one.order], verdict=MIRROR[one.verdict]) for one in rows]
    before, after = score(pairs, rows).overall, score(mirrored_pairs, mirrored_rows).overall
    assert (before["accuracy_ab"], before["accuracy_ba"]) == (after["accuracy_ba"], after["accuracy_ab"])
    assert before["accuracy_ab"] != before["accuracy_ba"]
    same = set(RATES) - {"accuracy_ab", "accuracy_ba"}
    assert {name: before[name] for name in same} == pytest.approx({name: after[name] for name in same}, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_row_order_changes_no_bit(seed: int) -> None:
    pairs, rows = random_data(seed)
    before = score(pairs, rows)
    random.Random(seed).shuffle(pairs)
    random.Random(seed + 1).shuffle(rows)
    after = score(pairs, rows)
    assert json.dumps(before.to_json(), sort_keys=True) == json.dumps(after.to_json(), sort_keys=True)
    assert score(pairs, rows, seed=1) != after


def test_a_subset_scores_as_it_would_alone() -> None:
    pairs, rows = random_data(3)
    inside = [one for one in pairs if one.subset == "hard"]
    ids = {one.id for one in inside}
    alone = score(inside, [one for one in rows if one.id in ids])
    assert alone.overall == score(pairs, rows).subsets["hard"]


def recorded_judge(folder: Path, pairs: Sequence[ResponsePair]) -> list[VerdictRow]:
    """Verdicts of a judge recorded in LLMBar; ``winner`` names the output in both orders."""
    rows = []
    records = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    for one, record in zip(pairs, records, strict=True):
        assert (one.instruction, one.response_a) == (record["input"], record["output_1"])
        result = record["results"][-1]
        for order, key in zip(ORDERS, ("swap = False", "swap = True"), strict=True):
            winner: Verdict = {"1": "A", "2": "B"}[result[key]["winner"]]  # type: ignore[assignment]
            rows.append(VerdictRow(one.id, order, 0, winner, None, result[key]["completion"][0]))
    return rows


@pytest.mark.parametrize("judge", ["GPT-4", "ChatGPT", "LLaMA2"])
@pytest.mark.parametrize("subset", ["Natural", "Adversarial/Neighbor"])
def test_recorded_judges_have_their_published_numbers(
    shared_data: Callable[[str], Path], judge: str, subset: str
) -> None:
    folder = shared_data("llmbar") / "Dataset" / "LLMBar" / subset
    pairs = load_benchmark("llmbar", BenchmarkConfig(kind="llmbar", path=str(folder)), [])
    assert pairs is not None
    published = json.loads((folder / "evaluators" / judge / "Vanilla" / "statistics.json").read_text())
    rows = recorded_judge(folder / "evaluators" / judge / "Vanilla", pairs)
    overall = score(pairs, rows, resamples=50).overall

    names = {"accuracy_ab": "correct_False", "accuracy_ba": "correct_True", "consistent_accuracy": "correct_both"}
    for ours, theirs in {**names, "consistency": "equal"}.items():
        correct, of = (int(part) for part in published[theirs].split("=")[0].split("/"))
        assert overall["n"] == of
        assert overall[ours] == correct / of
    assert overall["accuracy"] == pytest.approx(float(published["correct_average"].rstrip("%")) / 100, abs=1e-15)
    # Their kappa_False and kappa_True compare labels 1, 2 with verdicts recoded to 0, 1, so kappa is checked here.
    labels = [one.label for one in pairs for _ in ORDERS]
    assert overall["cohen_kappa"] == pytest.approx(cohen_kappa_score(labels, [one.verdict for one in rows]))
    assert overall["tie_rate"] is None and overall["invalid_rate"] == 0.0
    # Agreement of the two orders with each other is published too, and needs no labels.
    by_order = [[one.verdict for one in rows if one.order == order] for order in ORDERS]
    assert cohen_kappa(*by_order) == pytest.approx(published["kappa_agreement"], abs=1e-12)


def test_the_recorded_judge_on_pandalm_has_its_reported_numbers(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("pandalm") / "data"
    pairs = load_benchmark("pandalm", BenchmarkConfig(kind="pandalm", path=str(folder)), [])
    assert pairs is not None
    named: dict[str, Verdict] = {"1": "A", "2": "B", "Tie": "tie"}
    rows = []
    for record in json.loads((folder / "gpt-3.5-turbo-testset-v1.json").read_text(encoding="utf-8")):
        verdict = named.get(record["gpt_result"])
        rows.append(VerdictRow(f"pandalm/{record['idx']}", "ab", 0, verdict, None if verdict else "garbage", ""))
    as_released = score(pairs, rows, resamples=50, invalid_as="tie")
    found = [as_released.overall[name] for name in ("accuracy", "precision_macro", "recall_macro", "f1_macro")]
    assert found == pytest.approx([0.7107, 0.5879, 0.5736, 0.5755], abs=5e-5)
    assert as_released.invalid_reasons == {"garbage": 25}
    assert as_released.overall["invalid_rate"] == 25 / 999
    strict = score(pairs, rows, resamples=50).overall
    assert strict["accuracy"] == as_released.overall["accuracy_low"] != as_released.overall["accuracy"]

    always = [VerdictRow(one.id, "ab", 0, "B", None, "") for one in pairs]
    overall = score(pairs, always, resamples=50).overall
    found = [overall[name] for name in ("accuracy", "precision_macro", "recall_macro", "f1_macro")]
    assert found == pytest.approx([0.4725, 0.1575, 0.3333, 0.2139], abs=5e-5)


def test_a_judge_that_always_takes_the_first_response() -> None:
    pairs = [pair(number, CHOICES[number % 2]) for number in range(40)]
    rows = [verdict for number in range(40) for verdict in both(number, "A", "B")]
    overall = score(pairs, rows).overall
    assert (overall["first_position_rate"], overall["delta_bias"]) == (1.0, 1.0)
    assert (overall["accuracy"], overall["consistent_accuracy"], overall["consistency"]) == (0.5, 0.0, 0.0)


def test_delta_bias_counts_a_win_and_a_tie_as_biased() -> None:
    pairs = [pair(number, "A") for number in range(5)]
    rows = [*both(0, "A", "tie"), *both(1, "tie", "B"), *both(2, "B", "tie"), *both(3, "A", None), *both(4, "A", "A")]
    assert score(pairs, rows).overall["delta_bias"] == pytest.approx(1 / 5)
    assert score(pairs, rows, invalid_as="tie").overall["delta_bias"] == pytest.approx(2 / 5)


def test_the_interval_of_a_bias_is_one_of_its_size() -> None:
    pairs = [pair(number, "A") for number in range(60)]
    towards_second = [one for number in range(60) for one in both(number, *(("B", "A") if number < 40 else ("A", "A")))]
    low, high = score(pairs, towards_second).overall["delta_bias_ci95"]  # type: ignore[misc]
    assert 0 < low < 2 / 3 < high < 1
    balanced = [one for number in range(60) for one in both(number, *(("B", "A") if number % 2 else ("A", "B")))]
    overall = score(pairs, balanced).overall
    low, high = overall["delta_bias_ci95"]  # type: ignore[misc]
    assert overall["delta_bias"] == low == 0 < high < 0.5


def test_a_certain_rate_is_widened_by_the_clusters_that_show_it() -> None:
    pairs = [pair(number, "A") for number in range(50)]
    rows = [one for number in range(50) for one in both(number, "A" if number < 2 else "tie", None)]
    overall = score(pairs, rows).overall
    assert overall["first_position_rate"] == 1.0
    assert overall["first_position_rate_ci95"] == pytest.approx(list(wilson(1.0, 2)))
    assert overall["accuracy_ba_ci95"] == pytest.approx(list(wilson(0.0, 50)))


def test_importing_metrics_stays_light() -> None:
    code = "import sys, judgekit.evaluation.verdict_metrics; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"torch", "transformers", "hydra", "omegaconf", "scipy", "sklearn"}.isdisjoint(loaded)
    assert "judgekit.evaluation.verdict_metrics" in loaded


def test_two_hundred_thousand_rows_take_seconds() -> None:
    draw = np.random.default_rng(0)
    labels, *answers = draw.integers(0, 4, (3, 100_000))
    pairs = [pair(number, CHOICES[label % 3], f"g{number // 7}") for number, label in enumerate(labels)]
    judged = zip(ORDERS, answers, strict=True)
    rows = [row(number, order, CHOICES[code]) for order, found in judged for number, code in enumerate(found)]
    start = time.process_time()
    assert score(pairs, rows, resamples=200).overall["n"] == 100_000
    assert time.process_time() - start < 12


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
