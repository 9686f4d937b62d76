"""``judgekit compare``: two judges on the same pairs, as a table or as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from judgekit.data.sources import read_pairs
from judgekit.errors import DataError
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


def compare(options: argparse.Namespace) -> None:
    """The command: its arguments are those of ``add_arguments``.

    :raises DataError: naming what cannot be compared
    """
    a, b = find_sides(options.sources, options.judge or [], options.gold)
    found = compare_sides(a, b, majority=options.majority, resamples=options.resamples, seed=options.seed)
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


def compare_sides(a: Side, b: Side, *, majority: bool, resamples: int, seed: int) -> dict[str, Comparison]:
    """The comparison on each benchmark that both have.

    :param majority: compare the majority verdicts over samples instead of sample 0
    :raises DataError: when there is none, or no pair in common
    """
    common = [name for name in a.files if name in b.files]
    if not common:
        message = f"has {', '.join(a.files)}, and {b.source} has {', '.join(b.files)}; compare on the same benchmark"
        raise DataError(message, file=a.source)
    return {
        name: _compare_files(a.files[name], b.files[name], majority=majority, resamples=resamples, seed=seed)
        for name in common
    }


def _compare_files(
    a: tuple[Path, Path], b: tuple[Path, Path], *, majority: bool, resamples: int, seed: int
) -> Comparison:
    """Pairs that are not the same in both are left out and counted."""
    golds = [_pairs(a), _pairs(a if b[0] == a[0] else b)]
    shared = [pair for name, pair in golds[0].items() if golds[1].get(name) == pair]
    if not shared:
        message = f"{len(golds[0])} pairs, none of which is among the {len(golds[1])} of {b[0]}: nothing to compare"
        raise DataError(message, file=a[0])
    names = {pair.id for pair in shared}
    rows: list[list[VerdictRow]] = []
    alone: list[int] = []
    for gold, (pairs, path) in zip(golds, (a, b), strict=True):
        found = list(iter_verdicts(path, texts=False))
        known = {row.id for row in found}
        if unknown := known - gold.keys():
            raise DataError(f"there is no pair '{min(unknown)}' in {pairs}", file=path, field="id")
        kept = [row for row in found if row.id in names]
        rows.append(vote(kept) if majority else kept)
        alone.append(len(known - names))
    try:
        result = compare_judges(shared, *rows, resamples=resamples, seed=seed)
    except DataError as error:
        raise DataError(str(error).partition(": ")[2], file=f"{a[1]} and {b[1]}", field=error.field) from error
    left_out = (alone[0] + result.left_out[0], alone[1] + result.left_out[1])
    return Comparison(result.overall, result.subsets, result.orders, left_out)


def _pairs(files: tuple[Path, Path]) -> dict[str, ResponsePair]:
    pairs, verdicts = files
    # A run's own pairs are read as they were written; anyone's own file goes through the checks of outside data.
    inside = verdicts.parent.name == "verdicts" and pairs.parent == verdicts.parent.with_name("pairs")
    rows = read_rows(pairs, ResponsePair) if inside else read_pairs(pairs, blank_instructions=True)
    return {pair.id: pair for pair in rows}


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
