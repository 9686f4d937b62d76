"""ROSCOE and Newsroom as JUDGE-BENCH publishes them (Bavaresco et al. 2024, arXiv 2406.18403): pointwise scores.

A file holds ``annotations`` (the criteria, with the question the raters were asked) and ``instances`` (a text that
holds both what was given and the response). Every graded criterion of an instance is one row; its subset is the
criterion, in ROSCOE that of one data set (``gsm8k/Coherency``), as the release reports each file for itself. Criteria
answered by yes or no are no scores: they are left out, and so is a file that has no others, as those of single steps.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from judgekit.data.records import Record
from judgekit.data.tables import read_json
from judgekit.errors import DataError
from judgekit.evaluation.benchmarks.base import BENCHMARKS, Benchmark, Loader
from judgekit.papers import Paper
from judgekit.rows import ScoredResponse

_log = logging.getLogger(__name__)

SLOT = "{{ instance }}"
CRITERION = {"metric", "prompt", "worst", "best"}
SYSTEMS = 7
"""Newsroom's file holds the summaries of an article by seven systems one after the other, in one order."""


def _rows(file: Path, fields: Collection[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Instances, numbered, each with the criteria of its file."""
    table = read_json(file)
    found = isinstance(table, dict) and isinstance(table.get("annotations"), list)
    if not found or not isinstance(table.get("instances"), list):
        raise DataError("must be an object with annotations and instances; is this a JUDGE-BENCH file?", file=file)
    criteria = [one for one in table["annotations"] if isinstance(one, dict) and one.get("category") == "graded"]
    if not criteria:
        _log.warning("%s: left out, it has no graded annotations", file)
        return
    if not all(CRITERION <= one.keys() for one in criteria):
        raise DataError(f"every graded annotation needs {', '.join(sorted(CRITERION))}", file=file, field="annotations")
    for line, row in enumerate(table["instances"], start=1):
        if not isinstance(row, dict):
            raise DataError("must be an object; correct it or remove the row", file=file, line=line)
        yield line, row | {"criteria": criteria}


def _scored(
    record: Record, split: Callable[[Record], tuple[str, str]], benchmark: str, systems: int | None, part: str = ""
) -> Iterator[ScoredResponse]:
    """:param part: of the benchmark, with a slash behind it"""
    instruction, response = split(record)
    annotations, row_id = record.value("annotations"), record.name("id")
    for criterion in record.items("criteria"):
        name = criterion["metric"]
        yield ScoredResponse(
            id=f"{benchmark}/{part}{row_id}/{name}",
            instruction=instruction,
            response=response,
            score=_mean(record, annotations, name),
            low=float(criterion["worst"]),
            high=float(criterion["best"]),
            group=instruction,
            system=None if systems is None else f"system {(record.line - 1) % systems + 1}",
            criterion=criterion["prompt"].replace(SLOT, "").strip(),
            subset=part + name,
        )


def _mean(record: Record, annotations: Any, name: str) -> float:
    """Mean of the raters' scores; the file's own mean is rounded, and some scores are written as texts."""
    try:
        return fmean(float(score) for score in annotations[name]["individual_human_scores"])
    except (KeyError, TypeError, ValueError) as error:
        raise record.error("annotations", f"needs individual_human_scores of '{name}', as numbers") from error


def _halves(record: Record, mark: str) -> tuple[str, str]:
    before, found, after = record.asked("instance").partition(mark)
    if not found:
        raise record.error("instance", f"must hold {mark!r}. {record.remedy}")
    return before.strip(), after.strip()


def _roscoe(record: Record) -> tuple[str, str]:
    given, response = _halves(record, "GENERATED RESPONSE:")
    context = given.partition("CONTEXT:")[2].strip() or given
    return context, response.removesuffix("Judge the generated response:").strip()


def _part(record: Record) -> str:
    """The data set a file of ROSCOE is about: ``roscoe-gsm8k-overall.json`` is of ``gsm8k``."""
    return Path(record.file).stem.removeprefix("roscoe-").removesuffix("-overall") + "/"


def _newsroom(record: Record) -> tuple[str, str]:
    summary, article = _halves(record, "### Source Article")
    return f"Summarise this article.\n\n{article}", summary.removeprefix("### Generated Summary").strip()


FIELDS = ("id", "instance", "annotations")
ROSCOE = Loader(
    lambda record, folder: _scored(record, _roscoe, "roscoe", None, _part(record)),
    FIELDS,
    "roscoe-*.json",
    reader=_rows,
)
NEWSROOM = Loader(
    lambda record, folder: _scored(record, _newsroom, "newsroom", SYSTEMS), FIELDS, "newsroom.json", reader=_rows
)
PAPER = Paper("JUDGE-BENCH", "2406.18403")
BENCHMARKS.add("roscoe", Benchmark(scored=ROSCOE, paper=PAPER))
BENCHMARKS.add("newsroom", Benchmark(scored=NEWSROOM, paper=PAPER))
