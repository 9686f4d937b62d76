"""Rejection sampling: tables worked out by hand, and what must hold for any judgments."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgekit.preferences.judgment_balance import position
from judgekit.recipes.self_taught.rejection_sampling import (
    Contrasts,
    Demonstrations,
    SelfTaughtRules,
    contrasts,
    demonstrations,
)
from judgekit.rows import ORDERS, Judgment, Order, ResponsePair, Verdict

NO_RIGHT = "prompt without a correct judgment"
NO_WRONG = "prompt without an incorrect judgment"
BELOW = "prompt below recipe.majority_fraction"
ONE_SIDED = "example without a correct judgment in both orders"
TOO_LONG = "correct judgment over bias.max_judgment_chars"
CUT = "demonstration cut to balance A and B"
PROMPT_CUT = "prompt cut to balance A and B"
OVER_CAP = "pair over recipe.num_pairs"

Table = Mapping[str, Mapping[Order, str]]
"""Judgments by example and order: R right, W wrong, T tie, M no verdict, E not a word."""

OTHER: dict[str, Verdict] = {"A": "B", "B": "A"}

TABLE: Table = {
    "x": {"ab": "RRW", "ba": "RTM"},
    "y": {"ab": "RRR", "ba": "WTM"},
    "z": {"ab": "MTE", "ba": "WWW"},
    "w": {"ab": "RWM", "ba": "RRE"},
}
LABELS: dict[str, Verdict] = {"x": "A", "y": "A", "z": "A", "w": "B"}
PAIRS = [ResponsePair(name, f"Do {name}.", "first", "second", label) for name, label in LABELS.items()]


def judgments_of(table: Table, labels: Mapping[str, Verdict] = LABELS, first: int = 0) -> list[Judgment]:
    rows = []
    for name, cells in table.items():
        label = labels[name]
        verdicts: dict[str, Verdict | None] = {"R": label, "W": OTHER[label], "T": "tie", "M": None, "E": None}
        for order, letters in cells.items():
            for sample, letter in enumerate(letters, start=first):
                text = "" if letter == "E" else f"{name} {order} {letter}{sample}"
                invalid = "missing" if letter in "ME" else None
                rows.append(Judgment(name, order, sample, verdicts[letter], invalid, text))
    return rows


def rules(**changes: Any) -> SelfTaughtRules:
    return SelfTaughtRules(seed=3, **changes)


def imitated(**changes: Any) -> Demonstrations:
    return demonstrations(PAIRS, judgments_of(TABLE), rules(**changes))


def paired(**changes: Any) -> Contrasts:
    return contrasts(PAIRS, judgments_of(TABLE), rules(**changes))


def prompts(selection: Demonstrations) -> list[tuple[str, Order]]:
    return [(row.id, row.order) for row in selection.kept]


def texts(selection: Contrasts) -> list[tuple[str, str]]:
    return [(found.chosen.text, found.rejected.text) for found in selection.kept]


def test_one_right_judgment_of_every_prompt_that_has_one() -> None:
    selection = imitated()
    assert prompts(selection) == [("x", "ab"), ("x", "ba"), ("y", "ab"), ("w", "ab"), ("w", "ba")]
    assert all(" R" in row.text for row in selection.kept)
    assert selection.dropped == {NO_RIGHT: 3}


def test_one_right_judgment_of_every_example_from_either_order() -> None:
    drawn = [demonstrations(PAIRS, judgments_of(TABLE), SelfTaughtRules(seed=s, per_order=False)) for s in range(40)]
    assert all([row.id for row in selection.kept] == ["x", "y", "w"] for selection in drawn)
    assert all(selection.dropped == {"example without a correct judgment": 1} for selection in drawn)
    assert {s.kept[0].text for s in drawn} == {"x ab R0", "x ab R1", "x ba R0"}


def test_the_position_named_is_balanced() -> None:
    # Positions: x ab A, x ba B, y ab A, w (label B) ab B, w ba A: three name A, two B.
    selection = imitated(balance_labels=True)
    assert Counter(position(row) for row in selection.kept) == {"A": 2, "B": 2}
    assert selection.dropped == {NO_RIGHT: 3, CUT: 1}
    assert {("x", "ba"), ("w", "ab")} <= set(prompts(selection))
    cut = {
        frozenset(prompts(imitated())) - frozenset(prompts(demonstrations(PAIRS, judgments_of(TABLE), each)))
        for each in (SelfTaughtRules(seed=s, balance_labels=True) for s in range(30))
    }
    assert cut == {frozenset({(name, order)}) for name, order in (("x", "ab"), ("y", "ab"), ("w", "ba"))}


@pytest.mark.parametrize(
    ("fraction", "kept"),
    [
        (1 / 3, ["x/ab", "x/ba", "y/ab", "w/ab", "w/ba"]),
        (0.34, ["x/ab", "y/ab", "w/ba"]),
        (2 / 3, ["x/ab", "y/ab", "w/ba"]),
        (0.7, ["y/ab"]),
        (1.0, ["y/ab"]),
    ],
)
def test_a_prompt_needs_a_share_of_right_judgments(fraction: float, kept: list[str]) -> None:
    selection = imitated(majority_fraction=fraction)
    assert [f"{row.id}/{row.order}" for row in selection.kept] == kept
    assert selection.dropped == Counter({NO_RIGHT: 3, BELOW: 5 - len(kept)}) + Counter()


def test_an_example_right_in_one_order_only_can_be_dropped() -> None:
    selection = imitated(drop_conflicting=True)
    assert prompts(selection) == [("x", "ab"), ("x", "ba"), ("w", "ab"), ("w", "ba")]
    assert selection.dropped == {ONE_SIDED: 2}
    assert {found.chosen.id for found in paired(drop_conflicting=True).kept} == {"x", "w"}


def test_long_judgments_are_not_chosen() -> None:
    rows = [
        dataclasses.replace(row, text=row.text + "!" * 9) if row.text in ("x ab R0", "y ab R2", "w ab R0") else row
        for row in judgments_of(TABLE)
    ]
    selection = demonstrations(PAIRS, rows, rules(max_chars=12))
    assert prompts(selection) == [("x", "ab"), ("x", "ba"), ("y", "ab"), ("w", "ba")]
    assert selection.dropped == {TOO_LONG: 3, NO_RIGHT: 4}
    # The share of right judgments is that of the samples, whatever their length.
    assert len(demonstrations(PAIRS, rows, rules(max_chars=12, majority_fraction=1.0)).kept) == 1


def test_the_cross_product_of_right_and_wrong_judgments() -> None:
    selection = paired(num_pairs=None)
    assert texts(selection) == [
        ("x ab R0", "x ab W2"), ("x ab R1", "x ab W2"),
        ("x ba R0", "x ba T1"), ("x ba R0", "x ba M2"),
        ("w ab R0", "w ab W1"), ("w ab R0", "w ab M2"),
    ]  # fmt: skip
    # y ab is all right; z ab and ba and y ba are never right; w ba has only a judgment without a word beside two right
    assert selection.dropped == {NO_RIGHT: 3, NO_WRONG: 2}


@pytest.mark.parametrize(
    ("kinds", "rejected"),
    [
        ("wrong", {"x ab W2", "w ab W1"}),
        ("tie", {"x ba T1"}),
        ("invalid", {"x ba M2", "w ab M2"}),
        ("wrong tie", {"x ab W2", "x ba T1", "w ab W1"}),
        ("tie invalid", {"x ba T1", "x ba M2", "w ab M2"}),
    ],
)
def test_each_kind_of_negative_is_switchable(kinds: str, rejected: set[str]) -> None:
    switches = {f"{kind}_as_negative": kind in kinds.split() for kind in ("wrong", "tie", "invalid")}
    selection = paired(num_pairs=None, **switches)
    assert {found.rejected.text for found in selection.kept} == rejected
    without = 5 - len({(found.chosen.id, found.chosen.order) for found in selection.kept})
    assert selection.dropped == {NO_RIGHT: 3, NO_WRONG: without}


def test_the_cross_product_is_capped_for_each_prompt() -> None:
    everything = texts(paired(num_pairs=None))
    selection = paired(num_pairs=1)
    assert [(found.chosen.id, found.chosen.order) for found in selection.kept] == [
        ("x", "ab"), ("x", "ba"), ("w", "ab"),
    ]  # fmt: skip
    assert selection.dropped == {NO_RIGHT: 3, NO_WRONG: 2, OVER_CAP: 3}
    drawn = {tuple(texts(contrasts(PAIRS, judgments_of(TABLE), SelfTaughtRules(seed=s)))) for s in range(60)}
    assert {pair for pairs in drawn for pair in pairs} == set(everything) and len(drawn) == 8
    assert texts(paired(num_pairs=2)) == everything


def test_prompts_are_balanced_before_they_are_paired() -> None:
    # Of the three prompts with a contrast x ab names A, x ba and w ab name B.
    selection = paired(num_pairs=None, balance_labels=True)
    assert Counter(position(found.chosen) for found in selection.kept) == {"A": 2, "B": 2}
    assert selection.dropped == {NO_RIGHT: 3, NO_WRONG: 2, PROMPT_CUT: 1}
    kept = {
        frozenset((found.chosen.id, found.chosen.order) for found in contrasts(PAIRS, judgments_of(TABLE), each).kept)
        for each in (SelfTaughtRules(seed=s, balance_labels=True) for s in range(30))
    }
    assert kept == {frozenset({("x", "ab"), ("x", "ba")}), frozenset({("x", "ab"), ("w", "ab")})}


def test_further_judgments_give_negatives_only() -> None:
    more = judgments_of({"y": {"ab": "RW", "ba": "RR"}, "x": {"ab": "RM"}}, first=100)
    selection = contrasts(PAIRS, judgments_of(TABLE), rules(num_pairs=None), more)
    assert [pair for pair in texts(selection) if pair not in texts(paired(num_pairs=None))] == [
        ("x ab R0", "x ab M101"), ("x ab R1", "x ab M101"),
        ("y ab R0", "y ab W101"), ("y ab R1", "y ab W101"), ("y ab R2", "y ab W101"),
    ]  # fmt: skip
    assert selection.dropped == {NO_RIGHT: 3, NO_WRONG: 1}


def test_without_a_better_answer_no_judgment_is_right() -> None:
    pair = ResponsePair("x", "Do x.", "first", "second", None)
    rows = judgments_of({"x": {"ab": "RWM"}})
    assert demonstrations([pair], rows, rules()).kept == []
    assert contrasts([pair], rows, rules()).kept == []


def test_nothing_gives_nothing() -> None:
    assert demonstrations([], [], rules(balance_labels=True)) == Demonstrations()
    assert contrasts([], [], rules(balance_labels=True)) == Contrasts()


cells = st.dictionaries(st.sampled_from(ORDERS), st.text("RWTME", min_size=1, max_size=5))
tables = st.dictionaries(st.sampled_from("xyzw"), cells, max_size=4)
rules_of = st.builds(
    SelfTaughtRules,
    seed=st.integers(0, 3),
    per_order=st.booleans(),
    majority_fraction=st.none() | st.floats(0.1, 1.0),
    balance_labels=st.booleans(),
    drop_conflicting=st.booleans(),
    max_chars=st.none() | st.integers(6, 8),
    num_pairs=st.none() | st.integers(1, 4),
    wrong_as_negative=st.booleans(),
    tie_as_negative=st.booleans(),
    invalid_as_negative=st.booleans(),
)


@given(tables, rules_of, st.randoms())
@settings(max_examples=150, deadline=None)
def test_what_holds_for_any_judgments(table: Table, each: SelfTaughtRules, shuffle: random.Random) -> None:
    rows = judgments_of(table)
    imitate, contrast = demonstrations(PAIRS, rows, each), contrasts(PAIRS, rows, each)
    assert all(row.verdict == LABELS[row.id] for row in imitate.kept)
    units = [(row.id, row.order if each.per_order else "") for row in imitate.kept]
    assert len(units) == len(set(units))
    for found in contrast.kept:
        assert found.chosen.verdict == LABELS[found.chosen.id] != found.rejected.verdict
        assert (found.chosen.id, found.chosen.order) == (found.rejected.id, found.rejected.order)
    if each.balance_labels:
        assert len({Counter(map(position, imitate.kept))[label] for label in "AB"}) == 1
    by_prompt = Counter((found.chosen.id, found.chosen.order) for found in contrast.kept)
    assert max(by_prompt.values(), default=0) <= (each.num_pairs or 99)
    assert all(count > 0 for count in (imitate.dropped | contrast.dropped).values())
    shuffle.shuffle(rows)
    assert (demonstrations(PAIRS, rows, each), contrasts(PAIRS, rows, each)) == (imitate, contrast)
