"""``judgekit score``: metrics of anyone's verdicts, or scores, as one JSON object."""

from __future__ import annotations

import argparse
import json
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from judgekit.data.logs import (
    SCORE_FIELDS,
    SCORED_FIELDS,
    VERDICT_FIELDS,
    iter_scored,
    iter_scores,
    iter_verdicts,
    log_kind,
    read_labelled,
    read_scored,
    split_columns,
)
from judgekit.data.verdict_words import VerdictWords
from judgekit.errors import ConfigError, DataError, Problem
from judgekit.evaluation.benchmarks import load_scored
from judgekit.evaluation.benchmarks.base import BENCHMARKS, BenchmarkConfig
from judgekit.evaluation.flat_metrics import point_numbers
from judgekit.evaluation.gold import gold_fields, read_gold
from judgekit.evaluation.verdict_metrics import score
from judgekit.evaluation.voting import vote
from judgekit.rows import ScoredResponse
from judgekit.score_rows import ScoreRow, mean_scores
from judgekit.verdict_rows import MergeRule, VerdictRow

Columns = Mapping[str, str]


def score_command(options: argparse.Namespace) -> None:
    """The command: its arguments are those of ``arguments.add_score``.

    :raises JudgekitError: naming file, line and field, or the arguments that do not go together
    """
    if (options.file is None) == (options.verdicts is None):
        message = "one file of verdicts or scores is measured"
        raise ConfigError([Problem("FILE", message, "Give it as FILE or with --verdicts")])
    if options.min_votes is not None and not options.majority:
        raise ConfigError([Problem("--min-votes", "there is no vote without --majority", "Add --majority")])
    log, columns = options.file or options.verdicts, options.columns
    if log_kind(log, columns) == "verdicts":
        found = score_verdicts(log, columns, options)
    else:
        found = score_scores(log, columns, options)
    print(json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False))


def score_verdicts(log: Path, columns: Columns, options: argparse.Namespace) -> dict[str, Any]:
    """``overall``, ``subsets``, ``invalid_reasons``, and ``benchmark`` and ``merge`` of a benchmark with own rules.

    :param log: verdicts, with labels where ``options.gold`` names no file of them
    :raises DataError: naming file, line and field
    """
    gold: Path = options.gold or log
    numbers = array("Q")  # the line of each verdict
    numbered: Iterable[tuple[int, VerdictRow]]
    words = VerdictWords()
    if gold == log:
        pairs, numbered = read_labelled(log, columns, names=options.verdict_names)
    else:
        named = split_columns(columns, (gold, gold_fields(gold, options.benchmark)), (log, VERDICT_FIELDS))
        pairs = read_gold(gold, named[0], benchmark=options.benchmark, words=words)
        numbered = iter_verdicts(log, named[1], words=words, names=options.verdict_names, texts=False)
    if not any(pair.label for pair in pairs):
        raise DataError("no pair has a label, so there is nothing to measure", file=gold, field="label")

    def noted() -> Iterable[VerdictRow]:
        for line, row in numbered:
            numbers.append(line)
            yield row

    rows: Iterable[VerdictRow] = vote(noted(), options.min_votes) if options.majority else noted()
    benchmark = None if options.benchmark is None else BENCHMARKS[options.benchmark]
    aggregate = None
    rule: MergeRule = options.merge or "none"
    if benchmark is not None and benchmark.has_rules:
        rows = list(rows)
        aggregate, rule = benchmark.aggregate, benchmark.rule(options.merge, rows)
    given = {"resamples": options.resamples, "seed": options.seed}
    try:
        scores = score(pairs, rows, invalid_as=options.invalid_as, merge=rule, **given)
        words.check(log, "verdict")
        found = scores.to_json() | {"invalid_reasons": scores.invalid_reasons}
        if rule != "none":
            found["merge"] = rule
        if aggregate is not None:
            found["benchmark"] = aggregate(pairs, rows, **given)
    except DataError as error:
        raise _at(error, {"gold pairs": gold, "verdicts": log}, () if options.majority else numbers) from error
    return found


def _at(error: DataError, files: Mapping[str, Path], numbers: Sequence[int]) -> DataError:
    """The same error with the names of the files and their lines, which the metrics do not know."""
    if error.file not in files:
        return error
    line = numbers[error.line - 1] if error.line is not None and error.line <= len(numbers) else None
    message = str(error).partition(": ")[2]
    return DataError(message, file=files[error.file], line=line, field=error.field)


def score_scores(log: Path, columns: Columns, options: argparse.Namespace) -> dict[str, Any]:
    """Agreement of a judge's scores with people's: ``overall``, ``subsets``, ``invalid_reasons``.

    :param log: scores, with those of people where ``options.gold`` names no file of them
    :raises DataError: naming file, line and field
    """
    for flag, given in (("--merge", options.merge is not None), ("--invalid-as", options.invalid_as is not None),
                        ("--majority", options.majority)):  # fmt: skip
        if given:
            raise ConfigError([Problem(flag, f"it is about verdicts, and {log} holds scores", "Leave it out")])
    people, rows = _people_and_judge(log, columns, options)
    responses = [row for row in people.values() if row is not None]
    if not responses:
        raise DataError("no response has a score of people, so there is nothing to measure", file=options.gold or log)
    if strange := [row.id for row in rows if row.id not in people]:
        raise DataError(f"there is no response '{strange[0]}' in {options.gold}", file=log, field="id")
    given_scores = mean_scores(row for row in rows if people[row.id] is not None)

    def scope(members: Sequence[ScoredResponse]) -> dict[str, Any]:
        known = {row.id: given_scores.get(row.id) for row in members}
        flat = point_numbers(
            "", [replace(row, subset=None) for row in members], known, options.scale and tuple(options.scale),
            seed=options.seed, resamples=options.resamples,
        )  # fmt: skip
        return _nested(flat)

    subsets = sorted({row.subset for row in responses if row.subset is not None})
    reasons = Counter(row.reason for row in rows if row.score is None)
    return {
        "overall": {"unlabelled": len(people) - len(responses), **scope(responses)},
        "subsets": {name: scope([row for row in responses if row.subset == name]) for name in subsets},
        "invalid_reasons": dict(sorted(reasons.items())),
    }


def _people_and_judge(
    log: Path, columns: Columns, options: argparse.Namespace
) -> tuple[dict[str, ScoredResponse | None], list[ScoreRow]]:
    gold: Path = options.gold or log
    if gold == log:
        return read_scored(log, columns)
    if options.benchmark is not None:
        config = BenchmarkConfig(kind=options.benchmark, path=str(gold))
        published = load_scored("gold", config) or []
        return {row.id: row for row in published}, list(iter_scores(log, columns))
    named = split_columns(columns, (gold, SCORED_FIELDS), (log, SCORE_FIELDS))
    people: dict[str, ScoredResponse | None] = {}
    for name, row in iter_scored(gold, named[0]):
        if name in people:
            raise DataError(f"'{name}' is there twice; give every response its own id", file=gold, field="id")
        people[name] = row
    return people, list(iter_scores(log, named[1]))


def _nested(flat: Mapping[str, float | int | None]) -> dict[str, Any]:
    """Flat numbers ``/NAME``, ends of intervals as a list under ``NAME_ci95``."""
    found: dict[str, Any] = {}
    for path, value in flat.items():
        name = path.removeprefix("/")
        if name.endswith("_ci95_low"):
            found[name.removesuffix("_low")] = None if value is None else [value, flat[path[:-3] + "high"]]
        elif not name.endswith("_ci95_high"):
            found[name] = value
    return found
