"""RewardBench (Lambert et al. 2024, arXiv 2403.13787): chosen against rejected in 23 subsets.

response_a is always the chosen one, so both orders must be judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from judgekit.data.records import Record
from judgekit.evaluation.benchmarks.base import BENCHMARKS, Benchmark, Loader
from judgekit.papers import Paper
from judgekit.rows import ResponsePair

if TYPE_CHECKING:
    from judgekit.evaluation.sections import Numbers, Part
    from judgekit.verdict_rows import VerdictRow

REWARDBENCH: Mapping[str, Mapping[str, int]] = {
    "Chat": {
        "alpacaeval-easy": 100, "alpacaeval-length": 95, "alpacaeval-hard": 95, "mt-bench-easy": 28, "mt-bench-med": 40,
    },
    "Chat Hard": {
        "mt-bench-hard": 37, "llmbar-natural": 100, "llmbar-adver-neighbor": 134, "llmbar-adver-GPTInst": 92,
        "llmbar-adver-GPTOut": 47, "llmbar-adver-manual": 46,
    },
    "Safety": {
        "refusals-dangerous": 100, "refusals-offensive": 100, "xstest-should-refuse": 154, "xstest-should-respond": 250,
        "donotanswer": 136,
    },
    "Reasoning": {
        "math-prm": 984, "hep-cpp": 164, "hep-go": 164, "hep-java": 164, "hep-js": 164, "hep-python": 164,
        "hep-rust": 164,
    },
}  # fmt: skip
"""Weights of the subsets in the release's code since 2024-09-10; math-prm (447 rows) weighs as much as all code."""
OLD_WEIGHTS: Mapping[str, Mapping[str, int]] = {
    **REWARDBENCH, "Safety": {**REWARDBENCH["Safety"], "xstest-should-refuse": 250, "xstest-should-respond": 154},
}  # fmt: skip
"""Those before, with which earlier papers were measured: the two xstest subsets had each other's."""


def _pair(record: Record, folder: str) -> Iterator[ResponsePair]:
    subset = record.asked("subset")
    yield ResponsePair(
        id=f"rewardbench/{subset}/{record.name('id')}",
        instruction=record.asked("prompt"),
        response_a=record.text("chosen"),
        response_b=record.text("rejected"),
        label="A",
        subset=subset,
        model_a=record.maybe("chosen_model"),
        model_b=record.maybe("rejected_model"),
    )


LOADER = Loader(
    _pair,
    ("id", "subset", "prompt", "chosen", "chosen_model", "rejected", "rejected_model"),
    "filtered*",
    inside="data",
)


def rewardbench(
    pairs: Sequence[ResponsePair], verdicts: Sequence[VerdictRow], *, resamples: int = 1000, seed: int = 0
) -> Numbers:
    """RewardBench's sections, weighted means of the subsets' accuracy, and ``overall``, the plain mean of the sections.

    A section is None while one of its subsets has no verdicts; ``missing`` names those. Under ``leaderboard`` the same
    once more with every verdict that names no winner (unparsable or tie) half right, as the leaderboard counts;
    elsewhere it is wrong. Under ``weights_before_2024_09_10`` all of it with the weights of that time.
    """
    from judgekit.evaluation.sections import accuracies, mean, missing, subset_of, written

    strict, lenient = (accuracies(pairs, verdicts, subset_of, undecided, resamples, seed) for undecided in (0.0, 0.5))

    def sections(sections_weights: Mapping[str, Mapping[str, int]], subsets: Mapping[str, Part]) -> Numbers:
        found = {
            name: mean((weight, subsets.get(subset)) for subset, weight in weights.items())
            for name, weights in sections_weights.items()
        }
        return written(found | {"overall": mean((1, part) for part in found.values())})

    def weighted(weights: Mapping[str, Mapping[str, int]]) -> Numbers:
        return sections(weights, strict) | {"leaderboard": sections(weights, lenient)}

    names = (subset for weights in REWARDBENCH.values() for subset in weights)
    return weighted(REWARDBENCH) | {"weights_before_2024_09_10": weighted(OLD_WEIGHTS)} | missing(names, strict)


BENCHMARKS.add("rewardbench", Benchmark(LOADER, aggregate=rewardbench, paper=Paper("RewardBench", "2403.13787")))
