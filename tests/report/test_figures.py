"""The report's figures: each shows the number its function gives, with interval and n."""

from __future__ import annotations

from collections import Counter

import pytest

from judgekit.evaluation.judge_comparison import judge_agreement
from judgekit.evaluation.verdict_calibration import calibrate
from judgekit.evaluation.voting import majority_curve
from judgekit.report.figures import draw_figures, histogram, shown, votes
from judgekit.report.judged_benchmark import JudgedBenchmark, read_benchmark
from judgekit.rows import ResponsePair
from judgekit.stats.bootstrap import Estimate
from judgekit.verdict_rows import VerdictRow
from tests.report.run_folder import make_evaluation

JUDGES = ("plain", "sure", "scorer", "many")


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> JudgedBenchmark:
    return read_benchmark(make_evaluation(tmp_path_factory.mktemp("figures"), 24, JUDGES), "arena", JUDGES)


def test_a_histogram_counts_all_scores(arena: JudgedBenchmark) -> None:
    (found,) = draw_figures(arena).scores
    rows = arena.verdicts["scorer"]
    counts = Counter(score for row in rows for score in (row.score_a, row.score_b) if score is not None)
    assert {float(bar.label): bar.count for bar in found.chart.bars} == counts
    assert found.n == counts.total() and found.judge == "scorer"


def test_many_different_scores_share_ten_bars() -> None:
    rows = [VerdictRow(str(n), "ab", 0, "A", None, "", score_a=n / 7, score_b=20.0) for n in range(50)]
    found = histogram("judge", rows)
    assert found is not None
    assert [bar.count for bar in found.chart.bars][-1] == 50
    assert (len(found.chart.bars), sum(bar.count for bar in found.chart.bars)) == (10, 100)


def test_reliability_is_that_of_calibrate(arena: JudgedBenchmark) -> None:
    (found,) = draw_figures(arena).reliability
    theirs = calibrate(arena.pairs, arena.verdicts["sure"])
    assert (found.judge, found.ece, found.overconfidence) == ("sure", theirs.ece, theirs.overconfidence)
    filled = [one for one in theirs.bins if one.n]
    assert [(confidence, accuracy) for _, confidence, accuracy in found.rows] == [
        (one.confidence, one.accuracy) for one in filled
    ]
    assert [mark.title.split(", n ")[1] for mark in found.chart.marks] == [str(one.n) for one in filled]


def test_votes_are_those_of_the_majority_curve(arena: JudgedBenchmark) -> None:
    (found,) = draw_figures(arena).votes
    theirs = majority_curve(arena.pairs, arena.verdicts["many"])
    assert found.judge == "many"
    assert found.rows == tuple((point.samples, point.estimate) for point in theirs)
    assert [label for _, label in found.chart.x_ticks] == ["1", "3", "5"]
    assert votes("many", [ResponsePair("p", "i", "a", "b", None)], arena.verdicts["many"]) is None


def test_agreement_holds_each_two_judges_once(arena: JudgedBenchmark) -> None:
    found = draw_figures(arena).agreement
    assert found is not None and found.judges == JUDGES
    assert sorted(found.cells) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert found.cells[1, 3] == judge_agreement(arena.pairs, arena.verdicts["sure"], arena.verdicts["many"])


def test_nothing_is_drawn_without_verdicts() -> None:
    figures = draw_figures(JudgedBenchmark("b", (), {"judge": []}))
    assert (figures.scores, figures.reliability, figures.votes, figures.agreement) == ((), (), (), None)


def test_numbers_have_interval_and_n() -> None:
    assert shown(Estimate(0.5, (0.25, 1.0), 8)) == "50.0 [25.0, 100], n 8"
    assert shown(Estimate(None, None, 0)) == "–, n 0"
