"""The results table: judges by metrics for each benchmark, as data, for a terminal and as markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rich.console import Console
from rich.table import Table
from rich.text import Text

from judgekit.report.shown_text import markdown_cell

METRICS = ("accuracy", "consistent_accuracy", "consistency", "first_position_rate", "invalid_rate")
"""Columns of the table, in order."""

SHOWN = (*METRICS, "accuracy_ab", "accuracy_ba")
"""Metrics a row holds: those of the table and those of the report's figures."""

WIDE = 100
"""Columns of a terminal in which a row of the table fits one line."""

BEST: Mapping[str, float] = {
    "accuracy": 1.0,
    "consistent_accuracy": 1.0,
    "consistency": 1.0,
    "first_position_rate": 0.5,
    "invalid_rate": 0.0,
}
"""The value a perfect judge has."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate in [0, 1] with its 95 % interval; None where it does not apply."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        return f"{percent(self.value)} {self.interval}".rstrip()

    @property
    def interval(self) -> str:
        """Such as ``[45.0, 61.2]``; empty where there is none."""
        if self.value is None or self.low is None or self.high is None:
            return ""
        return f"[{percent(self.low)}, {percent(self.high)}]"


@dataclass(frozen=True, slots=True)
class ResultRow:
    """How one judge did on one benchmark.

    :param subset: None for the whole benchmark
    :param n: labelled pairs
    :param rates: one for each of ``SHOWN``
    :param best: metrics in which no judge on the same benchmark is better, and some judge is worse
    """

    judge: str
    benchmark: str
    subset: str | None
    n: int | None
    rates: Mapping[str, Rate]
    best: frozenset[str] = frozenset()


def results_table(
    metrics: Mapping[str, float | None], judges: Sequence[str], benchmarks: Sequence[str], *, subsets: bool = False
) -> list[ResultRow]:
    """The rows of the table by benchmark, then subset, then judge, in the orders given.

    :param metrics: flat names to numbers, as in ``metrics.json``: ``eval/JUDGE/BENCHMARK[/SUBSET]/METRIC``
    :param subsets: the rows of subsets instead of those of whole benchmarks
    """
    rows: list[ResultRow] = []
    for benchmark in benchmarks:
        for subset in _subsets(metrics, benchmark) if subsets else [None]:
            found = [row for judge in judges if (row := _row(metrics, judge, benchmark, subset)) is not None]
            rows += _with_best(found)
    return rows


def print_results(
    console: Console, metrics: Mapping[str, float | None], judges: Sequence[str], benchmarks: Sequence[str]
) -> None:
    """Print one table for each benchmark, in 80 columns or more, in percent with 95 % intervals."""
    rows = results_table(metrics, judges, benchmarks)
    for benchmark in benchmarks:
        shown = [row for row in rows if row.benchmark == benchmark]
        if shown:
            console.print(_terminal_table(benchmark, shown, console.width), "")


def results_markdown(metrics: Mapping[str, float | None], judges: Sequence[str], benchmarks: Sequence[str]) -> str:
    """The tables as markdown, in percent with 95 % intervals, the best of a column in bold."""
    rows = results_table(metrics, judges, benchmarks)
    blocks = []
    for benchmark in benchmarks:
        shown = [row for row in rows if row.benchmark == benchmark]
        if not shown:
            continue
        lines = [
            f"**{markdown_cell(benchmark)}**, % with 95 % intervals",
            "",
            "| judge | n | " + " | ".join(heading(metric) for metric in METRICS) + " |",
            "|---|" + "---:|" * (len(METRICS) + 1),
        ]
        for row in shown:
            cells = [f"**{row.rates[m]}**" if m in row.best else str(row.rates[m]) for m in METRICS]
            lines.append(f"| {markdown_cell(row.judge)} | {_count(row.n)} | " + " | ".join(cells) + " |")
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def percent(value: float | None) -> str:
    """A rate as percent with one decimal, ``100`` for exactly 1, a dash where there is none."""
    if value is None:
        return "–"
    return "100" if value == 1 else f"{100 * value:.1f}"


def heading(metric: str) -> str:
    """A metric's name in words."""
    return metric.removesuffix("_rate").replace("_", " ")


def _row(metrics: Mapping[str, float | None], judge: str, benchmark: str, subset: str | None) -> ResultRow | None:
    prefix = f"eval/{judge}/{benchmark}/" + (f"{subset}/" if subset is not None else "")
    if not any(prefix + metric in metrics for metric in METRICS):
        return None
    rates = {
        metric: Rate(*(metrics.get(prefix + metric + suffix) for suffix in ("", "_ci95_low", "_ci95_high")))
        for metric in SHOWN
    }
    n = metrics.get(prefix + "n")
    return ResultRow(judge, benchmark, subset, None if n is None else int(n), rates)


def _subsets(metrics: Mapping[str, float | None], benchmark: str) -> list[str]:
    """Names of the subsets that any judge has numbers for, sorted; a name may contain a slash."""
    parts = [name.split("/") for name in metrics]
    return sorted({"/".join(p[3:-1]) for p in parts if len(p) > 4 and p[0] == "eval" and p[2] == benchmark})


def _with_best(rows: list[ResultRow]) -> list[ResultRow]:
    best: dict[str, set[str]] = {row.judge: set() for row in rows}
    for metric in METRICS:
        distance = {
            row.judge: abs(value - BEST[metric]) for row in rows if (value := row.rates[metric].value) is not None
        }
        if len(set(distance.values())) > 1:
            for judge in distance:
                if distance[judge] == min(distance.values()):
                    best[judge].add(metric)
    return [replace(row, best=frozenset(best[row.judge])) for row in rows]


def _terminal_table(benchmark: str, rows: Sequence[ResultRow], width: int) -> Table:
    """Invalid goes without its interval: a line fits 100 columns, in fewer the intervals go below their numbers."""
    table = Table(
        title=Text(f"{benchmark}: % with 95 % intervals", style="bold"),
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="dim",
    )
    table.add_column("judge", vertical="bottom", overflow="fold", min_width=6)
    for name in ("n", *(heading(metric) for metric in METRICS)):
        table.add_column("\n".join(name.rsplit(" ", 1)), justify="right", vertical="bottom", no_wrap=True)
    for row in rows:
        cells = [Text(row.judge), Text(_count(row.n))]
        for metric in METRICS:
            rate = row.rates[metric]
            shown = str(rate) if metric != "invalid_rate" else percent(rate.value)
            shown = shown.replace(" [", "\n[") if width < WIDE else shown
            cells.append(Text(shown, style="bold" if metric in row.best else ""))
        table.add_row(*cells)
    return table


def _count(n: int | None) -> str:
    return "–" if n is None else str(n)
