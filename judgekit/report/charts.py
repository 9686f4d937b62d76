"""Geometry of the report's small charts, in pixels from the upper left corner; the template draws it as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MOST_POINTS = 240
"""A curve keeps about this many points at most; it is not wider than that many pixels."""

Place = tuple[float, float]
Tick = tuple[float, str]


@dataclass(frozen=True, slots=True)
class Curve:
    """A line chart of one series.

    :param x_ticks: place and label of each tick; ``y_ticks`` likewise
    :param lines: the curve between gaps; a line of one place is a lone point
    :param points: ``step:x,y:value`` of every point drawn, for reading values out
    :param last: the last value
    """

    width: int
    height: int
    left: int
    right: int
    bottom: int
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[tuple[Place, ...], ...]
    points: str
    last: str


def curve(steps: Sequence[int], values: Sequence[float | None], width: int = 250, height: int = 140) -> Curve | None:
    """Lay out values over steps; None among the values leaves a gap, and nothing but None makes no chart."""
    points = _thinned(list(zip(steps, values, strict=True)))
    known = [value for _, value in points if value is not None]
    if not known:
        return None
    left, right, top, bottom = 46, width - 12, 8, height - 22
    x_ticks, y_ticks = _whole_ticks(min(steps), max(steps)), ticks(min(known), max(known))
    x_low, x_high = min(steps), max(*steps, min(steps) + 1)
    y_low, y_high = min(y_ticks[0], *known), max(y_ticks[-1], *known)

    def across(step: float) -> float:
        return round(left + (step - x_low) / (x_high - x_low) * (right - left), 1)

    def up(value: float) -> float:
        return round(bottom - (value - y_low) / (y_high - y_low) * (bottom - top), 1)

    runs: list[list[Place]] = [[]]
    labels = []
    for step, value in points:
        if value is None:
            runs.append([])
        else:
            x, y = across(step), up(value)
            runs[-1].append((x, y))
            labels.append(f"{step}:{x},{y}:{number(value)}")
    return Curve(
        width=width,
        height=height,
        left=left,
        right=right,
        bottom=bottom,
        x_ticks=tuple((across(tick), str(tick)) for tick in x_ticks),
        y_ticks=tuple((up(tick), number(tick)) for tick in y_ticks),
        lines=tuple(tuple(run) for run in runs if run),
        points=" ".join(labels),
        last=number(known[-1]),
    )


@dataclass(frozen=True, slots=True)
class PlotPoint:
    """A value with its interval, and what to say about it.

    :param interval: low and high of ``y``; None draws no whisker
    """

    x: float
    y: float
    interval: tuple[float, float] | None
    title: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A point as it is drawn, ``low`` and ``high`` being the ends of its whisker."""

    x: float
    y: float
    low: float
    high: float
    title: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Points with whiskers over a continuous axis, from 0 to 100 % upwards.

    :param line: the points joined; ``reference`` is a line to compare with, empty where there is none
    """

    width: int
    height: int
    left: int
    right: int
    bottom: int
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    line: tuple[Place, ...]
    reference: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a histogram: its rectangle, what is below and what above it."""

    x: float
    y: float
    width: float
    height: float
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class Bars:
    """A histogram."""

    width: int
    height: int
    left: int
    right: int
    bottom: int
    bars: tuple[Bar, ...]


def plot(
    points: Sequence[PlotPoint], x_ticks: Sequence[float], *, x_percent: bool = False, diagonal: bool = False
) -> Plot:
    """Lay out rates over a quantity; rates are drawn from 0 to 1, the axis spans the ticks and all points.

    :param x_percent: the quantity is a rate too
    :param diagonal: also a line where both are equal
    """
    width, height, left, top = 250, 170, 40, 10
    right, bottom = width - 12, height - 36
    places = [*x_ticks, *(point.x for point in points)]
    low, high = min(places), max(*places, min(places) + 1e-9)

    def across(x: float) -> float:
        return round(left + (x - low) / (high - low) * (right - left), 1)

    def up(rate: float) -> float:
        return round(bottom - rate * (bottom - top), 1)

    def mark(point: PlotPoint) -> Mark:
        low_end, high_end = point.interval or (point.y, point.y)
        return Mark(across(point.x), up(point.y), up(low_end), up(high_end), point.title)

    marks = [mark(point) for point in sorted(points, key=lambda point: point.x)]
    return Plot(
        width=width,
        height=height,
        left=left,
        right=right,
        bottom=bottom,
        x_ticks=tuple((across(tick), number(100 * tick if x_percent else tick)) for tick in x_ticks),
        y_ticks=tuple((up(tick / 4), str(25 * tick)) for tick in range(5)),
        marks=tuple(marks),
        line=tuple((drawn.x, drawn.y) for drawn in marks),
        reference=((across(low), up(low)), (across(high), up(high))) if diagonal else (),
    )


def bars(counts: Sequence[tuple[str, int]]) -> Bars:
    """Lay out a histogram of (label, count), the highest bar as high as there is room.

    :raises ValueError: without counts
    """
    width, height, left, top = 250, 140, 8, 18
    right, bottom = width - 8, height - 20
    most = max(count for _, count in counts)
    step = (right - left) / len(counts)

    def bar(place: int, label: str, count: int) -> Bar:
        tall = round((bottom - top) * count / most, 1) if most else 0.0
        return Bar(round(left + (place + 0.1) * step, 1), bottom - tall, round(0.8 * step, 1), tall, label, count)

    drawn = tuple(bar(place, label, count) for place, (label, count) in enumerate(counts))
    return Bars(width, height, left, right, bottom, drawn)


def number(value: float) -> str:
    """Four significant digits without trailing zeros, such as ``0.6931`` or ``1e-4``."""
    digits, _, exponent = f"{value:.4g}".partition("e")
    return f"{digits}e{int(exponent)}" if exponent else digits


def _thinned(points: list[tuple[int, float | None]]) -> list[tuple[int, float | None]]:
    """Every k-th point and the last one."""
    stride = max(1, math.ceil(len(points) / MOST_POINTS))
    return points[:-1][::stride] + points[-1:]


def ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers within [low, high]; around it when it is a single value."""
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        margin = abs(low) / 2 or 1.0
        low, high = low - margin, high + margin
    step = _round_step((high - low) / 4)
    return [index * step for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _whole_ticks(low: int, high: int) -> list[int]:
    if low == high:
        return [low]
    step = max(1, math.ceil(_round_step((high - low) / 4)))
    return list(range(-(-low // step) * step, high + 1, step))


def _round_step(rough: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is not below ``rough``."""
    unit = 10.0 ** math.floor(math.log10(rough))
    return next((factor * unit for factor in (1, 2, 2.5, 5) if factor * unit >= rough * 0.999), 10 * unit)
