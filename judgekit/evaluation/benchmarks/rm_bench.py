"""RM-Bench (Liu et al. 2024, arXiv 2410.16184): right and wrong answers in three styles each.

Row and column of the 3 x 3 grid are the styles of the chosen and the rejected response, from plain to fancy: concise,
detailed, detailed with markdown. A plainer chosen than rejected response is hard, the same style normal, a fancier one
easy. The subset is ``DOMAIN/DIFFICULTY``; response_a is always the chosen one, so both orders must be judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from judgekit.data.records import Record
from judgekit.evaluation.benchmarks.base import BENCHMARKS, Benchmark, Loader
from judgekit.papers import Paper
from judgekit.rows import ResponsePair

if TYPE_CHECKING:
    from judgekit.evaluation.sections import Numbers
    from judgekit.verdict_rows import VerdictRow

STYLES = 3
DOMAINS = ("chat", "code", "math", "safety")
LEVELS = ("easy", "normal", "hard")


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


def rm_bench(
    pairs: Sequence[ResponsePair], verdicts: Sequence[VerdictRow], *, resamples: int = 1000, seed: int = 0
) -> Numbers:
    """RM-Bench: accuracy by domain, by difficulty (easy, normal, hard) and ``overall``, as its release computes them.

    The prompts of both halves of safety are one domain before the style grid is averaged (``scripts/utils.py``), so
    that the larger half weighs more. A difficulty and the whole are plain means over the four domains. ``missing``
    names domains and levels without verdicts; means that need them are None. Intervals come from all pairs of a
    domain, so they know that nine pairs share a prompt.
    """
    from judgekit.evaluation.sections import accuracies, mean, missing, written

    cells = accuracies(pairs, verdicts, lambda pair: "/".join(_place(pair)), 0.0, resamples, seed)
    whole = accuracies(pairs, verdicts, lambda pair: _place(pair)[0], 0.0, resamples, seed)
    names = sorted({*DOMAINS, *whole})
    domains = {name: whole.get(name) if all(f"{name}/{level}" in cells for level in LEVELS) else None for name in names}
    over = {level: mean((1, cells.get(f"{name}/{level}")) for name in DOMAINS) for level in LEVELS}
    over["overall"] = mean((1, domains[name]) for name in DOMAINS)
    wanted = [part for name in names for part in ([f"{name}/{level}" for level in LEVELS] if name in whole else [name])]
    return {"domains": written(domains), **written(over), **missing(wanted, cells)}


def _place(pair: ResponsePair) -> tuple[str, str]:
    """Domain and difficulty."""
    domain, _, level = (pair.subset or "").partition("/")
    return "safety" if domain.startswith("safety") else domain, level


BENCHMARKS.add("rm_bench", Benchmark(LOADER, aggregate=rm_bench, paper=Paper("RM-Bench", "2410.16184")))
