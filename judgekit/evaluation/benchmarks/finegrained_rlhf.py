"""FineGrainedRLHF (Wu et al. 2023, arXiv 2306.01693): human preferences among four answers to a question.

The six preferences of a row are those of the answers (1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4). The instruction
is the question with the passages the answers were to be drawn from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from judgekit.data.records import Record
from judgekit.evaluation.benchmarks.base import BENCHMARKS, Benchmark, Loader
from judgekit.papers import Paper
from judgekit.rows import ResponsePair, Verdict

if TYPE_CHECKING:
    from judgekit.evaluation.sections import Numbers
    from judgekit.verdict_rows import VerdictRow

ANSWERS = 4
COMPARED = tuple(combinations(range(1, ANSWERS + 1), 2))
PREFERENCES: dict[int, Verdict] = {0: "tie", 1: "A", 2: "B"}


def _pairs(record: Record, folder: str) -> Iterator[ResponsePair]:
    preferences = record.items("preference", len(COMPARED))
    if not all(type(one) is int and one in PREFERENCES for one in preferences):
        raise record.error("preference", "must hold 0, 1 and 2 only; correct it or remove the row")
    question, group = record.asked("question"), f"finegrained_rlhf/{record.line - 1}"
    instruction = f"{question}\n\nPassages:\n\n{_passages(record)}"
    answers = {number: record.text(f"prediction {number}") for number in range(1, ANSWERS + 1)}
    for (first, second), preference in zip(COMPARED, preferences, strict=True):
        yield ResponsePair(
            id=f"{group}/{first}{second}",
            instruction=instruction,
            response_a=answers[first],
            response_b=answers[second],
            label=PREFERENCES[preference],
            reference=record.maybe("gold"),
            group=group,
        )


def _passages(record: Record) -> str:
    """The passages, each a title followed by paragraphs."""
    passages = record.items("passages")
    if not all(isinstance(one, list) and all(isinstance(part, str) for part in one) for one in passages):
        raise record.error("passages", "must be lists of texts; correct it or remove the row")
    return "\n\n".join("\n".join(one) for one in passages)


def preferred(
    pairs: Sequence[ResponsePair], verdicts: Sequence[VerdictRow], *, resamples: int = 1000, seed: int = 0
) -> Numbers:
    """``preferred``: accuracy where people prefer an answer, a tie or an unreadable reply being wrong.

    The release trains and measures its preference model on these pairs alone (``run_pref_rm.py``).
    """
    from judgekit.evaluation.sections import accuracies, written

    ranked = {pair.id: pair for pair in pairs if pair.label in ("A", "B")}
    known = [row for row in verdicts if row.id in ranked]
    found = accuracies(list(ranked.values()), known, lambda pair: "preferred", 0.0, resamples, seed)
    return written({"preferred": found.get("preferred")})


LOADER = Loader(
    _pairs,
    ("question", "passages", "gold", *(f"prediction {number}" for number in range(1, ANSWERS + 1)), "preference"),
    "dev_feedback.json",
    inside="tasks/qa_feedback/data",
)
BENCHMARKS.add(
    "finegrained_rlhf", Benchmark(LOADER, aggregate=preferred, paper=Paper("Fine-Grained RLHF", "2306.01693"))
)
