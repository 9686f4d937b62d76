"""``judgekit compare``: two judges on the same pairs, as a table or as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from judgekit.data import logs
from judgekit.data.logs import VERDICT_FIELDS, VerdictNames, split_columns
from judgekit.data.verdict_words import VerdictWords
from judgekit.errors import ConfigError, DataError, Problem
from judgekit.evaluation.gold import gold_fields, read_gold
from judgekit.evaluation.judge_comparison import ComparedMetric, Comparison, SideBySide, compare_judges
from judgekit.evaluation.voting import vote
from judgekit.report.results_table import heading, percent
from judgekit.rows import ResponsePair, read_rows
from judgekit.run_folder import RunFolder
from judgekit.stats.bootstrap import Estimate
from judgekit.verdict_rows import VerdictRow, iter_verdicts

TABLE_WIDTH = 120


@dataclass(frozen=True, slots=True)
class Side:
    """One judge and where its verdicts are.

    :param source: the folder or file as the user named it
    :param files: (pairs, verdicts) by benchmark
    """

    name: str
    source: Path
    files: dict[str, tuple[Path, Path]]


@dataclass(frozen=True, slots=True)
class Foreign:
    """How files are read that are not of a run's folder.

    :param columns: {our field: their column} where names differ
    :param names: what A is in the verdicts
    :param benchmark: the kind whose published file the pairs may be
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    names: VerdictNames = "response"
    benchmark: str | None = None


