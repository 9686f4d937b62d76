"""The released files themselves: counts and labels that their papers and repositories state."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from judgekit.evaluation.benchmarks import load_benchmark, load_scored
from judgekit.evaluation.benchmarks.base import BenchmarkConfig
from judgekit.evaluation.benchmarks.pandalm import read_annotators
from judgekit.rows import ResponsePair, ScoredResponse
from judgekit.stats.agreement import cohen_kappa

SharedData = Callable[[str], Path]


def pairs_of(kind: str, path: Path) -> list[ResponsePair]:
    found = load_benchmark(kind, BenchmarkConfig(kind=kind, path=str(path)), [])  # type: ignore[arg-type]
    assert found is not None
    return found


def scored_of(kind: str, path: Path) -> list[ScoredResponse]:
    found = load_scored(kind, BenchmarkConfig(kind=kind, path=str(path)))  # type: ignore[arg-type]
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("kind", "labels", "clusters"),
    [
        ("llmbar", {"A": 117, "B": 117}, 234),
        ("pandalm", {"tie": 105, "A": 422, "B": 472}, 170),
        ("judgebench", {"A": 193, "B": 157}, 350),
        ("rm_bench", {"A": 129 * 9}, 129),
        ("evalbiasbench", {"A": 80}, 79),
        ("finegrained_rlhf", {"A": 1577, "B": 1039, "tie": 384}, 500),
        ("oasst", {"A": 754}, 212),
    ],
)
def test_labels_and_instructions(shared_data: SharedData, kind: str, labels: dict[str, int], clusters: int) -> None:
    pairs = pairs_of(kind, shared_data(kind))
    assert Counter(pair.label for pair in pairs) == labels
    assert len({pair.cluster for pair in pairs}) == clusters
    assert len({pair.id for pair in pairs}) == len(pairs)


@pytest.mark.parametrize(
    ("kind", "subsets"),
    [
        ("judgebench", {"knowledge": 154, "reasoning": 98, "math": 56, "coding": 42}),
        ("rm_bench", {"chat/easy": 387, "chat/normal": 387, "chat/hard": 387}),
        (
            "evalbiasbench",
            {"length bias": 17, "concreteness": 14, "empty reference": 13, "content_continuation": 12,
             "nested_instruction": 12, "familiar knowledge preference bias": 12},
        ),
        ("oasst", {"first turn": 438, "later turns": 316}),
    ],
)  # fmt: skip
def test_subsets(shared_data: SharedData, kind: str, subsets: dict[str, int]) -> None:
    assert Counter(pair.subset for pair in pairs_of(kind, shared_data(kind))) == subsets


def test_pandalm_keeps_odd_rows(shared_data: SharedData) -> None:
    pairs = {pair.id: pair for pair in pairs_of("pandalm", shared_data("pandalm"))}
    for number in (157, 158, 159, 161, 162, 164):  # stand there as JSON booleans
        pair = pairs[f"pandalm/{number}"]
        assert {pair.response_a, pair.response_b} & {"True", "False"}
    assert pairs["pandalm/466"].instruction == "Truthfulness"
    sizes = Counter((pair.model_a, pair.model_b) for pair in pairs.values())
    assert len(sizes) == 10 and min(sizes.values()) == 89 and max(sizes.values()) == 111


def test_pandalms_annotators_agree_as_reported(shared_data: SharedData) -> None:
    votes = read_annotators(shared_data("pandalm") / "data" / "testset-v1.json")
    columns = list(zip(*votes, strict=True))
    couples = [(0, 1), (0, 2), (1, 2)]
    raw = [sum(vote[one] == vote[two] for vote in votes) / len(votes) for one, two in couples]
    kappa = [cohen_kappa(columns[one], columns[two]) for one, two in couples]
    assert sorted(round(100 * share, 1) for share in raw) == [91.3, 91.8, 92.9]
    assert sorted(round(value or 0, 3) for value in kappa) == [0.852, 0.862, 0.879]
    assert Counter(len(set(vote)) for vote in votes) == {1: 879, 2: 120}


def test_rm_bench_rows_keep_their_styles(shared_data: SharedData) -> None:
    folder = shared_data("rm_bench")
    first = json.loads((folder / "data" / "chat_filtered.json").read_text(encoding="utf-8"))[0]
    by_id = {pair.id: pair for pair in pairs_of("rm_bench", folder)}
    hard = by_id[f"rm_bench/chat/{first['id']}/02"]
    assert (hard.response_a, hard.response_b) == (first["chosen"][0], first["rejected"][2])
    assert hard.subset == "chat/hard"


def test_pointwise_benchmarks(shared_data: SharedData) -> None:
    roscoe = scored_of("roscoe", shared_data("judge_bench_20"))
    assert Counter(row.subset for row in roscoe) == {"gsm8k/Overall Quality": 200, "gsm8k/Coherency": 200}
    scores = Counter(row.score for row in roscoe if row.subset == "gsm8k/Overall Quality")
    assert scores == {5: 104, 2: 51, 1: 38, 4: 5, 3: 2}
    newsroom = scored_of("newsroom", shared_data("judge_bench_20"))
    assert Counter(row.subset for row in newsroom) == dict.fromkeys(
        ("Informativeness", "Relevance", "Fluency", "Coherence"), 420
    )
    assert len({row.group for row in newsroom}) == 60
    assert Counter(row.system for row in newsroom if row.subset == "Fluency") == {
        f"system {i}": 60 for i in range(1, 8)
    }
    assert not any("###" in row.response for row in newsroom)
    rankings = scored_of("oasst", shared_data("oasst"))
    assert (len(rankings), len({row.group for row in rankings})) == (641, 212)
    assert sum(row.system is not None for row in rankings) == 17
