from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from judgekit.data.sources import starter_instructions

ROWS = starter_instructions()


def words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.lower()))


def likeness(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other)


def test_there_are_enough_instructions_in_enough_categories() -> None:
    categories = Counter(row.category for row in ROWS)
    assert len(ROWS) >= 252 and len(categories) >= 14 and min(categories.values()) >= 12
    assert len({row.id for row in ROWS}) == len(ROWS)
    assert {row.source for row in ROWS} == {"starter"}


def test_no_two_instructions_are_nearly_the_same() -> None:
    sets = [(row.text, words(row.text)) for row in ROWS]
    alike = [(a[0], b[0]) for a, b in itertools.combinations(sets, 2) if likeness(a[1], b[1]) > 0.6]
    assert not alike


def test_a_near_miss_is_another_question_and_nobody_elses_instruction() -> None:
    sets = {row.text: words(row.text) for row in ROWS}
    for row in ROWS:
        assert row.near_miss is not None
        near_miss = words(row.near_miss)
        assert near_miss != sets[row.text] and row.near_miss == row.near_miss.strip()
        same = [text for text, held in sets.items() if text != row.text and likeness(near_miss, held) > 0.6]
        assert not same, f"the near miss of '{row.text}' is the instruction '{same}'"
    assert len({words(row.near_miss or "") for row in ROWS}) == len(ROWS)


def test_near_misses_do_not_all_share_one_surface_edit() -> None:
    overlaps = [likeness(words(row.text), words(row.near_miss or "")) for row in ROWS]
    for low, high in ((0.0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.9)):
        share = sum(low <= overlap < high for overlap in overlaps) / len(overlaps)
        assert share > 0.08, f"only {share:.0%} of near misses share between {low:.0%} and {high:.0%} of their words"


def test_instructions_are_short_and_plain() -> None:
    lengths = sorted(len(row.text.split()) for row in ROWS)
    assert lengths[0] >= 3 and lengths[-1] <= 40 and 8 <= lengths[len(lengths) // 2] <= 20
    assert all(row.text == row.text.strip() for row in ROWS)


def test_no_instruction_is_a_test_set_prompt(shared_data: Callable[[str], Path]) -> None:
    prompts = [
        words(row["input"])
        for file in (shared_data("llmbar") / "Dataset" / "LLMBar").rglob("dataset.json")
        for row in json.loads(file.read_text(encoding="utf-8"))
    ]
    assert len(prompts) > 200
    known = [row.text for row in ROWS for prompt in prompts if likeness(words(row.text), prompt) > 0.6]
    assert not known
