"""By which surface cues the better text of a pair could be told, as data for the report and in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from judgekit.report.results_table import Rate, percent
from judgekit.stats.surface_cues import CUES

PREFIX = "cues/"


@dataclass(frozen=True, slots=True)
class CueRow:
    """Cue accuracy of one set of pairs.

    :param data: ``pairs`` (those of the data recipe), ``pairs/SOURCE``, or the judge that is trained on the pairs
    :param rates: by cue
    """

    data: str
    n: int
    rates: Mapping[str, Rate]

    @property
    def leak(self) -> str | None:
        """The cue with the highest accuracy among those whose interval lies above a half."""
        above = [cue for cue, rate in self.rates.items() if rate.low is not None and rate.low > 0.5]
        return max(above, key=lambda cue: self.rates[cue].value or 0.0, default=None)


def cue_rows(metrics: Mapping[str, float | None]) -> list[CueRow]:
    """The rows, in the order of the numbers.

    :param metrics: flat names to numbers, as in ``metrics.json``: ``cues/DATA/CUE``
    """
    found = dict.fromkeys(name.rpartition("/")[0] for name in metrics if name.startswith(PREFIX))
    rows = []
    for name in found:
        rates = {
            cue: Rate(*(metrics.get(f"{name}/{cue}{suffix}") for suffix in ("", "_ci95_low", "_ci95_high")))
            for cue in CUES
        }
        rows.append(CueRow(name.removeprefix(PREFIX), int(metrics.get(f"{name}/n") or 0), rates))
    return rows


def cue_numbers(stages: Sequence[Mapping[str, object]]) -> dict[str, float | None]:
    """What the stages of a manifest measured, under the names of ``metrics.json``."""
    numbers: dict[str, float | None] = {}
    for stage in stages:
        measured = stage.get("numbers")
        if str(stage["name"]).startswith(PREFIX) and isinstance(measured, Mapping):
            numbers |= {f"{stage['name']}/{name}": value for name, value in measured.items()}
    return numbers


def print_cues(console: Console, metrics: Mapping[str, float | None]) -> None:
    """Print the table, and by which cue each set of pairs can be told best."""
    rows = cue_rows(metrics)
    if not rows:
        return
    table = Table(title=Text("cue accuracy, %", style="bold"), title_justify="left", box=None, header_style="dim")
    for name in ("better and worse texts of", "n", *(cue.replace("_", " ") for cue in CUES)):
        table.add_column(name, justify="left" if name.startswith("better") else "right")
    for row in rows:
        cells = [
            Text(percent(rate.value), style="bold" if rate.low is not None and rate.low > 0.5 else "")
            for rate in row.rates.values()
        ]
        table.add_row(Text(row.data), Text(str(row.n)), *cells)
    console.print(table)
    for row in rows:
        if row.leak is not None:
            told = f"{row.data}: {row.leak.replace('_', ' ')} alone tells the better text in {row.rates[row.leak]} %."
            console.print(told, highlight=False, markup=False)
    console.print()
