"""Selecting chains: tables worked out by hand, and what must hold for any chains."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgekit.recipes.evalplanner.plan_execution import ChainRules, Selection, select
from judgekit.rows import ORDERS, Judgment, Order, ResponsePair, Verdict

NO_CORRECT = "instruction without a correct chain"
NO_CONTRAST = "instruction whose plans never gave both a right and a wrong chain"
ONE_SIDED = "instruction without a correct chain in both orders"
TOO_LONG = "correct chain over bias.max_judgment_chars"
OVER_CAP = "pair over recipe.pairs_per_instruction"
BALANCED = "demonstration cut to balance A and B"

Table = Mapping[str, Mapping[tuple[Order, int], str]]
"""Replies by pair, order and plan: R right, W wrong, I invalid."""

FLIP: dict[Verdict | None, Verdict | None] = {"A": "B", "B": "A", "tie": "tie", None: None}


def pair(name: str, label: Verdict | None = "A") -> ResponsePair:
    return ResponsePair(name, f"Do {name}.", "first", "second", label)


def chains_of(table: Table, labels: Mapping[str, Verdict] | None = None) -> list[Judgment]:
    """One chain a letter, numbered within pair and order as the recipe does."""
    chains = []
    for name, cells in table.items():
        right = (labels or {}).get(name, "A")
        verdicts = {"R": right, "W": FLIP[right], "I": None}
        numbers: Counter[str] = Counter()
        for (order, plan), letters in cells.items():
            for letter in letters:
                sample = numbers[order]
                numbers[order] += 1
                text = f"{name} {order} {plan} {letter}{sample}"
                invalid = "missing" if letter == "I" else None
                chains.append(
                    Judgment(name, order, sample, verdicts[letter], invalid, text, plan=f"plan {plan}", plan_index=plan)
                )
    return chains


TABLE: Table = {
    # plan 0: 2 right x 1 wrong in ab, 1 x 1 in ba; plan 1: nothing in ab, 1 x 2 in ba
    "x": {("ab", 0): "RRW", ("ba", 0): "RW", ("ab", 1): "RI", ("ba", 1): "WRW"},
    # right chains under plan 0 only, wrong ones under plan 1 only
    "y": {("ab", 0): "RR", ("ba", 0): "RR", ("ab", 1): "WW", ("ba", 1): "WI"},
    # never right
    "z": {("ab", 0): "WI", ("ba", 0): "WW"},
    # right in one order only
    "w": {("ab", 0): "WI", ("ba", 0): "RWI"},
}
PAIRS = [pair(name) for name in TABLE]


def run(rules: ChainRules, table: Table = TABLE, labels: Mapping[str, Verdict] | None = None) -> Selection:
    pairs = [pair(name, (labels or {}).get(name, "A")) for name in table]
    return select(pairs, chains_of(table, labels), rules)


def counts(selection: Selection) -> tuple[dict[str, int], dict[str, int]]:
    """Pairs and demonstrations by instruction."""
    return (
        dict(Counter(found.chosen.id for found in selection.pairs)),
        dict(Counter(chain.id for chain in selection.demonstrations)),
    )


def test_all_right_times_wrong_chains_under_one_plan_and_order() -> None:
    selection = run(ChainRules(seed=1))
    assert counts(selection) == ({"x": 2 + 1 + 2, "w": 1}, {"x": 1, "y": 1, "w": 1})
    assert selection.dropped == {NO_CORRECT: 1, NO_CONTRAST: 1}
    assert [(found.chosen.text, found.rejected.text) for found in selection.pairs] == [
        ("x ab 0 R0", "x ab 0 W2"),
        ("x ab 0 R1", "x ab 0 W2"),
        ("x ba 0 R0", "x ba 0 W1"),
        ("x ba 1 R3", "x ba 1 W2"),
        ("x ba 1 R3", "x ba 1 W4"),
        ("w ba 0 R0", "w ba 0 W1"),
    ]


def test_chains_without_a_verdict_may_be_rejected_ones() -> None:
    selection = run(ChainRules(seed=1, invalid_as_negative=True))
    # x also gets R x I under plan 1 in ab, w also R x I in ba
    assert counts(selection) == ({"x": 6, "w": 2}, {"x": 1, "y": 1, "w": 1})
    assert sum(found.rejected.verdict is None for found in selection.pairs) == 2
    assert selection.dropped == {NO_CORRECT: 1, NO_CONTRAST: 1}


def test_a_cap_keeps_that_many_pairs_of_an_instruction_in_their_order() -> None:
    everything = run(ChainRules(seed=1)).pairs
    selection = run(ChainRules(seed=1, pairs_per_instruction=2))
    assert counts(selection) == ({"x": 2, "w": 1}, {"x": 1, "y": 1, "w": 1})
    assert selection.dropped == {NO_CORRECT: 1, NO_CONTRAST: 1, OVER_CAP: 3}
    places = [everything.index(found) for found in selection.pairs]
    assert places == sorted(places)
    drawn = {
        tuple(everything.index(p) for p in run(ChainRules(seed=s, pairs_per_instruction=2)).pairs) for s in range(40)
    }
    assert len(drawn) >= 8, "of ten ways to take two of five"
    assert run(ChainRules(seed=1, pairs_per_instruction=5)).pairs == everything


def test_one_demonstration_an_order() -> None:
    selection = run(ChainRules(seed=1, per_order=True))
    assert [(chain.id, chain.order) for chain in selection.demonstrations] == [
        ("x", "ab"), ("x", "ba"), ("y", "ab"), ("y", "ba"), ("w", "ba"),
    ]  # fmt: skip
    assert counts(selection)[0] == {"x": 5, "w": 1}


def test_every_right_chain_can_be_the_demonstration() -> None:
    drawn = {chain.text for s in range(60) for chain in run(ChainRules(seed=s)).demonstrations if chain.id == "x"}
    assert drawn == {"x ab 0 R0", "x ab 0 R1", "x ab 1 R3", "x ba 0 R0", "x ba 1 R3"}


def test_an_instruction_right_in_one_order_only_can_be_dropped() -> None:
    selection = run(ChainRules(seed=1, drop_conflicting=True))
    assert counts(selection) == ({"x": 5}, {"x": 1, "y": 1})
    assert selection.dropped == {NO_CORRECT: 1, NO_CONTRAST: 1, ONE_SIDED: 1}


def test_an_instruction_judged_in_one_order_only_is_not_consistent() -> None:
    """Its prompt in the other order was refused, for example."""
    table: Table = {"x": {("ab", 0): "RW", ("ba", 0): "RW"}, "half": {("ab", 0): "RW"}}
    selection = run(ChainRules(seed=1, drop_conflicting=True), table)
    assert counts(selection)[0] == {"x": 2}
    assert selection.dropped == {ONE_SIDED: 1}
    one_order: Table = {"x": {("ab", 0): "RW"}, "y": {("ab", 0): "RR"}}
    assert counts(run(ChainRules(seed=1, drop_conflicting=True), one_order)) == ({"x": 1}, {"x": 1, "y": 1})


def test_long_chains_are_no_chosen_ones_but_may_be_rejected() -> None:
    chains = chains_of({"x": {("ab", 0): "RRW"}, "y": {("ab", 0): "RW"}})
    long = {"x ab 0 R1", "x ab 0 W2", "y ab 0 R0"}
    chains = [dataclasses.replace(c, text=c.text + "!" * 20) if c.text in long else c for c in chains]
    selection = select([pair("x"), pair("y")], chains, ChainRules(seed=1, max_chars=20))
    assert [(found.chosen.sample, found.rejected.sample) for found in selection.pairs] == [(0, 2)]
    assert [chain.text for chain in selection.demonstrations] == ["x ab 0 R0"]
    assert selection.dropped == {TOO_LONG: 2, NO_CORRECT: 1}
    longest = max(len(chain.text) for chain in chains)
    assert TOO_LONG not in select([pair("x"), pair("y")], chains, ChainRules(seed=1, max_chars=longest)).dropped


def position(chain: Judgment) -> str:
    verdict = chain.verdict if chain.order == "ab" else FLIP[chain.verdict]
    return str(verdict)


def test_demonstrations_end_in_a_as_often_as_in_b() -> None:
    # Positions named: A for a to e (label A in ab), B for f and g (label B in ab), all in order ab
    table: Table = {name: {("ab", 0): "R"} for name in "abcdefg"}
    labels: dict[str, Verdict] = {"f": "B", "g": "B"}
    selection = run(ChainRules(seed=1, balance_labels=True), table, labels)
    assert Counter(map(position, selection.demonstrations)) == {"A": 2, "B": 2}
    assert selection.dropped == {NO_CONTRAST: 7, BALANCED: 3}
    kept = {
        tuple(c.id for c in run(ChainRules(seed=s, balance_labels=True), table, labels).demonstrations)
        for s in range(30)
    }
    assert all(names[-2:] == ("f", "g") for names in kept) and len(kept) >= 5
    everyone = run(ChainRules(seed=1, balance_labels=True, per_order=True))
    assert Counter(map(position, everyone.demonstrations)) == {"A": 2, "B": 2}
    assert everyone.dropped[BALANCED] == 1


def test_balance_leaves_ties_alone() -> None:
    table: Table = {"a": {("ab", 0): "R"}, "t": {("ab", 0): "R"}}
    selection = run(ChainRules(seed=1, balance_labels=True), table, {"t": "tie"})
    assert [chain.id for chain in selection.demonstrations] == ["t"]
    assert selection.dropped[BALANCED] == 1


def test_a_chain_that_says_the_same_is_no_contrast() -> None:
    right, wrong = chains_of({"x": {("ab", 0): "RW"}})
    selection = select([pair("x")], [right, dataclasses.replace(wrong, text=right.text)], ChainRules(seed=1))
    assert selection.pairs == []
    assert selection.dropped == {NO_CONTRAST: 1}


@pytest.mark.parametrize("label", [None, "tie"])
def test_without_a_better_answer_no_chain_is_right(label: Verdict | None) -> None:
    selection = select([pair("x", label)], chains_of({"x": {("ab", 0): "RW"}}), ChainRules(seed=1))
    assert (selection.pairs, selection.demonstrations) == ([], [])
    assert selection.dropped == {NO_CORRECT: 1}


def test_nothing_gives_nothing() -> None:
    assert select([], [], ChainRules(seed=1, balance_labels=True)) == Selection()
    assert select(PAIRS, [], ChainRules(seed=1)).dropped == {NO_CORRECT: len(PAIRS)}


cells = st.dictionaries(st.tuples(st.sampled_from(ORDERS), st.integers(0, 2)), st.text("RWI", max_size=4), max_size=6)
tables = st.dictionaries(st.sampled_from("pqrstu"), cells, max_size=5)
any_labels = st.fixed_dictionaries({name: st.sampled_from(["A", "B"]) for name in "pqrstu"})
rules_of = st.builds(
    ChainRules,
    seed=st.integers(0, 3),
    pairs_per_instruction=st.none() | st.integers(1, 4),
    per_order=st.booleans(),
    invalid_as_negative=st.booleans(),
    drop_conflicting=st.booleans(),
    balance_labels=st.booleans(),
    max_chars=st.none() | st.integers(8, 9),
)


@given(tables, any_labels, rules_of)
@settings(max_examples=150, deadline=None)
def test_what_holds_for_any_chains(table: Table, labels: dict[str, Verdict], rules: ChainRules) -> None:
    selection = run(rules, table, labels)
    for found in selection.pairs:
        assert found.chosen.verdict == labels[found.chosen.id] != found.rejected.verdict
        assert found.rejected.verdict is not None or rules.invalid_as_negative
        for field in ("id", "order", "plan_index", "plan"):
            assert getattr(found.chosen, field) == getattr(found.rejected, field)
        assert rules.max_chars is None or len(found.chosen.text) <= rules.max_chars
    assert all(chain.verdict == labels[chain.id] for chain in selection.demonstrations)
    once = [(found.chosen, found.rejected) for found in selection.pairs]
    assert len(once) == len(set(once))
    texts = [chain.text for chain in selection.demonstrations]
    assert len(texts) == len(set(texts))
    by_pair, by_demonstration = counts(selection)
    assert max(by_pair.values(), default=0) <= (rules.pairs_per_instruction or 99)
    assert max(by_demonstration.values(), default=0) <= (2 if rules.per_order else 1)
    assert all(count > 0 for count in selection.dropped.values())


@given(tables, any_labels, rules_of, st.randoms())
@settings(max_examples=100, deadline=None)
def test_the_order_of_the_chains_changes_nothing(
    table: Table, labels: dict[str, Verdict], rules: ChainRules, shuffle: random.Random
) -> None:
    chains = chains_of(table, labels)
    pairs = [pair(name, labels[name]) for name in table]
    before = select(pairs, chains, rules)
    shuffle.shuffle(chains)
    assert select(pairs, chains, rules) == before


@given(tables, any_labels, rules_of)
@settings(max_examples=100, deadline=None)
def test_swapping_the_answers_mirrors_the_selection(
    table: Table, labels: dict[str, Verdict], rules: ChainRules
) -> None:
    if not rules.per_order:
        # Which order a single demonstration comes from is drawn, so how many are cut for balance is too.
        rules = dataclasses.replace(rules, balance_labels=False)
    mirror: dict[Order, Order] = {"ab": "ba", "ba": "ab"}
    swapped = [
        dataclasses.replace(chain, order=mirror[chain.order], verdict=FLIP[chain.verdict])
        for chain in chains_of(table, labels)
    ]
    pairs = [pair(name, FLIP[labels[name]]) for name in table]
    one, two = run(rules, table, labels), select(pairs, swapped, rules)
    assert two.dropped == one.dropped
    if rules.pairs_per_instruction is None:
        texts = [Counter((found.chosen.text, found.rejected.text) for found in each.pairs) for each in (one, two)]
        assert texts[0] == texts[1]
    assert [len(one.pairs), len(one.demonstrations)] == [len(two.pairs), len(two.demonstrations)]
    if rules.per_order:
        assert Counter(map(position, one.demonstrations)) == Counter(map(position, two.demonstrations))


def test_a_pair_selects_the_same_whatever_other_pairs_there_are() -> None:
    rules = ChainRules(seed=1, pairs_per_instruction=2, per_order=True)
    alone = run(rules, {"x": TABLE["x"]})
    together = run(rules)
    assert [found for found in together.pairs if found.chosen.id == "x"] == alone.pairs
    assert [chain for chain in together.demonstrations if chain.id == "x"] == alone.demonstrations
