"""JudgeBench (Tan et al. 2024, arXiv 2410.12784): which of two answers is objectively right.

The subset is the category the paper reports: knowledge, reasoning, math or coding.
"""

from __future__ import annotations

from collections.abc import Iterator

from judgekit.data.records import Record
from judgekit.evaluation.benchmarks.base import BENCHMARKS, Benchmark, Loader
from judgekit.papers import Paper
from judgekit.rows import ResponsePair

CATEGORIES = {
    "mmlu-pro": "knowledge",
    "livebench-reasoning": "reasoning",
    "livebench-math": "math",
    "livecodebench": "coding",
}
"""Category by the beginning of ``source``."""


def _pair(record: Record, folder: str) -> Iterator[ResponsePair]:
    source, model = record.asked("source"), record.maybe("response_model")
    found = [category for start, category in CATEGORIES.items() if source.startswith(start)]
    if not found:
        message = f"holds {source!r}, which begins with none of {', '.join(CATEGORIES)}; correct it or remove the row"
        raise record.error("source", message)
    yield ResponsePair(
        id=f"judgebench/{record.asked('pair_id')}",
        instruction=record.asked("question"),
        response_a=record.text("response_A"),
        response_b=record.text("response_B"),
        label=record.choice("label", {"A>B": "A", "B>A": "B"}),
        subset=found[0],
        model_a=model,
        model_b=model,
    )


LOADER = Loader(
    _pair,
    ("pair_id", "source", "question", "response_model", "response_A", "response_B", "label"),
    "dataset=judgebench,*.jsonl",
    inside="data",
)
BENCHMARKS.add("judgebench", Benchmark(LOADER, paper=Paper("JudgeBench", "2410.12784")))
