"""Aggregations of RewardBench, RM-Bench and JudgeBench against the arithmetic of published tables."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from judgekit.evaluation.benchmarks.rewardbench import REWARDBENCH, rewardbench
from judgekit.evaluation.benchmarks.rm_bench import rm_bench
from judgekit.evaluation.sections import Part, combine
from judgekit.evaluation.verdict_metrics import score
from judgekit.rows import ORDERS, ResponsePair
from judgekit.verdict_rows import VerdictRow
from tests.evaluation.judges import CHOICES, both, pair


def reward_pairs() -> list[ResponsePair]:
    names = [name for weights in REWARDBENCH.values() for name in weights]
    return [pair(number, "A", subset=names[number % len(names)]) for number in range(20 * len(names))]


def answers(pairs: Sequence[ResponsePair], seed: int) -> list[VerdictRow]:
    draw = random.Random(seed)
    rows = []
    for number, _ in enumerate(pairs):
        rows += both(number, *(draw.choice(("A", "A", *CHOICES)) for _ in ORDERS))
    return rows


def test_rewardbench_weighs_as_its_leaderboard_does() -> None:
    pairs = reward_pairs()
    rows = answers(pairs, 0)
    found = rewardbench(pairs, rows, resamples=50)
    subset = {one.id: one.subset for one in pairs}
    for credit, numbers in ((0.0, found), (0.5, found["leaderboard"])):
        worth: dict[str | None, list[float]] = {}
        for one in rows:
            points = 1.0 if one.verdict == "A" else 0.0 if one.verdict == "B" else credit
            worth.setdefault(subset[one.id], []).append(points)
        sections = []
        for name, weights in REWARDBENCH.items():
            accuracy = {key: sum(worth[key]) / len(worth[key]) for key in weights}
            sections.append(sum(accuracy[key] * weight for key, weight in weights.items()) / sum(weights.values()))
            assert numbers[name] == pytest.approx(sections[-1])
        assert numbers["overall"] == pytest.approx(sum(sections) / 4)
        assert numbers["overall_ci95"][0] < numbers["overall"] < numbers["overall_ci95"][1]


def test_a_section_with_a_subset_missing_is_none() -> None:
    pairs = [one for one in reward_pairs() if one.subset != "hep-go"]
    rows = [one for one in answers(reward_pairs(), 0) if one.id in {known.id for known in pairs}]
    found = rewardbench(pairs, rows, resamples=20)
    assert found["Reasoning"] is found["overall"] is found["leaderboard"]["overall_ci95"] is None
    assert isinstance(found["Chat"], float)
    assert rewardbench([], [])["overall"] is None


@pytest.mark.parametrize(
    ("overall", "sections"),
    [
        (84.0, (97.2, 70.2, 82.8, 86.0)), (86.7, (96.1, 76.1, 88.1, 86.6)), (90.0, (96.9, 85.1, 89.6, 88.4)),
        (93.3, (96.6, 87.9, 93.1, 95.5)), (93.9, (97.5, 89.4, 93.0, 95.5)), (93.8, (97.7, 89.5, 91.7, 96.1)),
    ],
)  # fmt: skip
def test_published_overalls_are_plain_means_of_sections(overall: float, sections: tuple[float, ...]) -> None:
    found = combine((1.0, Part(value, (value, value))) for value in sections)
    assert found is not None and found.value == pytest.approx(overall, abs=0.1)


def test_intervals_of_a_weighted_mean_cover_it() -> None:
    draw = np.random.default_rng(0)
    truth, sizes, weights = np.array([0.6, 0.9, 0.75]), np.array([80, 200, 50]), np.array([1.0, 3.0, 2.0])
    covered = 0
    for _ in range(500):
        shares = draw.binomial(sizes, truth) / sizes
        half = 1.96 * np.sqrt(shares * (1 - shares) / sizes)
        parts = [(float(weight), Part(float(one), (float(one - width), float(one + width))))
                 for weight, one, width in zip(weights, shares, half, strict=True)]  # fmt: skip
        found = combine(parts)
        assert found is not None
        covered += found.ci95[0] <= truth @ weights / weights.sum() <= found.ci95[1]
    assert 0.91 <= covered / 500 <= 0.98


def grid(domains: Sequence[str], prompts: int) -> list[ResponsePair]:
    from judgekit.evaluation.benchmarks.rm_bench import difficulty

    places = [(domain, prompt, row, column) for domain in domains for prompt in range(prompts)
              for row in range(3) for column in range(3)]  # fmt: skip
    return [
        ResponsePair(f"p{number}", "q", "c", "r", "A", subset=f"{domain}/{difficulty(row, column)}",
                     group=f"{domain}/{prompt}")
        for number, (domain, prompt, row, column) in enumerate(places)
    ]  # fmt: skip


def test_rm_bench_averages_the_style_grid() -> None:
    domains = ["chat", "code", "math", "safety-refuse", "safety-response"]
    pairs = grid(domains, 12)
    rows = answers(pairs, 1)
    found = rm_bench(pairs, rows, resamples=50)
    right = np.zeros((5, 12, 3, 3))
    for one in rows:
        right.reshape(-1)[int(one.id[1:])] += 0.5 * (one.verdict == "A")
    matrix = right.mean(axis=1)
    by_level = {
        "hard": [np.triu(one, 1).sum() / 3 for one in matrix],
        "normal": [np.diag(one).mean() for one in matrix],
        "easy": [np.tril(one, -1).sum() / 3 for one in matrix],
    }

    def over_domains(values: list[float]) -> float:
        return float(np.mean([*values[:3], np.mean(values[3:])]))

    for level, values in by_level.items():
        assert found[level] == pytest.approx(over_domains(values))
    assert found["overall"] == pytest.approx(np.mean([found[level] for level in by_level]))
    assert list(found["domains"]) == [
        name + end for name in ("chat", "code", "math", "safety") for end in ("", "_ci95")
    ]
    assert found["domains"]["safety"] == pytest.approx(matrix[3:].mean())


def test_rm_bench_of_one_domain_is_the_plain_score() -> None:
    pairs = grid(["chat"], 20)
    rows = answers(pairs, 2)
    found, plain = rm_bench(pairs, rows, resamples=200), score(pairs, rows, resamples=200)
    assert found["overall"] == pytest.approx(plain.overall["accuracy"])
    assert found["hard"] == pytest.approx(plain.subsets["chat/hard"]["accuracy"])
    assert found["domains"]["chat_ci95"] == pytest.approx(plain.overall["accuracy_ci95"], abs=0.03)


@pytest.mark.parametrize(
    ("overall", "levels"),
    [(64.9, (68.9, 62.6, 63.3)), (69.5, (77.5, 66.3, 64.8)), (80.0, (81.7, 77.2, 81.1)), (82.1, (81.1, 80.8, 84.3))],
)
def test_published_rm_bench_overalls_are_means_of_levels(overall: float, levels: tuple[float, ...]) -> None:
    assert sum(levels) / 3 == pytest.approx(overall, abs=0.1)


@pytest.mark.parametrize(
    ("overall", "categories"),
    [
        (50.3, (53.9, 36.7, 64.3, 50.0)), (48.6, (50.0, 43.9, 55.4, 45.2)), (57.1, (56.5, 55.1, 71.4, 45.2)),
        (50.9, (48.1, 50.0, 60.7, 50.0)), (56.6, (55.8, 56.1, 69.6, 42.9)),
    ],
)  # fmt: skip
def test_published_judgebench_overalls_follow_from_the_categories(
    overall: float, categories: tuple[float, ...]
) -> None:
    """A judge right on the published shares of the 154, 98, 56 and 42 pairs scores the published whole."""
    sizes = (("knowledge", 154), ("reasoning", 98), ("math", 56), ("coding", 42))
    pairs, rows = [], []
    for (name, size), percent in zip(sizes, categories, strict=True):
        right = round(size * percent / 100)
        for place in range(size):
            pairs.append(pair(len(pairs), "A", subset=name))
            rows += both(len(pairs) - 1, "A", "A" if place < right else "B")
    scores = score(pairs, rows, resamples=2)
    consistent = scores.overall["consistent_accuracy"]
    assert isinstance(consistent, float) and round(100 * consistent, 1) == overall
