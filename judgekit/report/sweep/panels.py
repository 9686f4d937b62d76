"""What the report shows of one benchmark of a sweep: settings, heat maps, a panel for each key, cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from judgekit.report.results_table import BEST, heading
from judgekit.report.sweep.cells import RATES, Cell, cell, shown_cell
from judgekit.report.sweep.charts import MARKS, Chart, Spot, chart
from judgekit.report.sweep.study import MeasuredRun, Value, View, balanced, grouped, numeric, written

BIASES = ("first_position_rate", "invalid_rate")
"""Metrics that each key has a panel of, beside the one the sweep is read by."""

FIRST_MAP = ("recipe.plans", "recipe.executions")
"""The two keys whose heat map comes first."""
MOST_MAPS = 6
MOST_POINTS = 2000

Link = Callable[[MeasuredRun], str | None]
"""Address of a run's report, None where it has none."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Runs that differ in nothing but the seed.

    :param values: of the swept keys
    :param cells: by metric
    :param cost: means, by name
    :param best: whether no setting is better
    """

    values: tuple[Value, ...]
    runs: tuple[MeasuredRun, ...]
    cells: Mapping[str, Cell | None]
    cost: Mapping[str, float]
    best: bool


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Means over two keys.

    :param down: key of the rows; ``across`` of the columns
    :param cells: by place of row and column, None where no run is finished
    :param shares: likewise, how dark each is, from 0 to 1
    :param best: places of the best ones
    """

    down: str
    across: str
    rows: tuple[Value, ...]
    columns: tuple[Value, ...]
    cells: Mapping[tuple[int, int], Cell | None]
    shares: Mapping[tuple[int, int], float]
    best: frozenset[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric over the values of a key: a chart where they are numbers, otherwise rows.

    :param by: key that tells the lines apart, None for one line
    """

    metric: str
    chart: Chart | None
    rows: tuple[tuple[str, Cell], ...]
    by: str | None


@dataclass(frozen=True, slots=True)
class KeyPanel:
    """What a key changes.

    :param averaged: other keys that its means are over
    """

    key: str
    figures: tuple[Figure, ...]
    averaged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CostFigure:
    """The metric against what it costs.

    :param frontier: settings that no cheaper one equals, the cheapest first, with cost and metric
    """

    name: str
    chart: Chart
    frontier: tuple[tuple[Setting, float, Cell], ...]


def goodness(metric: str, value: float) -> float:
    """Higher is better."""
    return -abs(value - BEST.get(metric, 1.0)) if metric in RATES else value


def settings(seen: View, metrics: Sequence[str], gpus: int | None) -> list[Setting]:
    """All settings, the best first.

    :param metrics: what to take means of
    :param gpus: of one job, where that is known
    """
    found = []
    for values, runs in seen.settings().items():
        cells = {metric: cell(runs, metric) for metric in metrics}
        found.append((values, runs, cells, _cost(runs, gpus)))

    def good(cells: Mapping[str, Cell | None]) -> float:
        held = cells[seen.metric]
        return goodness(seen.metric, held.mean) if held is not None else -float("inf")

    top = max((good(cells) for _, _, cells, _ in found), default=0.0)
    found.sort(key=lambda one: -good(one[2]))
    return [Setting(v, tuple(r), cells, cost, good(cells) == top and len(found) > 1) for v, r, cells, cost in found]


def _cost(runs: Sequence[MeasuredRun], gpus: int | None) -> dict[str, float]:
    """Means of what runs cost on their own."""
    kinds: dict[str, list[float]] = {}
    for run in runs:
        held = run.run.cost
        seconds = held.get("stage_seconds", 0.0)
        kinds.setdefault("tokens", []).append(run.run.tokens)
        kinds.setdefault("GPU-seconds" if gpus else "seconds", []).append(seconds * (gpus or 1))
        if "price" in held:
            kinds.setdefault("price", []).append(held["price"])
    return {name: fmean(values) for name, values in kinds.items() if any(values)}


def heat_maps(seen: View) -> list[HeatMap]:
    """A map of every two keys, |P|×|E| first."""
    pairs = list(combinations(seen.keys, 2))
    pairs.sort(key=lambda pair: set(pair) != set(FIRST_MAP))
    return [_heat_map(seen, _upright(seen, pair)) for pair in pairs[:MOST_MAPS]]


def _upright(seen: View, pair: tuple[str, str]) -> tuple[str, str]:
    """The key with more values goes down, as a page is longer than wide; the paper's |P| does in any case."""
    if set(pair) == set(FIRST_MAP):
        return FIRST_MAP
    return pair if len(seen.values[pair[0]]) >= len(seen.values[pair[1]]) else (pair[1], pair[0])


def _heat_map(seen: View, pair: tuple[str, str]) -> HeatMap:
    down, across = pair
    groups = grouped(balanced(seen, pair), pair)
    rows, columns = seen.values[down], seen.values[across]
    cells = {
        (r, c): cell(groups.get((row, column), ()), seen.metric)
        for r, row in enumerate(rows)
        for c, column in enumerate(columns)
    }
    good = {place: goodness(seen.metric, held.mean) for place, held in cells.items() if held is not None}
    low, high = min(good.values()), max(good.values())
    shares = {place: (value - low) / (high - low) if high > low else 0.5 for place, value in good.items()}
    return HeatMap(down, across, rows, columns, cells, shares, frozenset(p for p, v in good.items() if v == high))


def key_panels(seen: View) -> list[KeyPanel]:
    """A panel for each key."""
    return [_panel(seen, key) for key in seen.keys]


def _panel(seen: View, key: str) -> KeyPanel:
    others = [other for other in seen.keys if other != key]
    by = next((other for other in others if len(seen.values[other]) <= MARKS), None)
    if not numeric(seen.values[key]):
        by = None
    figures = [_figure(seen, metric, key, by) for metric in dict.fromkeys((seen.metric, *BIASES))]
    averaged = tuple(other for other in others if other != by)
    return KeyPanel(key, tuple(f for f in figures if f is not None), averaged)


def _figure(seen: View, metric: str, key: str, by: str | None) -> Figure | None:
    keys = [key] if by is None else [key, by]
    groups = grouped(balanced(seen, keys), keys)
    values = seen.values[key]
    if not numeric(values):
        rows = [(written(v), held) for v in values if (held := cell(groups.get((v,), ()), metric)) is not None]
        return Figure(metric, None, tuple(rows), None) if rows else None
    series = []
    for other in [None] if by is None else seen.values[by]:
        spots = []
        for value in values:
            held = cell(groups.get((value,) if by is None else (value, other), ()), metric)
            if held is not None and isinstance(value, int | float):
                where = f"{key} {written(value)}" + ("" if by is None else f", {by} {written(other)}")
                said = f"{where}: {shown_cell(held, metric)}, {_of(held)}"
                spots.append(Spot(value, held.mean, held.interval, said))
        if spots:
            series.append(("" if by is None else written(other), spots))
    if not series:
        return None
    at = [value for value in values if isinstance(value, int | float)]
    reference = 0.5 if metric == "first_position_rate" else None
    return Figure(metric, chart(series, key, rates=metric in RATES, at=at, reference=reference), (), by)


def _of(held: Cell) -> str:
    runs = f"{held.runs} run" + "s" * (held.runs != 1)
    return runs if held.seeds < 2 else f"{runs}, {held.seeds} seeds"


def cost_figures(seen: View, found: Sequence[Setting], names: Mapping[str, str], link: Link) -> list[CostFigure]:
    """The metric against tokens, seconds and price, a point for each setting."""
    figures = []
    for name in dict.fromkeys(name for setting in found for name in setting.cost):
        priced = []
        for setting in found:
            held = setting.cells[seen.metric]
            if name in setting.cost and held is not None:
                priced.append((setting, setting.cost[name], held))
        if len({cost for _, cost, _ in priced}) < 2 or len(priced) > MOST_POINTS:
            continue
        spots = []
        for setting, cost, held in priced:
            said = f"{described(seen, setting, names)}: {shown_cell(held, seen.metric)}, {cost:,.4g} {name}"
            address = link(setting.runs[0]) if len(setting.runs) == 1 else None
            spots.append(Spot(cost, held.mean, held.interval, said, address))
        frontier = _frontier(seen.metric, priced)
        corners = [(cost, held.mean) for _, cost, held in frontier]
        drawn = chart([("", spots)], name, rates=seen.metric in RATES, frontier=corners)
        figures.append(CostFigure(name, drawn, tuple(frontier)))
    return figures


def _frontier(metric: str, priced: Sequence[tuple[Setting, float, Cell]]) -> list[tuple[Setting, float, Cell]]:
    """Points that are better than all cheaper ones."""
    kept: list[tuple[Setting, float, Cell]] = []
    for one in sorted(priced, key=lambda one: (one[1], -goodness(metric, one[2].mean))):
        if not kept or goodness(metric, one[2].mean) > goodness(metric, kept[-1][2].mean):
            kept.append(one)
    return kept


def described(seen: View, setting: Setting, names: Mapping[str, str]) -> str:
    """A setting in words, such as ``plans 3, executions 2``."""
    parts = [f"{names[key]} {written(value)}" for key, value in zip(seen.keys, setting.values, strict=True)]
    return ", ".join(parts) or "all runs"


def by_judge(seen: View) -> list[tuple[str, Cell]]:
    """The metric of each judge along the recipe, over all runs that have it."""
    names = dict.fromkeys(name for run in seen.runs for name in run.run.judges)
    found = []
    for name in names:
        runs = [MeasuredRun(r.run, name, r.benchmark, r.values) for r in seen.runs if name in r.run.judges]
        held = cell(runs, seen.metric)
        if held is not None:
            found.append((name, held))
    return found if len(found) > 1 else []


def title(metric: str) -> str:
    """A metric as a caption begins."""
    words = {"first_position_rate": "verdicts for the first position", "invalid_rate": "invalid verdicts"}
    text = words.get(metric, heading(metric))
    return text[:1].upper() + text[1:]
