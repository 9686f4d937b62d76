"""RM-Bench (Liu et al. 2024, arXiv 2410.16184): right and wrong answers in three styles each.

Row and column of the 3 x 3 grid are the styles of the chosen and the rejected response, from plain to fancy: concise,
detailed, detailed with markdown. A plainer chosen than rejected response is hard, the same style normal, a fancier one
easy. The subset is ``DOMAIN/DIFFICULTY``; response_a is always the chosen one, so both orders must be judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from judgekit.data.records import Record
from judgekit.evaluation.benchmarks.base import Loader
from judgekit.rows import ResponsePair

STYLES = 3


def difficulty(chosen: int, rejected: int) -> str:
    """``easy``, ``normal`` or ``hard`` from the two styles, 0 (plain) to 2 (fancy)."""
    return "normal" if chosen == rejected else "hard" if chosen < rejected else "easy"


def _pairs(record: Record, folder: str) -> Iterator[ResponsePair]:
    # The files of one domain are named after it; the file of all domains has a field.
    domain = record.maybe("domain") or Path(record.file).stem.removesuffix("_filtered")
    group = f"rm_bench/{domain}/{record.name('id')}"
    instruction = record.asked("prompt")
    all_chosen, all_rejected = record.texts("chosen", STYLES), record.texts("rejected", STYLES)
    for row, chosen in enumerate(all_chosen):
        for column, rejected in enumerate(all_rejected):
            yield ResponsePair(
                id=f"{group}/{row}{column}",
                instruction=instruction,
                response_a=chosen,
                response_b=rejected,
                label="A",
                subset=f"{domain}/{difficulty(row, column)}",
                group=group,
            )


LOADER = Loader(_pairs, ("id", "domain", "prompt", "chosen", "rejected"), "*_filtered.json", inside="data")
