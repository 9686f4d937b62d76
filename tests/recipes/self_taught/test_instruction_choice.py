"""Selecting classified instructions: a table worked out by hand."""

from __future__ import annotations

from judgekit.recipes.self_taught.classification import Classification
from judgekit.recipes.self_taught.config import SelectionConfig
from judgekit.recipes.self_taught.instruction_choice import choose
from judgekit.rows import Instruction

UNKNOWN = {f"classification: {why}": 1 for why in ("unknown category", "category missing", "not classified")}
ROWS = [Instruction(str(number), f"Do {number}.", "s", "s/any") for number in range(12)]
CLASSES = {
    str(number): Classification(category, complexity)
    for number, (category, complexity) in enumerate(
        [("coding", 1), ("coding", 2), ("coding", 3), ("coding", 4), ("coding", 5),
         ("reasoning", 3), ("reasoning", 4), ("other", 3), ("other", 4)]
    )
}  # fmt: skip
CLASSES["9"] = Classification(None, None, "unknown category")
CLASSES["10"] = Classification(None, None, "category missing")


def kept(seed: int = 0, **rules: object) -> list[str]:
    return [row.id for row in choose(ROWS, CLASSES, SelectionConfig(**rules), seed)[0]]  # type: ignore[arg-type]


def test_everything_classified_is_kept_by_default() -> None:
    rows, dropped = choose(ROWS, CLASSES, SelectionConfig(), 0)
    assert rows == ROWS[:9]
    assert dropped == UNKNOWN


def test_categories_complexity_and_counts() -> None:
    rules = SelectionConfig(keep=("coding", "reasoning"), complexity_min=2, complexity_max=4, per_category=2)
    rows, dropped = choose(ROWS, CLASSES, rules, 0)
    assert [row.id for row in rows][-2:] == ["5", "6"] and len(rows) == 4
    assert dropped == UNKNOWN | {
        "category: other": 2,
        "complexity: 1": 1,
        "complexity: 5": 1,
        "over recipe.selection.per_category: coding": 1,
    }


def test_which_of_a_category_is_drawn_by_id() -> None:
    drawn = {tuple(kept(seed, keep=("coding",), per_category=2)) for seed in range(60)}
    assert len(drawn) == 10, "all ways to take two of five"
    assert all(list(ids) == sorted(ids) for ids in drawn)
    fewer = [row for row in ROWS if row.id != "0"]
    rules = SelectionConfig(keep=("coding",), per_category=2)
    for seed in range(20):
        before, after = ({row.id for row in choose(rows, CLASSES, rules, seed)[0]} for rows in (ROWS, fewer))
        assert before - {"0"} <= after, "a row less leaves the others in place"
