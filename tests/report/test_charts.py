"""Chart geometry: points land where their values say."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judgekit.report.charts import MOST_POINTS, PlotPoint, bars, curve, number, plot


def test_places_are_linear_in_step_and_value_and_agree_with_the_ticks() -> None:
    chart = curve([0, 50, 100], [0.0, 1.0, 4.0])
    assert chart is not None
    ticks = {label: y for y, label in chart.y_ticks}
    (line,) = chart.lines
    assert [y for _, y in line] == pytest.approx([ticks["0"], ticks["1"], ticks["4"]])
    steps = {label: x for x, label in chart.x_ticks}
    assert [x for x, _ in line] == pytest.approx([steps["0"], steps["50"], steps["100"]])
    assert chart.points.split()[1] == f"50:{line[1][0]},{line[1][1]}:1"
    assert chart.last == "4"


def test_a_missing_value_leaves_a_gap_and_only_missing_values_no_chart() -> None:
    chart = curve([1, 2, 3, 4], [1.0, None, 2.0, 3.0])
    assert chart is not None
    assert [len(line) for line in chart.lines] == [1, 2]
    assert curve([1, 2], [None, None]) is None


def test_a_long_series_is_thinned_and_keeps_its_ends() -> None:
    chart = curve(range(10_001), [float(step) for step in range(10_001)])
    assert chart is not None
    steps = [int(point.split(":")[0]) for point in chart.points.split()]
    assert (steps[0], steps[-1]) == (0, 10_000)
    assert len(steps) <= MOST_POINTS + 1


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30), st.integers(0, 10**6))
def test_every_point_and_tick_lies_inside(values: list[float], first: int) -> None:
    chart = curve(range(first, first + len(values)), values)
    assert chart is not None
    assert chart.x_ticks
    assert 1 <= len(chart.y_ticks) <= 7
    for x, y in [place for line in chart.lines for place in line] + [(chart.left, y) for y, _ in chart.y_ticks]:
        assert chart.left <= x <= chart.right and 0 <= y <= chart.bottom
        assert math.isfinite(x) and math.isfinite(y)


@pytest.mark.parametrize(
    ("value", "text"), [(0.693147, "0.6931"), (1e-4, "0.0001"), (7.5e-6, "7.5e-6"), (0.0, "0"), (1234567.0, "1.235e6")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_rates_land_between_the_ticks_with_their_whiskers() -> None:
    chart = plot([PlotPoint(5, 0.75, (0.5, 1.0), "five"), PlotPoint(1, 0.25, None, "one")], [1, 3, 5])
    up = {label: y for y, label in chart.y_ticks}
    across = {label: x for x, label in chart.x_ticks}
    one, five = chart.marks
    assert (five.x, five.y, five.low, five.high) == (across["5"], up["75"], up["50"], up["100"])
    assert (one.x, one.low, one.high) == (across["1"], up["25"], up["25"])
    assert chart.line == ((one.x, one.y), (five.x, five.y)) and chart.reference == ()


def test_the_diagonal_is_where_both_rates_are_equal() -> None:
    chart = plot([PlotPoint(0.4, 0.5, None, "")], [0.5, 0.75, 1.0], x_percent=True, diagonal=True)
    across = {label: x for x, label in chart.x_ticks}
    up = {label: y for y, label in chart.y_ticks}
    (start, end) = chart.reference
    assert end == (across["100"], up["100"])
    assert start[0] == chart.left < across["50"]  # a point left of all ticks is still inside
    slope = (end[1] - start[1]) / (end[0] - start[0])
    assert start[1] + slope * (across["75"] - start[0]) == pytest.approx(up["75"], abs=0.2)


def test_bars_are_as_high_as_their_counts_and_do_not_overlap() -> None:
    chart = bars([("1", 10), ("2", 0), ("3", 5)])
    assert [bar.height / chart.bars[0].height for bar in chart.bars] == pytest.approx([1, 0, 0.5], abs=0.01)
    assert all(bar.y + bar.height == pytest.approx(chart.bottom) for bar in chart.bars)
    assert all(one.x + one.width <= two.x for one, two in zip(chart.bars, chart.bars[1:], strict=False))
