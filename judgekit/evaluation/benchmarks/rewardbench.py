"""RewardBench (Lambert et al. 2024, arXiv 2403.13787): chosen against rejected in 23 subsets.

response_a is always the chosen one, so both orders must be judged. ``judgekit.evaluation.sections`` weighs the subsets.
"""

from __future__ import annotations

from collections.abc import Iterator

from judgekit.data.records import Record
from judgekit.evaluation.benchmarks.base import Loader
from judgekit.rows import ResponsePair


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
