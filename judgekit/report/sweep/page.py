"""``report.html`` of a sweep, and the same tables as markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from judgekit.errors import DataError
from judgekit.report.html import asset, environment, write_page
from judgekit.report.results_table import Rate, heading
from judgekit.report.shown_text import markdown_cell
from judgekit.report.sweep.cells import Cell, shown, shown_cell
from judgekit.report.sweep.effects import MainEffect, main_effects
from judgekit.report.sweep.panels import (
    CostFigure,
    HeatMap,
    KeyPanel,
    Setting,
    by_judge,
    cost_figures,
    described,
    heat_maps,
    key_panels,
    settings,
    title,
)
from judgekit.report.sweep.study import SEED, Run, Study, View, read_study, short_names, swept, view, written
from judgekit.run_folder import RunFolder
from judgekit.stats.paired import Difference

COLUMNS = ("accuracy", "consistency", "first_position_rate", "invalid_rate")
"""Metrics of the table of settings beside the one the sweep is read by."""
COSTS = ("tokens", "seconds", "GPU-seconds", "price")

BIAS = {
    "chosen_response_chars": "chosen, characters",
    "rejected_response_chars": "rejected, characters",
    "mean_score": "mean score",
    "first_position": "first position wins, %",
    "higher_score": "higher score wins, %",
}
"""Columns of the bias reports of recipes with an actor: what ρ and the meta-judge's drift show in."""


@dataclass(frozen=True, slots=True)
class BiasTable:
    """What the runs' bias reports say.

    :param columns: iteration and heading
    :param rows: each run with a number and its text for every column
    """

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Run, tuple[tuple[float | None, str], ...]], ...]


@dataclass(frozen=True, slots=True)
class StudySection:
    """One benchmark.

    :param names: short names of its keys
    :param metrics: columns of the settings
    """

    seen: View
    names: Mapping[str, str]
    metrics: tuple[str, ...]
    costs: tuple[str, ...]
    settings: tuple[Setting, ...]
    maps: tuple[HeatMap, ...]
    panels: tuple[KeyPanel, ...]
    judges: tuple[tuple[str, Cell], ...]
    cost: tuple[CostFigure, ...]
    effects: tuple[MainEffect, ...]

    @property
    def by_run(self) -> Mapping[int, float | None]:
        """The metric by the number of the run."""
        return {run.run.num: run.rate(self.seen.metric).value for run in self.seen.runs}


def build_sweep_report(folder: Path, *, metric: str | None = None, judge: str | None = None) -> Path:
    """Write ``report.html`` into a sweep's folder, from whatever its jobs have left so far.

    :param metric: what settings are compared by; None: consistent accuracy, or what comes nearest to it
    :param judge: the judge of each run; None: the one it leaves
    :returns: the file's path
    :raises DataError: when the folder holds no sweep, or no run has such a metric or judge
    """
    study = read_study(folder)
    sections = _sections(study, folder, metric, judge)
    overall = swept([run.values for run in study.runs])
    page = environment().get_template("sweep.html")
    page.globals.update(
        shown=shown, shown_cell=shown_cell, written=written, title=title, described=described, p_value=p_value,
        effect_interval=effect_interval, points=points, rate_of=rate_of, address=lambda run: _address(folder, run),
    )  # fmt: skip
    return write_page(
        page,
        RunFolder(folder).report,
        asset("report.css") + asset("sweep.css"),
        asset("sweep.js"),
        study=study,
        sections=sections,
        states=Counter(run.state for run in study.runs).most_common(),
        bias=bias_table(study.runs),
        unfinished=[run for run in study.runs if run.state != "done"],
        swept=overall,
        names=short_names(list(overall)),
        seeds=overall.get(SEED, ()),
    )


def sweep_markdown(folder: Path, *, metric: str | None = None, judge: str | None = None) -> str:
    """Settings and main effects of a sweep as markdown tables, in percent with 95 % intervals.

    :raises DataError: as ``build_sweep_report``
    """
    study = read_study(folder)
    blocks = [block for section in _sections(study, folder, metric, judge) for block in _markdown(section)]
    return "\n".join([*blocks, *_bias_markdown(study)])


def _sections(study: Study, folder: Path, metric: str | None, judge: str | None) -> list[StudySection]:
    found = [seen for name in study.benchmarks if (seen := view(study, name, metric, judge)) is not None]
    if not found and (metric is not None or judge is not None):
        names = sorted({name for run in study.runs for name in run.judges})
        message = f"no finished run has the metric '{metric or 'accuracy'}' of the judge '{judge or 'it leaves'}'"
        raise DataError(f"{message}. Judges: {', '.join(names) or 'none'}", file=folder)
    return [_section(study, seen, folder) for seen in found]


