"""Critiques a program writes for its own tasks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from judgekit.data.constraints import BY_NAME, constraint_instructions
from judgekit.data.pairs import build_pairs
from judgekit.prompts.critiquellm import CritiquePair, CritiquePairPrompt, CritiquePoint, CritiquePointPrompt
from judgekit.recipes.critiquellm.critique_rules import pair_fault, point_fault, read_critique
from judgekit.recipes.critiquellm.worked_critiques import BAD, GOOD, worked_critiques, worked_reference
from judgekit.rows import ResponsePair
from judgekit.schema.data import DataConfig, SourceConfig

POINT, PAIR = CritiquePoint(CritiquePointPrompt(style="brief")), CritiquePair(CritiquePairPrompt(style="brief"))
ROWS = constraint_instructions(24, 3)


@pytest.fixture(scope="module")
def pairs() -> list[ResponsePair]:
    source = SourceConfig(kind="constraints", pairs="written")
    return build_pairs(ROWS, source, DataConfig(), seed=3, ask=dict, verify=list, drop=print)


def test_worked_critiques_pass_the_rules_and_say_what_is_so(pairs: list[ResponsePair]) -> None:
    for row, pair in zip(ROWS, pairs, strict=True):
        found = worked_critiques(row, pair, POINT, PAIR)
        assert found is not None
        good = {"a": pair.label == "A", "b": pair.label == "B"}
        for texts, referenced in ((found.points, True), (found.free_points, False)):
            for text, side in zip(texts, "ab", strict=True):
                assert point_fault(text, False, POINT, (), referenced=referenced) is None
                assert POINT.read_score(text, False).score == (GOOD if good[side] else BAD)
        before = read_critique(found.points[0], POINT, ())
        assert point_fault(found.free_points[0], False, POINT, (), referenced=False, before=before) is None
        for text, referenced in ((found.comparison, True), (found.free_comparison, False)):
            assert pair_fault(text, False, PAIR, (), referenced=referenced) is None
            assert PAIR.read(text, False).verdict == pair.label
        assert pair_fault(found.comparison, False, PAIR, (), referenced=False) == "mentions the reference"


def test_references_have_the_format_asked_for(pairs: list[ResponsePair]) -> None:
    for row, pair in zip(ROWS, pairs, strict=True):
        reference = worked_reference(row, 3)
        assert reference is not None and BY_NAME[str(row.checker)].check(reference)
        assert reference == worked_reference(row, 3)
        other = replace(row, source="maths")
        assert worked_reference(other, 3) is None and worked_critiques(other, pair, POINT, PAIR) is None


def test_two_answers_alike_are_a_tie(pairs: list[ResponsePair]) -> None:
    pair = replace(pairs[0], response_b=pairs[0].response_a)
    found = worked_critiques(ROWS[0], pair, POINT, PAIR)
    assert found is not None and PAIR.read(found.comparison, False).verdict == "tie"
