"""JudgeBench (Tan et al. 2024, arXiv 2410.12784): which of two answers is objectively right.

The subset is the category the paper reports: knowledge, reasoning, math or coding. The release has two splits, 350
pairs of GPT-4o's responses and 270 of Claude 3.5 Sonnet's, and never pools them: each is a benchmark here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from judgekit.data.records import Record
from judgekit.evaluation.benchmarks.base import BENCHMARKS, Benchmark, Loader
from judgekit.papers import Paper
from judgekit.rows import ResponsePair

if TYPE_CHECKING:
    from judgekit.evaluation.sections import Numbers
    from judgekit.verdict_rows import VerdictRow

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


def _loader(model: str) -> Loader[ResponsePair]:
    return Loader(
        _pair,
        ("pair_id", "source", "question", "response_model", "response_A", "response_B", "label"),
        f"dataset=judgebench,response_model={model}-*.jsonl",
        inside="data",
    )


def judgebench(
    pairs: Sequence[ResponsePair], verdicts: Sequence[VerdictRow], *, resamples: int = 1000, seed: int = 0
) -> Numbers:
    """JudgeBench's accuracy of each split, named by the model of its responses: ``overall`` and by category.

    Both orders make one verdict by the rule ``judgebench`` (``utils/metrics.py``); a pair without a winner is wrong.
    Where one order only was judged, its verdicts count as they are (``--single_game``).
    """
    from judgekit.evaluation.merging import one_a_pair
    from judgekit.evaluation.sections import accuracies, written

    rows = one_a_pair(verdicts, "judgebench")
    whole = accuracies(pairs, rows, _split, 0.0, resamples, seed)
    parts = accuracies(pairs, rows, lambda pair: f"{_split(pair)}/{pair.subset}", 0.0, resamples, seed)
    return {
        split: written({"overall": whole[split]} | {name: parts.get(f"{split}/{name}") for name in CATEGORIES.values()})
        for split in sorted(whole)
    }


def _split(pair: ResponsePair) -> str:
    return pair.model_a or "unknown model"


for kind, model in (("judgebench", "gpt"), ("judgebench_claude", "claude")):
    paper = Paper("JudgeBench", "2410.12784")
    BENCHMARKS.add(kind, Benchmark(_loader(model), aggregate=judgebench, merge="judgebench", paper=paper))
