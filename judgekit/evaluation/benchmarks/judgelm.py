"""JudgeLM's validation set (Zhu et al. 2023, arXiv 2310.17631): the gold label is the better of two GPT-4 scores.

The release keeps pairs, references and GPT-4's reviews in files of their own: ``judgelm`` asks without references and
is measured against the reviews without them, ``judgelm_reference`` with both. A pair's own ``score`` holds statistics
of its generation and is no judgment. A review whose scores the release cannot read gives no label, and its pair is left
out of the metrics (``eval_model_judgement.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judgekit.data.records import Record
from judgekit.data.tables import read_table
from judgekit.errors import DataError
from judgekit.evaluation.benchmarks.base import BENCHMARKS, Benchmark, Loader
from judgekit.papers import Paper
from judgekit.rows import ResponsePair, Verdict

if TYPE_CHECKING:
    from judgekit.evaluation.sections import Numbers
    from judgekit.verdict_rows import VerdictRow

PAIRS = "judgelm_val_5k.jsonl"
REVIEWS = "judgelm_val_5k_gpt4.jsonl"
REVIEWS_WITH_REFERENCE = "judgelm_val_5k_gpt4_with_reference.jsonl"
REFERENCES = "judgelm_val_5k_references.jsonl"
FAILED = -1.0
"""The release's score of a judgment it could not read."""


def _rows(
    file: Path, fields: Collection[str], *, reviews: str, references: str | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of the file of pairs, each with its ``review`` and, where they are wanted, its ``reference``."""
    said = list(_beside(file, reviews, "text"))
    known = list(_beside(file, references, "reference")) if references is not None else []
    for place, (line, values) in enumerate(read_table(file, fields)):
        values["review"] = _same(file, line, values, said, place, reviews).text("text")
        if references is not None:
            values["reference"] = _answer(_same(file, line, values, known, place, references))
        yield line, values


def _beside(file: Path, name: str, field: str) -> Iterator[Record]:
    path = file.with_name(name)
    if not path.is_file():
        raise DataError(f"lacks {name} beside it; put all files of the release into one folder", file=file)
    for line, values in read_table(path, ("question_id", field)):
        yield Record(path, line, values, remedy=f"Is this {name} of the release?")


def _same(file: Path, line: int, values: dict[str, Any], rows: list[Record], place: int, name: str) -> Record:
    """The row of another file for a row of the file of pairs: the release takes them in order.

    :raises DataError: the other file has none in this place, or that of another question
    """
    asked = values.get("question_id")
    if place < len(rows) and (asked is None or rows[place].values.get("question_id", asked) == asked):
        return rows[place]
    message = f"{name} has no row of question {asked} in the same place; give the files as they were released"
    raise DataError(message, file=file, line=line, field="question_id")


def _answer(record: Record) -> str:
    """The reference answer, an object's ``text``."""
    value = record.value("reference")
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise record.error("reference", "must be an object with a text; correct it")
    return str(value["text"])


def _pair(record: Record, folder: str) -> Iterator[ResponsePair]:
    reference = record.maybe("reference")
    yield ResponsePair(
        id=f"judgelm{'' if reference is None else '_reference'}/{record.name('question_id')}",
        instruction=record.asked("question_body"),
        response_a=record.text("answer1_body"),
        response_b=record.text("answer2_body"),
        label=gold_label(record.text("review")),
        reference=reference,
        model_a=record.maybe("answer1_model_id"),
        model_b=record.maybe("answer2_model_id"),
    )


def gold_label(review: str) -> Verdict | None:
    """The label of a review, by the release's parser of labels, which strips nothing: ``8 7`` and a space has none."""
    words = review.split("\n")[0].replace(",", " ").split(" ")
    try:
        first, second = map(float, words)
    except ValueError:
        return None
    if FAILED in (first, second):
        return None
    return "A" if first - second > 0 else "B" if second - first > 0 else "tie"


def judgelm(
    pairs: Sequence[ResponsePair], verdicts: Sequence[VerdictRow], *, resamples: int = 1000, seed: int = 0
) -> Numbers:
    """The numbers of the paper's table, an unreadable reply counting as a tie, as in the release's evaluation.

    ``agreement``, ``precision``, ``recall`` and ``f1`` (macro) are those of the original order; ``consistency``,
    ``bias_first``, ``bias_second`` and ``delta_bias`` of both.
    """
    from judgekit.evaluation.verdict_metrics import score

    original = [row for row in verdicts if row.order == "ab"]
    told: dict[str, Any] = {}
    for rows, names in (
        (original, {"agreement": "accuracy_ab"} | {name: f"{name}_macro" for name in ("precision", "recall", "f1")}),
        (verdicts, {name: name for name in ("consistency", "bias_first", "bias_second", "delta_bias")}),
    ):
        found = score(pairs, rows, resamples=resamples, seed=seed, invalid_as="tie").overall
        told |= {new + end: found.get(old + end) for new, old in names.items() for end in ("", "_ci95")}
    return told


def _add(name: str, reviews: str, references: str | None = None) -> None:
    fields = ("question_id", "question_body", "answer1_body", "answer2_body", "answer1_model_id", "answer2_model_id")
    beside = (reviews,) if references is None else (reviews, references)
    reader = partial(_rows, reviews=reviews, references=references)
    loader = Loader(_pair, fields, PAIRS, reader=reader, beside=beside)
    BENCHMARKS.add(name, Benchmark(loader, aggregate=judgelm, paper=Paper("JudgeLM", "2310.17631")))


_add("judgelm", REVIEWS)
_add("judgelm_reference", REVIEWS_WITH_REFERENCE, REFERENCES)
