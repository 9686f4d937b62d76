"""RM-Bench (Liu et al. 2024, arXiv 2410.16184): right and wrong answers in three styles each.

Row and column of the 3 x 3 grid are the styles of the chosen and the rejected response, from plain to fancy: concise,
detailed, detailed with markdown. A plainer chosen than rejected response is hard, the same style normal, a fancier one
easy. The subset is ``DOMAIN/DIFFICULTY``; response_a is always the chosen one, so both orders must be judged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from judgekit.data.records import Record
from judgekit.evaluation.benchmarks.base import BENCHMARKS, Benchmark, Loader
from judgekit.papers import Paper
from judgekit.rows import ResponsePair

if TYPE_CHECKING:
    from judgekit.evaluation.sections import Numbers, Part
    from judgekit.verdict_rows import VerdictRow

STYLES = 3
SAFETY = ("safety-refuse", "safety-response")
"""RM-Bench's two halves of the domain safety."""


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
    """RM-Bench: accuracy by domain, by difficulty (easy, normal, hard) and ``overall``, as its paper averages them.

    A difficulty and the whole are plain means over the domains, the domain safety that of its two halves. Intervals of
    a domain come from all its pairs, so they know that nine pairs share a prompt.
    """
    from judgekit.evaluation.sections import accuracies, mean, subset_of, written

    cells = accuracies(pairs, verdicts, subset_of, 0.0, resamples, seed)
    whole = accuracies(pairs, verdicts, lambda pair: subset_of(pair).partition("/")[0], 0.0, resamples, seed)
    levels = ("easy", "normal", "hard")
    by_level = {
        level: _domains({name: cells[f"{name}/{level}"] for name in whole if f"{name}/{level}" in cells})
        for level in levels
    }
    domains = _domains(whole)
    over = {level: mean((1, part) for part in found.values()) for level, found in by_level.items()}
    over["overall"] = mean((1, part) for part in domains.values())
    return {"domains": written(domains), **written(over)}


def _domains(parts: Mapping[str, Part]) -> dict[str, Part | None]:
    """Domains in order, the halves of safety brought together."""
    from judgekit.evaluation.sections import mean

    members: defaultdict[str, list[Part]] = defaultdict(list)
    for name in sorted(parts):
        members["safety" if name in SAFETY else name].append(parts[name])
    return {name: mean((1, part) for part in found) for name, found in members.items()}


BENCHMARKS.add("rm_bench", Benchmark(LOADER, aggregate=rm_bench, paper=Paper("RM-Bench", "2410.16184")))
