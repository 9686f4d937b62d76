"""``ranking.html``: ratings of models with their intervals, and who beats whom."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from judgekit.report.html import asset, environment, write_page
from judgekit.stats.bradley_terry import elo
from judgekit.stats.ranking import Ranked, Tournament

WIDTH, ROW, PAD = 420, 26, 10
"""Size of the plot and of each of its rows, pixels."""


@dataclass(frozen=True, slots=True)
class RatingBar:
    """A rating as it is drawn, in pixels from the left; ``low`` and ``high`` are None without an interval."""

    name: str
    x: float
    y: float
    low: float | None
    high: float | None
    title: str


@dataclass(frozen=True, slots=True)
class Ratings:
    """The plot of all ratings over one axis in Elo points."""

    width: int
    height: int
    ticks: tuple[tuple[float, str], ...]
    bars: tuple[RatingBar, ...]


def write_ranking_page(path: Path, found: Tournament, alone: int = 0) -> Path:
    """Write the page; it needs neither a network nor anything beside it, and runs no script.

    :param alone: prompts that only one model answered
    """
    page = environment().get_template("ranking.html")
    return write_page(
        page, path, asset("report.css"), "", found=found, ratings=ratings(found.ranking.places), elo=elo_ends,
        alone=alone,
    )  # fmt: skip


def elo_ends(place: Ranked) -> tuple[float, float] | None:
    """A rating's interval in Elo points."""
    ends = place.strength.ci95
    return None if ends is None else (float(elo(ends[0])), float(elo(ends[1])))


def ratings(places: tuple[Ranked, ...]) -> Ratings:
    """Lay out ratings, one below the other."""
    ends = {place.name: elo_ends(place) for place in places}
    known = [value for place in places for value in (place.elo, *(ends[place.name] or ()))]
    low, high = min(known), max(known)
    step = next(
        step for step in (10, 20, 50, 100, 200, 500, 1000, 10_000) if (high - low) / step <= 6 or step == 10_000
    )
    first, last = int(low // step) * step, -int(-high // step) * step
    last = max(last, first + step)

    def across(elo: float) -> float:
        return round(PAD + (elo - first) / (last - first) * (WIDTH - 2 * PAD), 1)

    bars = []
    for number, place in enumerate(places):
        found = ends[place.name]
        told = f"{place.name}: {place.elo:.0f}" + (f" [{found[0]:.0f}, {found[1]:.0f}]" if found else "")
        low_x, high_x = (across(found[0]), across(found[1])) if found else (None, None)
        bars.append(RatingBar(place.name, across(place.elo), ROW * number + ROW / 2, low_x, high_x, told))
    ticks = tuple((across(tick), str(tick)) for tick in range(first, last + 1, step))
    return Ratings(WIDTH, ROW * len(places) + 20, ticks, tuple(bars))
