"""LLMBar (Zeng et al. 2023, arXiv 2310.07641): which of two outputs follows the instruction.

One ``dataset.json`` a subset; the subset is the folder of the file, relative to the folder given.
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

ADVERSARIAL = ("Neighbor", "GPTInst", "GPTOut", "Manual")
SUBSETS = ("Natural", *ADVERSARIAL)


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


def llmbar(
    pairs: Sequence[ResponsePair], verdicts: Sequence[VerdictRow], *, resamples: int = 1000, seed: int = 0
) -> Numbers:
    """LLMBar's averages: ``adversarial``, plain mean of the four adversarial subsets, and ``average``, of all five.

    Each subset's accuracy is the mean of both orders; a verdict that names no winner is wrong. ``pooled`` has the same
    two over all pairs instead of over subsets. ``missing`` names subsets without verdicts; what needs them is None.
    """
    from judgekit.evaluation.sections import Part, accuracies, mean, missing, written

    found = accuracies(pairs, verdicts, _name, 0.0, resamples, seed)

    def averaged(subsets: Sequence[str]) -> Part | None:
        return mean((1, found.get(subset)) for subset in subsets)

    def pooled(subsets: Sequence[str]) -> Part | None:
        parts = accuracies(pairs, verdicts, lambda pair: str(_name(pair) in subsets), 0.0, resamples, seed)
        return parts["True"] if averaged(subsets) else None

    groups = {"adversarial": ADVERSARIAL, "average": SUBSETS}
    averages, together = ({name: of(subsets) for name, subsets in groups.items()} for of in (averaged, pooled))
    return written(averages) | {"pooled": written(together)} | missing(SUBSETS, found)


def _name(pair: ResponsePair) -> str:
    """The subset, without the folders it lies in."""
    return (pair.subset or "").rpartition("/")[2]


BENCHMARKS.add("llmbar", Benchmark(LOADER, aggregate=llmbar, paper=Paper("LLMBar", "2310.07641")))
