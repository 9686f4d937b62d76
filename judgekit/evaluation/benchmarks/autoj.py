"""Auto-J's pairwise test set, Eval-P (Li et al. 2023, arXiv 2310.05470): human preferences in 58 scenarios."""

from __future__ import annotations

from collections.abc import Iterator

from judgekit.data.records import Record
from judgekit.evaluation.benchmarks.base import BENCHMARKS, Benchmark, Loader
from judgekit.papers import Paper
from judgekit.rows import ResponsePair


def _pair(record: Record, folder: str) -> Iterator[ResponsePair]:
    yield ResponsePair(
        id=f"autoj/{record.line - 1}",
        instruction=record.asked("prompt"),
        response_a=record.text("response 1"),
        response_b=record.text("response 2"),
        label=record.choice("label", {0: "A", 1: "B", 2: "tie"}),
        subset=record.asked("scenario"),
    )


LOADER = Loader(
    _pair, ("scenario", "label", "prompt", "response 1", "response 2"), "testdata_pairwise.jsonl", inside="data/test"
)
BENCHMARKS.add("autoj", Benchmark(LOADER, merge="both_agree", paper=Paper("Auto-J", "2310.05470")))