def compare(options: argparse.Namespace) -> None:
    """The command: its arguments are those of ``add_arguments``.

    :raises JudgekitError: naming what cannot be compared
    """
    if options.min_votes is not None and not options.majority:
        raise ConfigError([Problem("--min-votes", "there is no vote without --majority", "Add --majority")])
    foreign: Foreign | None = Foreign(options.columns, options.verdict_names, options.benchmark)
    if options.gold is None and foreign == Foreign():
        foreign = None
    elif options.gold is None:
        message = "columns, verdict names and a benchmark are those of files"
        raise ConfigError([Problem("--gold", message, "Leave them out, or give two verdict files and --gold")])
    a, b = find_sides(options.sources, options.judge or [], options.gold)
    found = compare_sides(
        a, b, majority=options.majority, min_votes=options.min_votes, resamples=options.resamples, seed=options.seed,
        foreign=foreign,
    )  # fmt: skip
    if options.json:
        values: dict[str, Any] = {"a": a.name, "b": b.name}
        values["benchmarks"] = {name: asdict(comparison) for name, comparison in found.items()}
        print(json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print_comparison(Console() if sys.stdout.isatty() else Console(width=TABLE_WIDTH), a.name, b.name, found)


def find_sides(sources: Sequence[Path], judges: Sequence[str], gold: Path | None) -> tuple[Side, Side]:
    """The two judges meant by one or two folders (or two verdict files) and up to two names.

    :param judges: none: the last judge of each folder; one: this judge of both; two: one for each side
    :param gold: the pairs, where ``sources`` are verdict files
    :raises DataError: when they do not name two judges
    """
    if len(sources) > 2 or len(judges) > 2 or (len(sources) == 1 and len(judges) != 2):
        message = "name two, or one folder and two of its judges: judgekit compare RUN --judge A B"
        raise DataError(message, file="judges to compare")
    pair = [sources[0], sources[-1]]
    if gold is not None:
        for path in pair:
            if path.is_dir():
                raise DataError("is a folder, which has pairs of its own; leave out --gold", file=path)
        if judges:
            raise DataError("--judge chooses in a run's folder; with --gold both are files", file=pair[0])
        sides = [Side(path.stem, path, {gold.stem: (gold, path)}) for path in pair]
    else:
        names: list[str | None] = [*judges] * (2 // len(judges)) if judges else [None, None]
        sides = [_in_folder(path, name) for path, name in zip(pair, names, strict=True)]
    if sides[0].name == sides[1].name:
        sides = [Side(f"{side.source}: {side.name}", side.source, side.files) for side in sides]
    return sides[0], sides[1]


def _in_folder(folder: Path, judge: str | None) -> Side:
    if folder.is_file():
        raise DataError("is a file; say with --gold on which pairs its verdicts are", file=folder)
    known = RunFolder(folder).read_manifest().get("judges") or []
    if not known:
        raise DataError("holds no judge's verdicts; name the folder of a finished run", file=folder)
    chosen = known[-1] if judge is None else judge
    if chosen not in known:
        raise DataError(f"has no judge '{chosen}', only {', '.join(known)}", file=folder)
    files = RunFolder(folder).judged(chosen)
    if not files:
        raise DataError(f"holds no verdicts of judge '{chosen}' on pairs", file=folder)
    return Side(chosen, folder, files)


def compare_sides(
    a: Side, b: Side, *, majority: bool, resamples: int, seed: int, min_votes: int | None = None,
    foreign: Foreign | None = None,
) -> dict[str, Comparison]:  # fmt: skip
    """The comparison on each benchmark that both have.

    :param majority: compare the majority verdicts over samples instead of sample 0
    :param min_votes: valid votes a majority takes; None: more than half of the samples
    :param foreign: how both are read; None: they are of runs' folders
    :raises DataError: when there is none, or no pair in common
    """
    common = [name for name in a.files if name in b.files]
    if not common:
        message = f"has {', '.join(a.files)}, and {b.source} has {', '.join(b.files)}; compare on the same benchmark"
        raise DataError(message, file=a.source)
    found = {}
    for name in common:
        golds, rows = _read(a.files[name], b.files[name], foreign)
        said = [vote(given, min_votes) if majority else given for given in rows]
        found[name] = _compare_files(a.files[name], b.files[name], golds, said, resamples=resamples, seed=seed)
    return found


Pairs = dict[str, ResponsePair]


def _read(
    a: tuple[Path, Path], b: tuple[Path, Path], foreign: Foreign | None
) -> tuple[list[Pairs], list[list[VerdictRow]]]:
    """Pairs and verdicts of both; of a run's folder as they were written, others through the door of outside data."""
    if foreign is None:
        own = [{pair.id: pair for pair in read_rows(pairs, ResponsePair)} for pairs, _ in (a, b)]
        return own, [list(iter_verdicts(path, texts=False)) for _, path in (a, b)]
    gold, *files = a[0], a[1], b[1]
    named = split_columns(
        foreign.columns, (gold, gold_fields(gold, foreign.benchmark)), *((file, VERDICT_FIELDS) for file in files)
    )
    words = VerdictWords()
    pairs = read_gold(gold, named[0], benchmark=foreign.benchmark, words=words)
    rows = []
    for file, columns in zip(files, named[1:], strict=True):
        rows.append(
            [row for _, row in logs.iter_verdicts(file, columns, words=words, names=foreign.names, texts=False)]
        )
        words.check(file, "verdict")
    return [{pair.id: pair for pair in pairs}] * 2, rows


def _compare_files(
    a: tuple[Path, Path], b: tuple[Path, Path], golds: Sequence[Pairs], said: Sequence[Sequence[VerdictRow]],
    *, resamples: int, seed: int,
) -> Comparison:  # fmt: skip
    """Pairs that are not the same in both are left out and counted."""
    shared = [pair for name, pair in golds[0].items() if golds[1].get(name) == pair]
    if not shared:
        message = f"{len(golds[0])} pairs, none of which is among the {len(golds[1])} of {b[0]}: nothing to compare"
        raise DataError(message, file=a[0])
    names = {pair.id for pair in shared}
    rows: list[list[VerdictRow]] = []
    alone: list[int] = []
    for gold, (pairs, path), found in zip(golds, (a, b), said, strict=True):
        known = {row.id for row in found}
        if unknown := known - gold.keys():
            raise DataError(f"there is no pair '{min(unknown)}' in {pairs}", file=path, field="id")
        rows.append([row for row in found if row.id in names])
        alone.append(len(known - names))
    try:
        result = compare_judges(shared, *rows, resamples=resamples, seed=seed)
    except DataError as error:
        raise DataError(str(error).partition(": ")[2], file=f"{a[1]} and {b[1]}", field=error.field) from error
    left_out = (alone[0] + result.left_out[0], alone[1] + result.left_out[1])
    return Comparison(result.overall, result.subsets, result.orders, left_out)


def print_comparison(console: Console, a: str, b: str, found: dict[str, Comparison]) -> None:
    """One table for each benchmark: both judges, the difference with its tests, and how often they agree."""
    console.print(Text(f"A: {a}"), Text(f"B: {b}"), "", sep="\n")
    for benchmark, comparison in found.items():
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", title_justify="left",
                      title=Text(f"{benchmark}: % with 95 % intervals", style="bold"))  # fmt: skip
        table.add_column("", overflow="fold")
        for name in ("n", "A", "B", "A − B", "p", "McNemar"):
            table.add_column(name, justify="right", no_wrap=True)
        _add_scope(table, None, comparison.overall)
        for name, scope in comparison.subsets.items():
            _add_scope(table, name, scope)
        console.print(table)
        console.print(Text("\n".join(_notes(comparison))), "", sep="\n")


def _add_scope(table: Table, name: str | None, scope: SideBySide) -> None:
    if name is not None:
        table.add_row(Text(name, style="bold"))
    for metric, measured in scope.metrics.items():
        table.add_row(heading(metric), str(scope.n), *_cells(measured))
    agreed = "agreement of A and B"
    table.add_row(agreed, str(scope.agreement.n), "", "", _percent(scope.agreement), "", "")


def _cells(measured: ComparedMetric) -> list[str]:
    difference = measured.difference
    shown = _percent(Estimate(difference.difference, difference.ci95, difference.n))
    mcnemar = "" if difference.p_value is None else _p(difference.p_value)
    return [_percent(measured.a), _percent(measured.b), shown, _p(difference.p_bootstrap), mcnemar]


def _notes(comparison: Comparison) -> list[str]:
    """What the table rests on."""
    notes = []
    if (kappa := comparison.overall.kappa).value is not None:
        notes.append(f"Cohen's κ of A and B: {kappa.value:.3f}.")
    if not comparison.overall.metrics:
        notes.append("No pair has a label, so there is only their agreement.")
    if len(comparison.orders) == 1:
        notes.append(f"Order {comparison.orders[0]} only: the judges have no other in common.")
    if any(comparison.overall.invalid):
        notes.append("Invalid verdicts: {} of A, {} of B.".format(*comparison.overall.invalid))
    if any(comparison.left_out):
        notes.append("Left out, because the other judge has no such pair: {} of A, {} of B.".format(
            *comparison.left_out))  # fmt: skip
    return notes


def _percent(estimate: Estimate) -> str:
    if estimate.value is None or estimate.ci95 is None:
        return "–"
    return f"{percent(estimate.value)} [{percent(estimate.ci95[0])}, {percent(estimate.ci95[1])}]"


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"
