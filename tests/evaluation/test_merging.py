"""One verdict of two orders: each rule on every combination, and the metrics of what it says."""

from __future__ import annotations

from itertools import product

import pytest
from sklearn.metrics import cohen_kappa_score, precision_recall_fscore_support

from judgekit.errors import DataError
from judgekit.evaluation.merging import RULES, Merged, merge_orders
from judgekit.evaluation.verdict_metrics import MERGED, RATES, score
from judgekit.rows import Verdict
from judgekit.verdict_rows import MergeRule, VerdictRow
from tests.evaluation.judges import CHOICES, both, pair, random_data, row

TABLES: dict[MergeRule, str] = {
    # rows: verdict of order ab A, B, tie, invalid; columns: of order ba
    "panda": "A T A x | T B B x | T T T x | x x x x",
    "panda_symmetric": "A T A x | T B B x | A B T x | x x x x",
    "both_agree": "A c c x | c B c x | c c T x | x x x x",
    "judgebench": "A T A A | T B B B | A B T T | A B T x",
    "fastchat": "A T T x | T B T x | T T T x | x x x x",
}
LENIENT = {
    "panda": "A T A A | T B B B | T T T T | T T T T",
    "panda_symmetric": "A T A A | T B B B | A B T T | A B T T",
    "both_agree": "A c c c | c B c c | c c T T | c c T T",
    "judgebench": "A T A A | T B B B | A B T T | A B T T",
    "fastchat": "A T T T | T B T T | T T T T | T T T T",
}
MEANING = {"A": Merged("A", None), "B": Merged("B", None), "T": Merged("tie", None), "c": Merged(None, "conflict"),
           "x": Merged(None, "ambiguous")}  # fmt: skip


@pytest.mark.parametrize("rule", TABLES)
@pytest.mark.parametrize("lenient", [False, True])
def test_every_combination(rule: MergeRule, lenient: bool) -> None:
    table = (LENIENT if lenient else TABLES)[rule].replace("|", "").split()
    for letter, (ab, ba) in zip(table, product(CHOICES, CHOICES), strict=True):
        found = merge_orders(both(0, ab, ba), rule, "tie" if lenient else None)
        assert found == {"p0": MEANING[letter]}, (ab, ba)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((8, 6), (5, 7), Merged("tie", None)),
        ((8, 6), (6, 7), Merged("A", None)),
        ((1, 2), (3, 3), Merged("B", None)),
        ((1, None), (3, 3), Merged(None, "no_score")),
    ],
)
def test_average_score(first: tuple[float, float], second: tuple[float, float], expected: Merged) -> None:
    rows = [
        VerdictRow("p", order, 0, "A", None, "", score_a=a, score_b=b)
        for order, (a, b) in zip(("ab", "ba"), (first, second), strict=True)  # type: ignore[arg-type]
    ]
    assert merge_orders(rows, "average_score") == {"p": expected}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [(0.9, 0.3, "A"), (0.6, 0.3, "B"), (0.75, 0.25, "tie")],
)
def test_average_probability(first: float, second: float, expected: Verdict) -> None:
    rows = [VerdictRow("p", "ab", 0, "A", None, "", p_a=first), VerdictRow("p", "ba", 0, "B", None, "", p_a=second)]
    assert merge_orders(rows, "average_probability") == {"p": Merged(expected, None)}
    assert merge_orders(both(0, "A", "A"), "average_probability") == {"p0": Merged(None, "no_probability")}


@pytest.mark.parametrize("rule", ["average_score", "average_probability"])
def test_an_invalid_reply_taken_as_a_tie_leaves_the_other_order(rule: MergeRule) -> None:
    rows = [VerdictRow("p", "ab", 0, None, "missing", ""),
            VerdictRow("p", "ba", 0, "B", None, "", p_a=0.2, score_a=3, score_b=7)]  # fmt: skip
    assert merge_orders(rows, rule) == {"p": Merged(None, "missing")}
    assert merge_orders(rows, rule, "tie") == {"p": Merged("B", None)}


def test_a_missing_order_is_invalid_and_other_samples_do_not_count() -> None:
    rows = [row(0, "ab", "A"), row(0, "ba", "B", sample=1)]
    assert merge_orders(rows, "panda") == {"p0": Merged(None, "missing")}


def test_other_rules_are_refused() -> None:
    with pytest.raises(ValueError, match="'none' is no merge rule; choose one of panda"):
        merge_orders([], "none")
    assert set(RULES) == set(MergeRule.__args__) - {"none"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("rule", TABLES)
@pytest.mark.parametrize("invalid_as", [None, "tie"])
@pytest.mark.parametrize("seed", range(4))
def test_merged_metrics_equal_scikit_learn(rule: MergeRule, invalid_as: str | None, seed: int) -> None:
    pairs, rows = random_data(seed)
    found = score(pairs, rows, merge=rule, invalid_as=invalid_as, resamples=20).overall  # type: ignore[arg-type]
    strict = merge_orders(rows, rule)
    said = merge_orders(rows, rule, invalid_as)  # type: ignore[arg-type]
    gold = [one.label for one in pairs]
    answers = [said[one.id].verdict for one in pairs]
    n = len(pairs)
    right = sum(strict[one.id].verdict == one.label for one in pairs)
    invalid = sum(strict[one.id].verdict is None for one in pairs)
    assert found["accuracy"] == sum(map(str.__eq__, map(str, gold), map(str, answers))) / n
    assert (found["accuracy_low"], found["accuracy_high"]) == (right / n, (right + invalid) / n)
    assert found["invalid_rate"] == invalid / n
    assert found["tie_rate"] == answers.count("tie") / n
    filled = [answer or "invalid" for answer in answers]
    for average in ("macro", "weighted"):
        theirs = precision_recall_fscore_support(
            gold, filled, labels=["A", "B", "tie"], average=average, zero_division=0
        )
        ours = [found[f"{name}_{average}"] for name in ("precision", "recall", "f1")]
        assert ours == pytest.approx(theirs[:3])
    assert found["cohen_kappa"] == pytest.approx(cohen_kappa_score(gold, filled))
    plain = score(pairs, rows, invalid_as=invalid_as, resamples=20).overall  # type: ignore[arg-type]
    for name in set(RATES) - set(MERGED):
        assert found[name] == plain[name]


def test_both_agree_is_consistent_accuracy() -> None:
    pairs, rows = random_data(9)
    found = score(pairs, rows, merge="both_agree", resamples=20)
    assert found.overall["accuracy"] == found.overall["consistent_accuracy"]
    for values in found.subsets.values():
        assert values["accuracy"] == values["consistent_accuracy"]


def test_merging_needs_both_orders_and_counts_pairs_never_judged() -> None:
    with pytest.raises(DataError, match="merging by 'panda' needs verdicts of both orders"):
        score([pair(0, "A")], [row(0, "ab", "A")], merge="panda")
    pairs = [pair(0, "A"), pair(1, "tie")]
    strict = score(pairs, both(0, "A", "A"), merge="panda", resamples=20).overall
    assert (strict["accuracy"], strict["invalid_rate"]) == (0.5, 0.5)
    lenient = score(pairs, both(0, "A", "A"), merge="panda", resamples=20, invalid_as="tie").overall
    assert (lenient["accuracy"], lenient["invalid_rate"], lenient["accuracy_low"]) == (1.0, 0.5, 0.5)
