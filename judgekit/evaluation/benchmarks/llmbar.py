"""LLMBar (Zeng et al. 2023, arXiv 2310.07641): which of two outputs follows the instruction.

One ``dataset.json`` a subset; the subset is the folder of the file, relative to the folder given.
"""

from __future__ import annotations

from collections.abc import Iterator

from judgekit.data.records import Record
from judgekit.evaluation.benchmarks.base import BENCHMARKS, Benchmark, Loader
from judgekit.papers import Paper
from judgekit.rows import ResponsePair


def _pair(record: Record, folder: str) -> Iterator[ResponsePair]:
    yield ResponsePair(
        id=f"llmbar/{folder}/{record.line - 1}",
        instruction=record.text("input"),
        response_a=record.text("output_1"),
        response_b=record.text("output_2"),
        label=record.choice("label", {1: "A", 2: "B"}),
        subset=folder,
    )


LOADER = Loader(_pair, ("input", "output_1", "output_2", "label"), "dataset.json", inside="Dataset/LLMBar")
BENCHMARKS.add("llmbar", Benchmark(LOADER, paper=Paper("LLMBar", "2310.07641")))
