"""Splits: disjoint, proportional, deterministic, and steady where they must be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgekit.data.splits import SPLITS, normalised, split_instructions
from judgekit.errors import ConfigError
from judgekit.rows import Instruction

Sources = dict[str, list[Instruction]]


def rows(source: str, count: int, checker: str | None = "maths") -> list[Instruction]:
    return [
        Instruction(f"{source}-{i}", f"Question {i} of {source}?", source, "any", checker=checker) for i in range(count)
    ]


def ids(found: dict[str, list[Instruction]], split: str) -> list[str]:
    return [row.id for row in found[split]]


def by_source(members: list[Instruction]) -> dict[str, int]:
    return {name: sum(row.source == name for row in members) for name in sorted({row.source for row in members})}


def test_shares_are_proportional_with_the_largest_remainder() -> None:
    sources = {"a": rows("a", 50), "b": rows("b", 30), "c": rows("c", 20)}
    found = split_instructions(sources, {"held_out": 10, "d1": 20, "d2": 7}, seed=1)
    assert by_source(found["held_out"]) == {"a": 5, "b": 3, "c": 2}
    assert by_source(found["d1"]) == {"a": 10, "b": 6, "c": 4}
    shares = by_source(found["d2"])  # exactly 3.5, 2.1, 1.4
    assert (sum(shares.values()), shares["b"], shares["a"] + shares["c"]) == (7, 2, 5)
    assert found["warm"] == found["validation"] == []


def test_a_source_that_runs_out_is_made_up_for_by_the_others() -> None:
    sources = {"a": rows("a", 6, checker=None), "b": rows("b", 6)}
    found = split_instructions(sources, {"warm": 5, "d1": 7}, seed=1)
    assert by_source(found["warm"]) == {"b": 5}
    assert by_source(found["d1"]) == {"a": 6, "b": 1}


def test_warm_takes_instructions_with_a_checker_only() -> None:
    sources = {"free": rows("f", 10, checker=None), "mixed": [*rows("m", 4, checker=None), *rows("n", 4)]}
    found = split_instructions(sources, {"warm": 4, "d1": 14}, seed=1)
    assert sorted(ids(found, "warm")) == ["n-0", "n-1", "n-2", "n-3"]
    assert sorted(ids(split_instructions(sources, {"warm": 5}, seed=1), "warm")) == ["n-0", "n-1", "n-2", "n-3"]
    with pytest.raises(ConfigError, match="'warm'"):
        split_instructions({"free": sources["free"]}, {"warm": 5}, seed=1)


def test_training_may_take_some_sources_only_and_the_others_stay_where_they_were() -> None:
    sources = {"a": rows("a", 30), "b": rows("b", 20)}
    sizes = {"held_out": 10, "validation": 5, "warm": 5, "d1": 8, "d2": 4}
    every, some = (split_instructions(sources, sizes, seed=1, train_sources=names) for names in (None, ["b"]))
    assert by_source(some["d1"]) == {"b": 8} and by_source(some["d2"]) == {"b": 4}
    for split in ("held_out", "validation", "warm"):
        assert ids(some, split) == ids(every, split)
    with pytest.raises(ConfigError, match="data.train_sources"):
        split_instructions(sources, sizes | {"d1": 20}, seed=1, train_sources=["c"])


def test_warm_takes_the_chosen_categories_only_and_the_others_all() -> None:
    members = [replace(row, category="taught" if int(row.id[2:]) < 6 else "left") for row in rows("a", 12)]
    sizes = {"held_out": 2, "warm": 4, "d1": 6}
    found = split_instructions({"a": members}, sizes, seed=1, warm_categories=["taught"])
    assert {row.category for row in found["warm"]} == {"taught"}
    assert len(found["d1"]) == 6
    assert ids(found, "held_out") == ids(split_instructions({"a": members}, sizes, seed=1), "held_out")
    with pytest.raises(ConfigError, match="name more recipe.warm_start.categories"):
        split_instructions({"a": members}, {"warm": 7}, seed=1, warm_categories=["other"])


@pytest.mark.parametrize(
    ("sizes", "split"),
    [
        ({"held_out": 10, "validation": 7}, "validation"),
        ({"held_out": 10, "warm": 7}, "warm"),
        ({"held_out": 4, "validation": 6, "d1": 7}, "d1"),
        ({"held_out": 4, "d1": 6, "d2": 1}, "d2"),
        ({"held_out": 4, "d1": 6, "d2": None}, "d2"),
    ],
)
def test_only_an_empty_split_is_an_error(sizes: dict[str, int | None], split: str) -> None:
    with pytest.raises(ConfigError) as caught:
        split_instructions({"a": rows("a", 10)}, sizes, seed=1)
    message = str(caught.value)
    assert f"none of them left for split '{split}' ({sizes[split] or 'all'} wanted)" in message
    assert "10 distinct instructions" in message
    assert ("recipe.warm_start.examples" if split == "warm" else "data.second_round") in message


def test_a_split_that_finds_too_few_takes_what_there_is() -> None:
    found = split_instructions({"a": rows("a", 10)}, {"held_out": 4, "d1": 5, "d2": 8}, seed=1)
    assert [len(found[split]) for split in ("held_out", "d1", "d2")] == [4, 5, 1]


def test_evalplanners_splits_have_the_papers_sizes() -> None:
    """Half of D1 and validation from each of 17,588 WildChat and 4,141 MATH pairs, then the rest (arXiv 2501.18099)."""
    sources = {"wildchat": rows("wildchat", 17588), "math": rows("math", 4141)}
    fixed = {"validation": {"wildchat": 150, "math": 150}, "d1": {"wildchat": 2500, "math": 2500}}
    sizes = {"validation": 300, "d1": 5000, "d2": None}
    found = split_instructions(sources, sizes, seed=1, per_source=fixed)
    assert by_source(found["validation"]) == {"math": 150, "wildchat": 150}
    assert by_source(found["d1"]) == {"math": 2500, "wildchat": 2500}
    assert by_source(found["d2"]) == {"math": 1491, "wildchat": 14938}
    # Had fewer problems given a pair, D1 would lack them, and WildChat would not make up for them.
    short = split_instructions(sources | {"math": rows("math", 2000)}, sizes, seed=1, per_source=fixed)
    assert by_source(short["d1"]) == {"math": 1850, "wildchat": 2500} and by_source(short["d2"]) == {"wildchat": 14938}


def test_sources_without_a_size_of_their_own_divide_the_rest() -> None:
    sources = {"a": rows("a", 50), "b": rows("b", 30), "c": rows("c", 20)}
    found = split_instructions(sources, {"d1": 20, "d2": None}, seed=1, per_source={"d1": {"a": 10}, "d2": {"c": 2}})
    assert by_source(found["d1"]) == {"a": 10, "b": 6, "c": 4}
    assert by_source(found["d2"]) == {"a": 40, "b": 24, "c": 2}


def test_one_text_is_in_one_split_whatever_its_id_case_and_blanks() -> None:
    texts = ["Name a river.", "name  a river.\n", "NAME A RIVER.", "Name a lake."]
    one = [Instruction(str(i), text, "a", "any") for i, text in enumerate(texts[:2])]
    two = [Instruction(str(i), text, "b", "any") for i, text in enumerate(texts[2:], start=2)]
    found = split_instructions({"a": one, "b": two}, {"held_out": 1, "d1": 1}, seed=1)
    assert sorted(normalised(row.text) for split in SPLITS for row in found[split]) == ["name a lake.", "name a river."]
    with pytest.raises(ConfigError, match="2 distinct"):
        split_instructions({"a": one, "b": two}, {"held_out": 2, "d1": 2}, seed=1)


sizes_of = st.fixed_dictionaries({split: st.integers(0, 6) for split in SPLITS})


@given(st.lists(st.integers(0, 30), min_size=1, max_size=4), sizes_of, st.integers(0, 5))
@settings(max_examples=80, deadline=None)
def test_splits_are_disjoint_and_as_large_as_asked(counts: list[int], sizes: dict[str, int], seed: int) -> None:
    sources = {f"s{i}": rows(f"s{i}", count) for i, count in enumerate(counts)}
    left, expected = sum(counts), dict[str, int]()
    for split in SPLITS:
        expected[split] = min(sizes[split], left)
        left -= expected[split]
    if any(sizes[split] and not expected[split] for split in SPLITS):
        with pytest.raises(ConfigError):
            split_instructions(sources, sizes, seed)
        return
    found = split_instructions(sources, sizes, seed)
    assert {split: len(members) for split, members in found.items()} == expected
    everyone = [row.id for split in SPLITS for row in found[split]]
    assert len(everyone) == len(set(everyone))
    assert found == split_instructions(sources, sizes, seed)


@given(sizes_of, sizes_of)
@settings(max_examples=40, deadline=None)
def test_what_is_held_out_does_not_move_with_the_training_sizes(one: dict[str, int], two: dict[str, int]) -> None:
    sources = {"a": rows("a", 25), "b": rows("b", 10)}  # enough for all splits
    two |= {"held_out": one["held_out"]}
    first, second = (split_instructions(sources, sizes, seed=3) for sizes in (one, two))
    assert first["held_out"] == second["held_out"]
    if one["validation"] == two["validation"]:
        assert first["validation"] == second["validation"]


def test_another_seed_splits_otherwise() -> None:
    one, two = (split_instructions({"a": rows("a", 60)}, {"held_out": 20}, seed=seed) for seed in (1, 2))
    assert set(ids(one, "held_out")) != set(ids(two, "held_out"))


def test_a_row_added_to_a_source_hardly_moves_the_splits() -> None:
    """Membership is drawn by the row's id, not by its place in the file."""
    base = rows("a", 60)
    new = Instruction("new", "A new question?", "a", "any", checker="maths")
    sizes = {"held_out": 20, "d1": 20}
    before = split_instructions({"a": base}, sizes, seed=1)
    for changed in ([new, *base], [*base, new], list(reversed(base))):
        after = split_instructions({"a": changed}, sizes, seed=1)
        assert len(set(ids(before, "held_out")) - set(ids(after, "held_out"))) <= 1
