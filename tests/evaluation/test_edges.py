"""Every measure on empty, tied, invalid and single inputs: a number or None, never a crash or NaN."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

import pytest

from judgekit.evaluation.benchmarks.rewardbench import rewardbench
from judgekit.evaluation.benchmarks.rm_bench import rm_bench
from judgekit.evaluation.judge_comparison import paired_difference
from judgekit.evaluation.merging import RULES
from judgekit.evaluation.verdict_bias import (
    decisiveness,
    effects,
    longer_responses,
    own_responses,
    preference_rates,
)
from judgekit.evaluation.verdict_calibration import average_orders, calibrate
from judgekit.evaluation.verdict_metrics import score, tie_agreement
from judgekit.evaluation.voting import majority_curve, vote
from judgekit.rows import ORDERS, ResponsePair, Verdict
from judgekit.verdict_rows import VerdictRow
from tests.evaluation.judges import CHOICES, both

Pairs, Rows = list[ResponsePair], list[VerdictRow]


def pairs_of(*labels: Verdict | None, group: str | None = None) -> Pairs:
    return [
        ResponsePair(f"p{number}", f"q{number}", "longer", "no", label, subset="chat/easy", group=group, model_a="me",
                     model_b="you")
        for number, label in enumerate(labels)
    ]  # fmt: skip


def said(count: int, verdict: Verdict | None, p_a: float | None = None) -> Rows:
    return [
        VerdictRow(f"p{number}", order, 0, verdict, None if verdict else "missing", "", p_a=p_a)
        for number in range(count)
        for order in ORDERS
    ]


CASES: dict[str, tuple[Pairs, Rows]] = {
    "nothing": ([], []),
    "no verdicts": (pairs_of("A", "B"), []),
    "no labels": (pairs_of(None, None), said(2, "A", 0.7)),
    "all ties": (pairs_of("tie", "tie", "tie"), said(3, "tie", 0.5)),
    "all invalid": (pairs_of("A", "B", "tie"), said(3, None)),
    "one pair": (pairs_of("A"), said(1, "A", 1.0)),
    "one invalid row": (pairs_of("A"), said(1, None)[:1]),
    "one row": (pairs_of("B"), said(1, "A", 0.9)[1:]),
    "one cluster": (
        pairs_of("A", "B", "A", group="g"),
        [*both(0, "A", "A"), *both(1, "A", "B"), *both(2, "tie", None)],
    ),
    "perfect": (pairs_of("A", "A", "A", "A"), said(4, "A", 1.0)),
    "every verdict": (
        pairs_of("A", "B", "tie", "A"),
        [one for number in range(4) for one in both(number, CHOICES[number], CHOICES[3 - number])],
    ),
}

MEASURES: dict[str, Callable[[Pairs, Rows], Any]] = {
    "score": lambda pairs, rows: score(pairs, rows, resamples=20),
    "tie agreement": lambda pairs, rows: tie_agreement(pairs, rows, resamples=20),
    "effects": lambda pairs, rows: effects(pairs, rows, own="me"),
    "longer": lambda pairs, rows: preference_rates(pairs, rows, longer_responses(pairs), resamples=20),
    "own": lambda pairs, rows: preference_rates(pairs, rows, own_responses(pairs, "me"), resamples=20),
    "decisiveness": lambda pairs, rows: decisiveness(pairs, rows, resamples=20),
    "calibration": lambda pairs, rows: calibrate(pairs, rows, resamples=20),
    "averaged": lambda pairs, rows: score(pairs, average_orders(rows), resamples=20),
    "voted": lambda pairs, rows: score(pairs, vote(rows), resamples=20),
    "rewardbench": lambda pairs, rows: rewardbench(pairs, rows, resamples=20),
    "rm_bench": lambda pairs, rows: rm_bench(pairs, rows, resamples=20),
}


def plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return {name: plain(one) for name, one in value.items()} if isinstance(value, dict) else value


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("measure", MEASURES)
def test_a_number_or_none(case: str, measure: str) -> None:
    found = plain(MEASURES[measure](*CASES[case]))
    assert json.loads(json.dumps(found, allow_nan=False)) is not None


def both_orders_judged(rows: Sequence[VerdictRow]) -> bool:
    return {row.order for row in rows} == set(ORDERS)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", [name for name, (_, rows) in CASES.items() if both_orders_judged(rows)])
def test_merging_voting_and_comparing(case: str) -> None:
    pairs, rows = CASES[case]
    for rule in RULES:
        json.dumps(score(pairs, rows, merge=rule, resamples=20).to_json(), allow_nan=False)  # type: ignore[arg-type]
    if any(pair.label for pair in pairs):
        json.dumps([asdict(point) for point in majority_curve(pairs, rows, resamples=20)], allow_nan=False)
        same = paired_difference(pairs, rows, rows, "accuracy", resamples=20)
        assert (same.difference, same.p_bootstrap) == (0.0, 1.0)
