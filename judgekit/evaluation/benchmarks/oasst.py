"""Open Assistant conversation trees as a benchmark: all pairs of a group, or its single replies scored by rank."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from judgekit.data.oasst import FIELDS, ranked_groups, ranked_responses
from judgekit.data.records import Record
from judgekit.evaluation.benchmarks.base import BENCHMARKS, Benchmark, Loader
from judgekit.papers import Paper
from judgekit.rows import ResponsePair, ScoredResponse


def _pairs(record: Record, folder: str) -> Iterator[ResponsePair]:
    for group in ranked_groups(record):
        for first, second in combinations(group.replies, 2):
            ahead = second["rank"] - first["rank"]
            yield ResponsePair(
                id=f"oasst/{first['message_id']}/{second['message_id']}",
                instruction=group.instruction,
                response_a=first["text"],
                response_b=second["text"],
                label="A" if ahead > 0 else "B" if ahead < 0 else "tie",
                subset=group.subset,
                group=group.id,
                model_a=first.get("model_name"),
                model_b=second.get("model_name"),
            )


def _rankings(record: Record, folder: str) -> Iterator[ScoredResponse]:
    return ranked_responses(record)


LOADER = Loader(_pairs, FIELDS, "*tree*.jsonl")
RANKINGS = Loader(_rankings, FIELDS, "*tree*.jsonl")
BENCHMARKS.add("oasst", Benchmark(LOADER, scored=RANKINGS, paper=Paper("OpenAssistant Conversations", "2304.07327")))
