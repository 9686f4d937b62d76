"""JudgeLM's released training rows (``judgelm_train_100k.jsonl``): pairs with GPT-4's reviews, two of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from judgekit.data.records import Record
from judgekit.data.tables import read_table
from judgekit.errors import DataError
from judgekit.prompts.judgelm import JudgeLM
from judgekit.recipes.judgelm.augmentation import Reviewed
from judgekit.rows import ResponsePair

FAILED = "error"
"""The text of a review that the teacher never gave; the release drops such rows."""
_FIELDS = (
    "question_id", "question_body", "answer1_body", "answer2_body", "answer1_model_id", "answer2_model_id", "text",
    "text_w_reference", "reference",
)  # fmt: skip


def read_reviewed(path: Path, protocol: JudgeLM, drop: Callable[[str], None]) -> list[Reviewed]:
    """All rows with a usable review; a review with reference that is of no use is left out, and its row stays.

    The label of a pair is that of its review without reference.

    :param protocol: reads the score lines
    :param drop: called with the reason for every row, or review with reference, that is left out
    :raises DataError: naming file, line and field; for an id that repeats
    """
    rows: dict[str, Reviewed] = {}
    for line, values in read_table(path, _FIELDS):
        record = Record(path, line, values, remedy="Is this a JudgeLM training file?")
        plain = record.text("text").strip()
        reading = protocol.read(plain, False)
        if plain == FAILED or reading.invalid is not None:
            drop(f"review: {'error' if plain == FAILED else reading.invalid}")
            continue
        reference = _reference(record)
        pair = ResponsePair(
            id=f"judgelm/{record.name('question_id')}",
            instruction=record.asked("question_body"),
            response_a=record.text("answer1_body"),
            response_b=record.text("answer2_body"),
            label=reading.verdict,
            reference=reference,
            model_a=record.maybe("answer1_model_id"),
            model_b=record.maybe("answer2_model_id"),
        )
        if pair.id in rows:
            raise DataError(f"'{pair.id}' is there twice; give every row its own question_id", file=path, line=line)
        rows[pair.id] = Reviewed(pair, plain, _with_reference(record, protocol, drop) if reference else None)
    return list(rows.values())


def _reference(record: Record) -> str | None:
    """The reference answer: the field itself, or its ``text``."""
    value: Any = record.values.get("reference")
    text = value.get("text") if isinstance(value, dict) else value
    if text is not None and not isinstance(text, str):
        raise record.error("reference", "must be a text, or an object with a text; correct it or remove the row")
    return text.strip() or None if text else None


def _with_reference(record: Record, protocol: JudgeLM, drop: Callable[[str], None]) -> str | None:
    text = record.maybe("text_w_reference")
    if text is None:
        return None
    invalid = "error" if text.strip() == FAILED else protocol.read(text.strip(), False).invalid
    if invalid is not None:
        drop(f"review with reference: {invalid}")
        return None
    return text.strip()