def _section(study: Study, seen: View, folder: Path) -> StudySection:
    names = short_names(seen.keys)
    wanted = tuple(dict.fromkeys((seen.metric, *(name for name in COLUMNS))))
    found = settings(seen, wanted, study.gpus)
    metrics = tuple(name for name in wanted if any(setting.cells[name] is not None for setting in found))
    costs = tuple(name for name in COSTS if any(name in setting.cost for setting in found))
    return StudySection(
        seen=seen,
        names=names,
        metrics=metrics,
        costs=costs,
        settings=tuple(found),
        maps=tuple(heat_maps(seen)),
        panels=tuple(key_panels(seen)),
        judges=tuple(by_judge(seen)),
        cost=tuple(cost_figures(seen, found, names, lambda run: _address(folder, run.run))),
        effects=tuple(main_effects(seen, folder)),
    )


def bias_table(runs: Sequence[Run]) -> BiasTable | None:
    """The bias reports of all runs side by side, by iteration; None where no run has one."""
    known = {name for run in runs for name, value in run.numbers.items() if value is not None}
    iterations = dict.fromkeys(
        name.split("/")[1] for run in runs for name in run.numbers if name.startswith("bias/") and name in known
    )
    names = [(iteration, kind) for iteration in iterations for kind in BIAS if f"bias/{iteration}/{kind}" in known]
    if not names:
        return None
    rows = []
    for run in runs:
        values = [run.numbers.get(f"bias/{iteration}/{kind}") for iteration, kind in names]
        if any(value is not None for value in values):
            texts = (_bias_text(kind, value) for (_, kind), value in zip(names, values, strict=True))
            rows.append((run, tuple(zip(values, texts, strict=True))))
    return BiasTable(tuple((iteration, BIAS[kind]) for iteration, kind in names), tuple(rows))


def _bias_text(kind: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if kind == "mean_score" else f"{value if kind.endswith('chars') else 100 * value:.1f}"


def _address(folder: Path, run: Run) -> str | None:
    """Where a run's report lies, seen from the sweep's."""
    report = RunFolder(folder / run.folder).report
    return quote(f"{run.folder}/{report.name}") if report.exists() else None


def rate_of(held: Cell) -> Rate:
    """A cell as the report's dots are drawn from."""
    return Rate(held.mean, held.low, held.high)


def points(value: float, metric: str) -> str:
    """A difference with its sign; of rates in percentage points."""
    text = shown(abs(value), metric)
    return ("−" if value < 0 and float(text) else "+") + text


def effect_interval(ends: tuple[float, float] | None, metric: str) -> str:
    """Such as ``[−3.1, +8.0]``; empty where there is none."""
    return "" if ends is None else f"[{points(ends[0], metric)}, {points(ends[1], metric)}]"


def p_value(value: float | None) -> str:
    """Such as ``0.031`` or ``<0.001``; a dash for none."""
    if value is None:
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _markdown(section: StudySection) -> list[str]:
    seen = section.seen
    keys = [section.names[key] for key in seen.keys]
    lines = [
        f"**{markdown_cell(seen.benchmark)}**, {heading(seen.metric)} and others, % with 95 % intervals over "
        f"{'seeds' if seen.seeds > 1 else 'pairs'}",
        "",
        _line([*keys, "runs", *(heading(metric) for metric in section.metrics), *section.costs]),
        "|" + "---|" * len(keys) + "---:|" * (1 + len(section.metrics) + len(section.costs)),
    ]
    for setting in section.settings:
        cells = [shown_cell(setting.cells[metric], metric) for metric in section.metrics]
        if setting.best:
            cells[0] = f"**{cells[0]}**"
        cost = [f"{setting.cost[name]:,.0f}" if name in setting.cost else "–" for name in section.costs]
        lines.append(_line([*map(written, setting.values), str(len(setting.runs)), *cells, *cost]))
    blocks = ["\n".join(lines) + "\n"]
    if section.effects:
        head = ["change", "matched runs", f"Δ {heading(seen.metric)}", "p (bootstrap)", "p (McNemar)", "p (runs, t)"]
        lines = [_line(head), "|---|" + "---:|" * (len(head) - 1)]
        lines += [_line(_effect_cells(effect, section)) for effect in section.effects]
        blocks.append("\n".join(lines) + "\n")
    return blocks


def _bias_markdown(study: Study) -> list[str]:
    table, keys = bias_table(study.runs), list(swept([run.values for run in study.runs]))
    if table is None:
        return []
    names = short_names(keys)
    head = [*(names[key] for key in keys), *(f"{iteration}: {title}" for iteration, title in table.columns)]
    lines = ["**Bias reports**", "", _line(head), "|" + "---|" * len(keys) + "---:|" * len(table.columns)]
    lines += [
        _line([*(written(run.values.get(key)) for key in keys), *(text for _, text in cells)])
        for run, cells in table.rows
    ]
    return ["\n".join(lines) + "\n"]


def _effect_cells(effect: MainEffect, section: StudySection) -> list[str]:
    metric = section.seen.metric
    change = f"{section.names[effect.key]}: {written(effect.baseline)} → {written(effect.value)}"
    over: Difference | None = effect.verdicts
    ends = over.ci95 if over is not None else effect.over_runs
    moved = f"{points(effect.difference, metric)} {effect_interval(ends, metric)}".rstrip()
    tests = (over.p_bootstrap, over.p_value) if over is not None else (None, None)
    return [change, str(effect.runs), moved, *map(p_value, (*tests, effect.p_runs))]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(markdown_cell, cells)) + " |"
