"""Geometry of a sweep's charts, in pixels from the upper left corner; the template draws it as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from judgekit.report.charts import Place, Tick, number, ticks

WIDTH, HEIGHT = 340, 216
LEFT, TOP, RIGHT, BOTTOM = 40, 10, 14, 40
"""Margins around the area of the data."""

DODGE = 5.0
"""Pixels between the whiskers of two series at the same place."""
LOG_RATIO = 30.0
"""Numbers above 0 that differ by more than this are spread by their ratios."""
LEAST_SPAN = 0.1
"""Of an axis of rates, so that noise does not look like an effect."""
MARKS = 6
"""Different marks and colours."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A value to draw.

    :param interval: of ``y``; None draws no whisker
    :param title: what to say about it
    :param link: address it leads to, None for none
    """

    x: float
    y: float
    interval: tuple[float, float] | None
    title: str
    link: str | None = None


@dataclass(frozen=True, slots=True)
class RunMark:
    """A value as it is drawn, ``low`` and ``high`` being the ends of its whisker."""

    x: float
    y: float
    low: float
    high: float
    title: str
    link: str | None


@dataclass(frozen=True, slots=True)
class Line:
    """A series: its marks from left to right, and which mark and colour it has."""

    name: str
    kind: int
    marks: tuple[RunMark, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over a quantity.

    :param reference: height of a line to compare with, None where there is none
    :param frontier: corners of a line beside those of the series
    """

    width: int
    height: int
    left: int
    right: int
    bottom: int
    x_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    reference: float | None = None
    frontier: tuple[Place, ...] = ()


def chart(
    series: Sequence[tuple[str, Sequence[Spot]]],
    x_label: str,
    *,
    rates: bool,
    at: Sequence[float] | None = None,
    reference: float | None = None,
    frontier: Sequence[tuple[float, float]] = (),
) -> Chart:
    """Lay out series of values over a quantity.

    :param series: name and values of each, at least one value in all
    :param rates: values are shares, written in percent
    :param at: where to put ticks below; None: at round numbers
    :param reference: a value to compare with; it is always within the chart
    """
    spots = [spot for _, found in series for spot in found]
    xs = sorted({spot.x for spot in spots} | set(at or ()))
    ends = [end for spot in spots for end in (spot.y, *(spot.interval or ()))]
    low, high = _span(ends + ([] if reference is None else [reference]), rates)
    scale = 100.0 if rates else 1.0
    y_ticks = [tick for tick in ticks(scale * low, scale * high) if scale * low <= tick <= scale * high * (1 + 1e-9)]
    across, log = _across(xs)

    def up(value: float) -> float:
        return round(HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - BOTTOM - TOP), 1)

    below = list(at) if at is not None else _round_places(xs, log)
    lines = tuple(
        Line(name, place % MARKS, _marks(found, across, up, (place - (len(series) - 1) / 2) * DODGE if at else 0.0))
        for place, (name, found) in enumerate(series)
    )
    return Chart(
        width=WIDTH, height=HEIGHT, left=LEFT, right=WIDTH - RIGHT, bottom=HEIGHT - BOTTOM, x_label=x_label,
        x_ticks=_readable([(across(x), amount(x) if at is None else number(x)) for x in below]),
        y_ticks=tuple((up(tick / scale), number(tick)) for tick in y_ticks),
        lines=lines,
        reference=None if reference is None else up(reference),
        frontier=tuple((across(x), up(y)) for x, y in frontier),
    )  # fmt: skip


def amount(value: float) -> str:
    """A large number briefly, such as ``12k`` or ``3.4M``."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:.3g}"


def _marks(
    spots: Sequence[Spot], across: Callable[[float], float], up: Callable[[float], float], aside: float
) -> tuple[RunMark, ...]:
    found = []
    for spot in sorted(spots, key=lambda spot: spot.x):
        low, high = spot.interval or (spot.y, spot.y)
        x = round(across(spot.x) + aside, 1)
        found.append(RunMark(x, up(spot.y), up(low), up(high), spot.title, spot.link))
    return tuple(found)


def _span(values: Sequence[float], rates: bool) -> tuple[float, float]:
    """What the axis upwards shows."""
    low, high = min(values), max(values)
    margin = max(0.06 * (high - low), (LEAST_SPAN - (high - low)) / 2 if rates else 1e-9 + 0.01 * abs(high))
    low, high = low - margin, high + margin
    return (max(0.0, low), min(1.0, high)) if rates else (low, high)


def _across(xs: Sequence[float]) -> tuple[Callable[[float], float], bool]:
    """Places of numbers from left to right, and whether they are spread by their ratios."""
    log = xs[0] > 0 and xs[-1] / xs[0] > LOG_RATIO
    bent: Callable[[float], float] = math.log10 if log else float
    low, high = bent(xs[0]), bent(xs[-1])
    inside = 0.06 * (WIDTH - LEFT - RIGHT)  # whiskers that stand aside stay within the chart

    def across(x: float) -> float:
        share = (bent(x) - low) / (high - low) if high > low else 0.5
        return round(LEFT + inside + share * (WIDTH - LEFT - RIGHT - 2 * inside), 1)

    return across, log


def _round_places(xs: Sequence[float], log: bool) -> list[float]:
    if not log:
        return [tick for tick in ticks(xs[0], xs[-1]) if xs[0] <= tick <= xs[-1]]
    decades = range(math.floor(math.log10(xs[0])), math.ceil(math.log10(xs[-1])) + 1)
    steps = (1,) if len(decades) > 3 else (1, 2, 5)
    found = [step * 10.0**decade for decade in decades for step in steps]
    return [x for x in found if xs[0] <= x <= xs[-1]]


def _readable(found: Sequence[Tick]) -> tuple[Tick, ...]:
    """Ticks without those whose labels would touch the one before."""
    kept: list[Tick] = []
    for x, label in found:
        if not kept or x - kept[-1][0] > 4.0 + 3.4 * (len(label) + len(kept[-1][1])):
            kept.append((x, label))
    return tuple(kept)
