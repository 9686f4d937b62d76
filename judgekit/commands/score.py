"""``judgekit score``: metrics of anyone's verdicts as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from judgekit.errors import DataError
from judgekit.evaluation.benchmarks.base import BENCHMARKS
from judgekit.evaluation.verdict_metrics import score
from judgekit.evaluation.voting import vote
from judgekit.verdict_rows import MergeRule, VerdictRow, iter_verdicts


def score_files(
    gold: Path,
    verdicts: Path,
    *,
    invalid_as: Literal["tie"] | None = None,
    merge: MergeRule | None = None,
    majority: bool = False,
    benchmark: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """The object ``judgekit score`` prints: ``overall``, ``subsets``, ``invalid_reasons`` and what is asked for.

    :param merge: rule that makes one verdict of both orders, named under ``merge``; None: that of the benchmark
    :param majority: measure the majority verdict over the samples instead of sample 0
    :param benchmark: kind of benchmark whose own aggregation is added under ``benchmark``
    :raises DataError: naming file, line and field
    """
    from judgekit.data.sources import read_pairs

    pairs = read_pairs(gold, blank_instructions=True)
    rows: Iterable[VerdictRow] = iter_verdicts(verdicts, texts=False)
    if majority:
        rows = vote(rows)
    rule = merge or "none"
    if benchmark is not None:
        rows = list(rows)
        rule = BENCHMARKS[benchmark].rule(merge, rows)
    try:
        scores = score(pairs, rows, invalid_as=invalid_as, merge=rule, resamples=resamples, seed=seed)
        found = scores.to_json() | {"invalid_reasons": scores.invalid_reasons}
        if rule != "none":
            found["merge"] = rule
        aggregate = None if benchmark is None else BENCHMARKS[benchmark].aggregate
        if aggregate is not None:
            found["benchmark"] = aggregate(pairs, rows, resamples=resamples, seed=seed)
    except DataError as error:
        raise _at(error, gold, verdicts) from error
    return found


def _at(error: DataError, gold: Path, verdicts: Path) -> DataError:
    """The same error with the names of the files, which the metrics do not know."""
    files = {"gold pairs": gold, "verdicts": verdicts}
    message = str(error).partition(": ")[2]
    return DataError(message, file=files.get(error.file, error.file), line=error.line, field=error.field)


def print_scores(found: dict[str, Any]) -> None:
    """One JSON object on stdout."""
    print(json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False))
