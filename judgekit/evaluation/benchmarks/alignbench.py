"""AlignBench responses with human scores, in the format CritiqueLLM released (Ke et al. 2024, arXiv 2311.18702).

Pairwise files hold two responses and a label, pointwise files one response and its human score, 1 to 5. The release
has them with and without references; a folder stands for the files with references, and others are given by name.
"""

from __future__ import annotations

from collections.abc import Iterator

from judgekit.data.records import Record
from judgekit.evaluation.benchmarks.base import BENCHMARKS, Benchmark, Loader
from judgekit.papers import Paper
from judgekit.rows import ResponsePair, ScoredResponse

WORST, BEST = 1.0, 5.0


def compared(record: Record, benchmark: str) -> Iterator[ResponsePair]:
    """A pair in CritiqueLLM's format."""
    yield ResponsePair(
        id=f"{benchmark}/{record.name('id')}",
        instruction=record.asked("question"),
        response_a=record.text("response_1"),
        response_b=record.text("response_2"),
        label=record.choice("label", {0: "A", 1: "B", 2: "tie"}),
        reference=record.maybe("reference"),
        subset=record.asked("category"),
    )


def _scored(record: Record, folder: str) -> Iterator[ScoredResponse]:
    question = record.asked("question")
    yield ScoredResponse(
        id=f"alignbench/{record.name('id')}",
        instruction=question,
        response=record.text("response"),
        score=record.number("human_score"),
        low=WORST,
        high=BEST,
        group=question,
        system=record.asked("model"),
        reference=record.maybe("reference"),
        subset=record.asked("category"),
    )


COMPARED = ("id", "category", "question", "reference", "response_1", "response_2", "label")
LOADER = Loader(
    lambda record, folder: compared(record, "alignbench"), COMPARED, "pairwise/alignbench_reference_based*.jsonl"
)
SCORES = Loader(
    _scored,
    ("id", "category", "question", "reference", "response", "model", "human_score"),
    "pointwise/alignbench_reference_based*.jsonl",
)
BENCHMARKS.add("alignbench", Benchmark(LOADER, scored=SCORES, paper=Paper("CritiqueLLM", "2311.18702")))
