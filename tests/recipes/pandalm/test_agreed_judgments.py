"""Which of a teacher's judgments are kept: a table worked out by hand, and what swapping changes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgekit.preferences.judgment_balance import CUT, position
from judgekit.prompts.base import SWAPPED
from judgekit.recipes.pandalm.agreed_judgments import CONFLICT, HALF, HALF_CONFLICT, OVER_LENGTH, agreed
from judgekit.rows import ORDERS, Judgment, Order, Verdict

NAMES: dict[str, Verdict] = {"A": "A", "B": "B", "t": "tie"}


def judgments(said: Mapping[str, str]) -> list[Judgment]:
    """Two letters a pair, of order ab and ba: A, B, t for a tie, - for none."""
    return [
        Judgment(name, order, 0, NAMES[letter], None, f"{name} {letter}")
        for name, letters in said.items()
        for order, letter in zip(ORDERS, letters, strict=True)
        if letter in NAMES
    ]


SAID = {"p1": "AA", "p2": "AB", "p3": "tt", "p4": "At", "p5": "B-", "p6": "BB", "p7": "BA", "p8": "--", "p9": "tB"}


def kept(**rules: bool) -> tuple[list[str], dict[str, int]]:
    found = agreed(judgments(SAID), 0, **rules)
    return [f"{row.id}{row.order}" for row in found.kept], dict(found.dropped)


def test_the_table_worked_out_by_hand() -> None:
    names, dropped = kept()
    assert names == ["p1ab", "p1ba", "p3ab", "p3ba", "p6ab", "p6ba"]
    assert dropped == {CONFLICT: 2, HALF_CONFLICT: 2, HALF: 1}
    names, dropped = kept(tie_conflicts=False)
    assert names == ["p1ab", "p1ba", "p3ab", "p3ba", "p4ab", "p4ba", "p6ab", "p6ba", "p9ab", "p9ba"]
    assert dropped == {CONFLICT: 2, HALF: 1}
    names, dropped = kept(drop_conflicting=False)
    assert len(names) == 15 and dropped == {}


def test_length_and_balance() -> None:
    rows = judgments({"p1": "AA", "p2": "AA", "p3": "BB"})
    assert all(row.order == "ab" for row in agreed(rows, 0, orders=["ab"]).kept)
    found = agreed([row for row in rows if row.order == "ab"], 3, orders=["ab"], balance_labels=True)
    assert sorted(map(position, found.kept)) == ["A", "B"] and found.dropped == {CUT: 1}
    assert agreed(rows, 0, max_chars=3).dropped == {OVER_LENGTH: 6}
    with pytest.raises(ValueError, match="two judgments"):
        agreed([*rows, rows[0]], 0)


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["AA", "AB", "At", "tA", "tt", "B-", "BB", "-A"]), max_size=6), st.booleans())
def test_calling_the_responses_by_each_others_names_changes_nothing_else(said: list[str], ties: bool) -> None:
    rows = judgments({f"p{place}": letters for place, letters in enumerate(said)})
    turned: dict[Order, Order] = {"ab": "ba", "ba": "ab"}
    swapped = [
        Judgment(row.id, turned[row.order], 0, SWAPPED[row.verdict] if row.verdict else None, None, row.text)
        for row in rows
    ]
    plain, other = agreed(rows, 1, tie_conflicts=ties), agreed(swapped, 1, tie_conflicts=ties)
    assert plain.dropped == other.dropped
    assert {(row.id, row.order) for row in plain.kept} == {(row.id, turned[row.order]) for row in other.kept}
