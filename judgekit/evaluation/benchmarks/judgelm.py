"""JudgeLM's validation set (Zhu et al. 2023, arXiv 2310.17631): the gold label is the better of two GPT-4 scores.

The scores are read from the first line of GPT-4's review in the file released beside the pairs, or where there is no
such file from the row itself: its ``score``, or else its ``text``. A row whose scores cannot be read has no label and
is left out of the metrics, as in the release.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from judgekit.data.records import Record
from judgekit.data.tables import read_table
from judgekit.evaluation.benchmarks.base import BENCHMARKS, Benchmark, Loader
from judgekit.papers import Paper
from judgekit.rows import ResponsePair, Verdict

FAILED = -1.0
"""The release's score of a judgment it could not read."""


GOLD = "judgelm_val_5k_gpt4.jsonl"
"""GPT-4's reviews, beside the file of pairs."""


def _rows(file: Path, fields: Collection[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of a file; the gold review stands in for a row's own scores where there is one."""
    beside = file.with_name(GOLD)
    gold = {}
    if beside.is_file() and beside != file:
        for line, values in read_table(beside, ("question_id", "text")):
            gold[values.get("question_id")] = Record(beside, line, values).text("text")
    for line, values in read_table(file, fields):
        if values.get("question_id") in gold:
            values = {name: value for name, value in values.items() if name != "score"}
            values["text"] = gold[values["question_id"]]
        yield line, values


def _pair(record: Record, folder: str) -> Iterator[ResponsePair]:
    yield ResponsePair(
        id=f"judgelm/{record.name('question_id')}",
        instruction=record.asked("question_body"),
        response_a=record.text("answer1_body"),
        response_b=record.text("answer2_body"),
        label=_label(_scores(record)),
        model_a=record.maybe("answer1_model_id"),
        model_b=record.maybe("answer2_model_id"),
    )


def _scores(record: Record) -> list[float]:
    """Two scores, or nothing where they cannot be read."""
    if "score" in record.values:
        found = record.items("score", 2)
        if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in found):
            raise record.error("score", "must hold two numbers; correct it or remove the row")
        return [float(one) for one in found]
    words = record.text("text").partition("\n")[0].replace(",", " ").split()
    try:
        found = [float(word) for word in words]
    except ValueError:
        return []
    return found if len(found) == 2 else []


def _label(scores: list[float]) -> Verdict | None:
    if not scores or FAILED in scores or not all(map(math.isfinite, scores)):
        return None
    first, second = scores
    return "tie" if first == second else "A" if first > second else "B"


LOADER = Loader(
    _pair,
    (
        "question_id", "question_body", "answer1_body", "answer2_body", "answer1_model_id", "answer2_model_id",
        "score", "text",
    ),
    "judgelm_val_5k.jsonl",
    reader=_rows,
)  # fmt: skip
BENCHMARKS.add("judgelm", Benchmark(LOADER, paper=Paper("JudgeLM", "2310.17631")))
