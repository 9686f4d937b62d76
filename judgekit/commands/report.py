"""``judgekit report``: the report of a run or a sweep, or its tables as markdown."""

from __future__ import annotations

from pathlib import Path

from judgekit.errors import DataError
from judgekit.report.html import build_report
from judgekit.report.results_table import results_markdown
from judgekit.report.sweep import build_sweep_report, sweep_markdown
from judgekit.run_folder import RunFolder
from judgekit.sweep_folder import SWEEP_FILE


def report(folder: Path, *, markdown: bool = False, metric: str | None = None, judge: str | None = None) -> None:
    """Write ``report.html`` into a folder and print its path, or print tables.

    :param metric: of a sweep: what settings are compared by; ``judge``: whose
    :raises DataError: when the folder holds neither a run nor a sweep, or nothing that fits
    """
    if (folder / SWEEP_FILE).exists():
        if markdown:
            print(sweep_markdown(folder, metric=metric, judge=judge), end="")
        else:
            print(build_sweep_report(folder, metric=metric, judge=judge))
        return
    if metric is not None or judge is not None:
        raise DataError("not a sweep, whose runs --metric and --judge would compare", file=folder)
    if markdown:
        run = RunFolder(folder)
        manifest = run.read_manifest()
        judges = [str(name) for name in manifest.get("judges") or ()]
        print(results_markdown(run.read_metrics(), judges, list(manifest.get("benchmarks") or ())), end="")
    else:
        print(build_report(folder))
