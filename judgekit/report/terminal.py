"""What a run or an evaluation prints when it is done."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from judgekit.report.results_table import print_results
from judgekit.report.secondary_metrics import secondary_metrics
from judgekit.report.surface_cues import print_cues

TABLE_WIDTH = 100
SECONDARY_ROWS = 24
"""Measures printed of one benchmark; the report has all of them."""


def show_results(
    numbers: Mapping[str, float | None], judges: Sequence[str], benchmarks: Sequence[str], report: Path
) -> None:
    """The tables at the end, on stdout, and where the report lies."""
    # A log file is read at any width; a narrower table would lose its intervals.
    console = Console() if sys.stdout.isatty() else Console(width=TABLE_WIDTH)
    print_results(console, numbers, judges, benchmarks)
    for benchmark in benchmarks:
        rows = secondary_metrics(numbers, judges, [benchmark])
        if not rows:
            continue
        table = Table(title=Text(f"{benchmark}: further measures", style="bold"), title_justify="left", box=None)
        for name in ("judge", "measure", "value, 95 % interval"):
            table.add_column(name, no_wrap=True, overflow="ellipsis")
        for row in rows[:SECONDARY_ROWS]:
            table.add_row(Text(row.judge), Text(row.measure), Text(str(row)))
        console.print(table, "")
        if len(rows) > SECONDARY_ROWS:
            console.print(f"{len(rows) - SECONDARY_ROWS} more are in the report and in metrics.json.", "")
    print_cues(console, numbers)
    console.print(f"Report: {report}", highlight=False, soft_wrap=True)
    sys.stdout.flush()
