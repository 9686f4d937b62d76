"""LLMEval-1's human comparisons (Zhang et al. 2023, arXiv 2312.07398) as CritiqueLLM's release has them: 17 categories.

One row compares two responses, in the format of ``alignbench``, without references.
"""

from __future__ import annotations

from judgekit.evaluation.benchmarks.alignbench import COMPARED, compared
from judgekit.evaluation.benchmarks.base import BENCHMARKS, Benchmark, Loader
from judgekit.papers import Paper

LOADER = Loader(
    lambda record, folder: compared(record, "llmeval"), COMPARED, "*llmeval*.jsonl", inside="data/evaluation/pairwise"
)
BENCHMARKS.add("llmeval", Benchmark(LOADER, paper=Paper("CritiqueLLM", "2311.18702")))
