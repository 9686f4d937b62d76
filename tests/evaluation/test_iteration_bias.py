"""The bias report at its edges; its numbers on a worked example are in the test of the Meta-Rewarding recipe."""

from __future__ import annotations

import pytest

from judgekit.evaluation.iteration_bias import collapse, report_meta, report_scores
from judgekit.preferences.judgment_battles import Contest
from judgekit.rows import Candidate, Judgment, Order, PointJudgment, Verdict
from judgekit.stats.bootstrap import Estimate

CANDIDATES = [Candidate(f"p{i}/r0", f"p{i}", "ask", "answer", 3) for i in range(20)]


def judgments(*scores: float | None) -> list[PointJudgment]:
    return [PointJudgment(row.id, i, score, None if score is not None else "missing: why", "t" * i, 1)
            for row in CANDIDATES for i, score in enumerate(scores)]  # fmt: skip


def compared(scores: tuple[float, ...], choose: str) -> tuple[list[Contest], list[Judgment]]:
    """Every comparison won by the ``higher`` score, or by the judgment shown ``first``."""
    contests = [
        Contest(row, tuple(PointJudgment(row.id, i, s, None, f"{i}", 1) for i, s in enumerate(scores)))
        for row in CANDIDATES
    ]
    verdicts = []
    orders: dict[Order, Verdict] = {"ab": "A", "ba": "B"}
    for contest in contests:
        for key, a, b in contest.pairs:
            for order, first in orders.items():
                higher: Verdict = "A" if (a.score or 0) > (b.score or 0) else "B"
                verdicts.append(Judgment(key, order, 0, higher if choose == "higher" else first, None, ""))
    return contests, verdicts


def test_scores_that_cannot_be_read_enter_no_number() -> None:
    report = report_scores(CANDIDATES, judgments(5.0, None, 4.0), (0.0, 5.0), first_mean=4.0)
    assert report.mean.value == pytest.approx(4.5) and report.drift == pytest.approx(0.5)
    assert report.histogram == ((4.0, 20), (5.0, 20)) and report.invalid == {"missing": 20}
    assert report.standard_deviation == pytest.approx(0.5)
    empty = report_scores(CANDIDATES, judgments(None), (0.0, 5.0), first_mean=4.0)
    assert (empty.mean.value, empty.drift, empty.standard_deviation) == (None, None, None)


def test_a_meta_judge_that_follows_the_score_has_collapsed() -> None:
    report = report_meta(*compared((1.0, 3.0, 5.0), "higher"))
    assert report.higher_score.value == 1.0 and report.equal_score_first.value is None
    assert report.weights.omega1 == 0.5, "both orders name the same judgment"
    (reason,) = collapse(report, 0.95, 0.85, 50)
    assert "higher score in 100.0 % of 120" in reason
    assert collapse(report, 0.95, 0.85, 121) == []


def test_a_meta_judge_that_follows_the_position_has_collapsed() -> None:
    report = report_meta(*compared((3.0, 3.0), "first"))
    assert report.first_position.value == report.equal_score_first.value == 1.0
    assert (report.weights.omega1, report.weights.omega2) == (0.0, 1.0)
    assert "shown first in 100.0 % of 40" in collapse(report, 0.95, 0.85, 40)[0]


def test_nothing_compared_is_no_collapse() -> None:
    report = report_meta([], [])
    assert report.first_position == Estimate(None, None, 0) and collapse(report, 0.5, 0.5, 1) == []
    assert report.weights.omega1 + report.weights.omega2 == 1.0
