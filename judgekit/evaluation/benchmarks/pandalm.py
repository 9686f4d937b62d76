"""PandaLM's human-annotated test set (Wang et al. 2023, arXiv 2306.05087): three annotators, ties allowed.

The label is the majority of the annotators; a row on which all three differ has none (the release holds no such row).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from judgekit.data.records import Record
from judgekit.data.tables import read_table
from judgekit.evaluation.benchmarks.base import BENCHMARKS, Benchmark, Loader
from judgekit.papers import Paper
from judgekit.rows import ResponsePair, Verdict

ANNOTATORS = ("annotator1", "annotator2", "annotator3")
VOTES: dict[int, Verdict] = {0: "tie", 1: "A", 2: "B"}


def read_annotators(file: Path) -> list[tuple[Verdict, ...]]:
    """The three annotators' verdicts on each row, for their agreement with each other.

    :raises DataError: naming file, line and field
    """
    return [_votes(Record(file, line, values)) for line, values in read_table(file, ANNOTATORS)]


def _votes(record: Record) -> tuple[Verdict, ...]:
    return tuple(record.choice(name, VOTES) for name in ANNOTATORS)


def _pair(record: Record, folder: str) -> Iterator[ResponsePair]:
    ((label, count),) = Counter(_votes(record)).most_common(1)
    models = record.asked("cmp_key")
    first, _, second = models.partition("_")
    yield ResponsePair(
        id=f"pandalm/{record.name('idx')}",
        instruction=_instruction(record),
        response_a=_response(record, "response1"),
        response_b=_response(record, "response2"),
        label=label if count > 1 else None,
        subset=models,
        model_a=first,
        model_b=second,
        input=record.text("input") or None,
    )


def _instruction(record: Record) -> str:
    """Instruction and input; a few rows of the release hold everything in the input."""
    parts = [record.text("instruction"), record.text("input")]
    if not any(part.strip() for part in parts):
        raise record.error("instruction", "is blank, and so is the input; give a text or remove the row")
    return "\n\n".join(part for part in parts if part.strip())


def _response(record: Record, field: str) -> str:
    """The response as text; six of the release stand there as JSON booleans."""
    value = record.value(field)
    return str(value) if isinstance(value, bool) else record.text(field)


LOADER = Loader(
    _pair, ("idx", "cmp_key", "instruction", "input", "response1", "response2", *ANNOTATORS), "testset-v1.json"
)
BENCHMARKS.add("pandalm", Benchmark(LOADER, paper=Paper("PandaLM", "2306.05087")))
