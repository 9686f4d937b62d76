"""Scores of single responses against scipy, definitions by hand, and degenerate inputs."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from judgekit.errors import DataError
from judgekit.evaluation.benchmarks import load_scored
from judgekit.evaluation.benchmarks.base import BenchmarkConfig
from judgekit.evaluation.pointwise import central_tendency, score_pointwise
from judgekit.rows import ScoredResponse
from judgekit.stats.correlation import Correlations


def response(group: int, system: str | None, score: float) -> ScoredResponse:
    return ScoredResponse(f"{group}/{system}", f"q{group}", "text", score, 1.0, 5.0, f"q{group}", system)


def random_scores(seed: int, groups: int = 25) -> tuple[list[ScoredResponse], dict[str, float | None]]:
    """Eight systems of rising quality; the judge sees it through noise and sometimes says nothing."""
    draw = random.Random(seed)
    rows, scores = [], {}
    for group in range(groups):
        for system in range(8):
            human = min(5, max(1, round(1.5 + system / 3 + draw.gauss(0, 1))))
            rows.append(response(group, f"s{system}", float(human)))
            judge = min(5, max(1, round(human + draw.gauss(0, 1.2))))
            scores[rows[-1].id] = None if draw.random() < 0.05 else float(judge)
    return rows, scores


def values(level: Correlations) -> list[float | None]:
    return [level.pearson.value, level.spearman.value, level.kendall.value]


THEIRS = (stats.pearsonr, stats.spearmanr, stats.kendalltau)


@pytest.mark.parametrize("seed", range(5))
def test_every_level_equals_scipy(seed: int) -> None:
    rows, scores = random_scores(seed)
    valid = [row for row in rows if scores[row.id] is not None]
    human = np.array([row.score for row in valid])
    judge = np.array([scores[row.id] for row in valid], dtype=float)
    found = score_pointwise(rows, scores, resamples=10)
    assert (found.n, found.invalid) == (len(valid), len(rows) - len(valid))
    assert values(found.pooled) == pytest.approx([test(human, judge).statistic for test in THEIRS])

    by_group: defaultdict[str, list[int]] = defaultdict(list)
    by_system: defaultdict[str | None, list[int]] = defaultdict(list)
    for index, row in enumerate(valid):
        by_group[row.group].append(index)
        by_system[row.system].append(index)
    usable = [group for group in by_group.values() if np.ptp(human[group]) and np.ptp(judge[group])]
    inside = [np.mean([test(human[group], judge[group]).statistic for group in usable]) for test in THEIRS]
    assert values(found.text_level) == pytest.approx(inside)
    assert (found.text_groups, found.skipped) == (len(usable), 25 - len(usable))
    means = [[side[one].mean() for one in by_system.values()] for side in (human, judge)]
    assert found.system_level is not None
    assert values(found.system_level) == pytest.approx([test(*means).statistic for test in THEIRS])

    ordered = agreed = best = given = exact = 0
    for group in by_group.values():
        for one, two in combinations(group, 2):
            if human[one] != human[two]:
                ordered += 1
                agreed += (human[one] - human[two]) * (judge[one] - judge[two]) > 0
        best += sum(judge[one] == 5 and human[one] == human[group].max() for one in group)
        given += sum(judge[one] == 5 for one in group)
        exact += all(stats.rankdata(human[group]) == stats.rankdata(judge[group]))
    assert found.pairwise_accuracy.value == pytest.approx(agreed / ordered)
    assert found.five_best.value == pytest.approx(best / given)
    assert found.exact_match.value == pytest.approx(exact / len(by_group))
    assert found.central_tendency.value == pytest.approx(np.mean(judge == 3) - np.mean(human == 3))
    assert central_tendency(rows, scores, resamples=10) == found.central_tendency
    assert found.spread.value == pytest.approx(judge.std() / human.std())


def test_intervals_hold_their_values() -> None:
    found = score_pointwise(*random_scores(1), resamples=300)
    estimates = [
        *(getattr(level, name) for level in (found.pooled, found.text_level, found.system_level)
          for name in ("pearson", "spearman", "kendall")),
        found.pairwise_accuracy, found.exact_match, found.five_best, found.central_tendency, found.spread,
    ]  # fmt: skip
    for one in estimates:
        assert one.value is not None and one.ci95 is not None
        assert one.ci95[0] <= one.value <= one.ci95[1] and one.ci95[0] < one.ci95[1]


def test_order_of_rows_changes_no_bit() -> None:
    rows, scores = random_scores(2)
    before = score_pointwise(rows, scores, resamples=50)
    random.Random(0).shuffle(rows)
    assert score_pointwise(rows, scores, resamples=50) == before


def test_ranking_exactly_as_people_do() -> None:
    rows = [response(0, "a", 3.0), response(0, "b", 4.0), response(1, "a", 1.0), response(1, "b", 1.0)]
    scores: dict[str, float | None] = {"0/a": 4.0, "0/b": 5.0, "1/a": 2.0, "1/b": 5.0}
    found = score_pointwise(rows, scores, resamples=20)
    assert found.exact_match.value == 0.5
    assert found.five_best.value == 1.0
    assert (found.pairwise_accuracy.value, found.pairwise_accuracy.n) == (1.0, 1)


@pytest.mark.parametrize(
    "scores",
    [
        {},
        {"0/a": 3.0},
        {"0/a": None, "0/b": None},
        dict.fromkeys(["0/a", "0/b", "1/a", "1/b"], 3.0),
    ],
)
def test_too_little_to_measure_is_none(scores: dict[str, float | None]) -> None:
    rows = [response(group, system, float(group + len(system))) for group in (0, 1) for system in ("a", "b")]
    found = score_pointwise(rows, scores, resamples=20)
    assert values(found.pooled) == values(found.text_level) == [None] * 3
    assert found.invalid == 4 - sum(value is not None for value in scores.values())
    assert found.skipped == 2
    empty = score_pointwise([], {})
    assert (empty.n, empty.spread.value, empty.system_level) == (0, None, None)


def test_rankings_have_no_scale_and_no_systems() -> None:
    rows = [ScoredResponse(str(rank), "q", "text", -float(rank), None, None, "q") for rank in range(4)]
    found = score_pointwise(rows, {"0": 9.0, "1": 7.0, "2": 8.0, "3": 1.0}, best=9.0, resamples=20)
    assert (found.central_tendency.value, found.system_level) == (None, None)
    assert found.five_best.value == 1.0
    assert found.text_level.spearman.value == pytest.approx(0.8)
    assert score_pointwise(rows, {"0": 9.0}).five_best.value is None


def test_rows_that_do_not_belong_are_refused() -> None:
    with pytest.raises(DataError, match="no response 'x'"):
        score_pointwise([response(0, "a", 1.0)], {"x": 3.0})
    with pytest.raises(DataError, match="appears twice"):
        score_pointwise([response(0, "a", 1.0)] * 2, {})


def test_real_human_scores_agree_with_themselves(shared_data: Callable[[str], Path]) -> None:
    config = BenchmarkConfig(kind="newsroom", path=str(shared_data("judge_bench_20")))
    rows = [row for row in load_scored("newsroom", config) or [] if row.subset == "Fluency"]
    found = score_pointwise(rows, {row.id: row.score for row in rows}, resamples=20)
    assert values(found.pooled) == pytest.approx([1.0] * 3)
    assert (found.n, found.text_groups, found.exact_match.value) == (420, 60, 1.0)
    assert found.system_level is not None and values(found.system_level) == pytest.approx([1.0] * 3)
    assert (found.central_tendency.value, found.spread.value) == (0.0, pytest.approx(1.0))
