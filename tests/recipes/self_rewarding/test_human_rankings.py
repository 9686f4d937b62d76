"""Seed data from ranked responses, by hand."""

from __future__ import annotations

from collections import Counter

from judgekit.recipes.self_rewarding.human_rankings import agreeing, first_ranked, resample_scores
from judgekit.rows import PointJudgment, ScoredResponse


def ranked(group: str, *scores: float) -> list[ScoredResponse]:
    return [ScoredResponse(f"{group}{i}", "ask", f"r{i}", s, None, None, group) for i, s in enumerate(scores)]


def judged(group: str, *scores: float | None, sample: int = 0) -> list[PointJudgment]:
    return [PointJudgment(f"{group}{i}", sample, s, None if s is not None else "missing", "t", 1)
            for i, s in enumerate(scores)]  # fmt: skip


def test_agreement_is_strict_but_for_equally_ranked_responses() -> None:
    rows = ranked("a", 0, -1, -2) + ranked("b", 0, -1) + ranked("c", 0, 0, -1) + ranked("d", 0, -1) + ranked("e", 0, -1)
    judgments = (
        judged("a", 5, 4.5, 1) + judged("b", 3, 3) + judged("c", 2, 4, 1) + judged("d", None, 1)
        + judged("d", 2, 1, sample=1) + judged("e", 1, 2) + judged("e", 2, None, sample=1)
    )  # fmt: skip
    kept, dropped = agreeing(rows, judgments)
    assert [row.id for row in kept] == ["a0", "a1", "a2", "c0", "c1", "c2", "d0", "d1"]
    assert [row.sample for row in kept[-2:]] == [1, 1]
    assert dropped == {"group whose scores never order it as people do": 2}
    assert agreeing(ranked("f", 0, -1), judged("f", 5, None))[1] == {
        "group without a valid judgment of every response": 1
    }


def test_the_first_ranked_response_of_every_group() -> None:
    rows = ranked("a", -1, 0, -2) + ranked("b", 0, 0)
    found = [row.id for row in first_ranked(rows, seed=1)]
    assert found[0] == "a1" and found[1] in ("b0", "b1")


def test_no_score_keeps_more_than_its_share() -> None:
    rows = [row for i, score in enumerate([4] * 80 + [5] * 12 + [1] * 8) for row in judged(f"g{i}", score)]
    for share, four in ((1.0, 80), (0.5, 20), (0.6, 30)):
        kept = resample_scores(rows, share, seed=1)
        assert Counter(row.score for row in kept) == {4: four, 5: 12, 1: 8}
    assert Counter(row.score for row in resample_scores(rows, 0.4, seed=1)) == {4: 13, 5: 12, 1: 8}
    assert Counter(row.score for row in resample_scores(rows, 0.2, seed=1)) == {4: 8, 5: 8, 1: 8}
    assert resample_scores(rows[:80], 0.5, seed=1) == rows[:80] and resample_scores([], 0.5, seed=1) == []
    assert resample_scores(rows, 0.5, seed=1) != resample_scores(rows, 0.5, seed=2)
