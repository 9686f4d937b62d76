"""The report of a sweep in a real browser: drawn, sortable, without a word on the console or a request."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from judgekit.report.sweep.page import build_sweep_report
from tests.integration.test_report_browser import Visit
from tests.report.run_folder import HOSTILE
from tests.report.sweep_folder import make_sweep

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.integration

SECONDS = 5.0
"""For the report of 500 runs to be written, and for its page to be drawn."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    grid = {"recipe.plans": [1, 3, 5], "recipe.executions": [2, 4], "loss": ["dpo", HOSTILE], "seed": [1, 2]}
    return build_sweep_report(make_sweep(tmp_path_factory.mktemp("browser") / "sweep", grid, failed={3}, missing={20}))


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    made = Visit(chromium, viewport={"width": 1240, "height": 900})
    yield made
    made.page.close()
    assert made.trouble == []
    assert len({url.partition("#")[0] for url in made.asked}) <= 1 and all(
        url.startswith("file:") for url in made.asked
    )


def opened(visit: Visit, report: Path) -> Page:
    visit.page.goto(report.as_uri())
    return visit.page


def test_everything_is_drawn_in_its_place(visit: Visit, report: Path) -> None:
    page = opened(visit, report)
    charts = page.locator("svg.chart")
    assert charts.count() == 2 * 3 + 2
    inside = """svg => {
      const box = svg.getBoundingClientRect();
      return [...svg.querySelectorAll(".mark, text")].every((one) => {
        const at = one.getBoundingClientRect();
        return at.left >= box.left - 6 && at.right <= box.right + 6
          && at.top >= box.top - 6 && at.bottom <= box.bottom + 6;
      });
    }"""
    assert all(chart.evaluate(inside) for chart in charts.all())
    apart = """svg => {
      const labels = [...svg.querySelectorAll("text")].map((one) => one.getBoundingClientRect());
      return labels.every((a, i) => labels.every((b, j) => i >= j || a.right <= b.left || b.right <= a.left
        || a.bottom <= b.top + 1 || b.bottom <= a.top + 1));
    }"""
    assert all(chart.evaluate(apart) for chart in charts.all())
    assert page.title() == "sweep · judgekit"
    assert page.locator("img, iframe").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_themes(visit: Visit, report: Path, scheme: str) -> None:
    visit.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page = opened(visit, report)
    contrast = """cell => {
      const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
      const luminance = (color) => {
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((value) => {
          const share = value / 255;
          return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const style = getComputedStyle(cell);
      const pair = [luminance(style.color), luminance(style.backgroundColor)].sort((a, b) => b - a);
      return (pair[0] + 0.05) / (pair[1] + 0.05);
    }"""
    cells = page.locator(".heat td:not(.none)").all()
    assert cells and min(cell.evaluate(contrast) for cell in cells) > 4.5


def test_tables_sort_and_runs_are_found(visit: Visit, report: Path) -> None:
    page = opened(visit, report)
    head = page.locator("table.settings th button", has_text="tokens")
    rows = "[...document.querySelectorAll('table.settings tbody tr')]"
    values = f"() => {rows}.map((row) => Number(row.cells[8].dataset.value))"
    for wanted in (1, -1):
        head.click()
        found = page.evaluate(values)
        assert found == sorted(found, reverse=wanted < 0) and len(found) == 12
    page.fill("#find input", "failed")
    assert page.inner_text("#find output") == "1 of 24"
    assert page.locator("#runs tbody tr:visible").count() == 1
    page.locator("#runs tbody tr a").first.evaluate("one => one.href")
    page.fill("#find input", "")
    assert page.locator("#runs tbody tr:visible").count() == 24


@pytest.mark.parametrize("width", [400, 1240, 2000])
def test_the_page_never_scrolls_sideways(visit: Visit, report: Path, width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 900})
    page = opened(visit, report)
    page.evaluate("() => { for (const one of document.querySelectorAll('details')) one.open = true; }")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_paper_holds_the_whole_tables(visit: Visit, report: Path) -> None:
    page = opened(visit, report)
    page.emulate_media(media="print")
    hidden = (
        "() => [...document.querySelectorAll('.tall')].filter((one) => one.scrollHeight > one.clientHeight + 1).length"
    )
    assert page.evaluate(hidden) == 0 and page.locator("#find").is_hidden()


def test_without_scripts_everything_but_sorting_is_there(chromium: Browser, report: Path) -> None:
    page = chromium.new_page(java_script_enabled=False)
    page.goto(report.as_uri())
    assert page.locator("svg.chart").count() == 8 and page.locator("#runs tbody tr").count() == 24
    page.close()


def test_five_hundred_runs(visit: Visit, tmp_path: Path) -> None:
    grid = {
        "recipe.plans": [1, 2, 3, 4, 5], "recipe.executions": [2, 4, 6, 8], "bias.rho": [0, 0.1, 0.2, 0.3, 0.4],
        "seed": [1, 2, 3, 4, 5],
    }  # fmt: skip
    folder = make_sweep(tmp_path / "sweep", grid, pairs=30, words=100)
    began = time.monotonic()
    report = build_sweep_report(folder)
    written = time.monotonic() - began
    page = opened(visit, report)
    assert page.locator("#runs tbody tr").count() == 500
    drawn = page.evaluate("performance.now() / 1000")
    print(json.dumps({"written": written, "drawn": drawn, "MB": report.stat().st_size / 1e6}))
    assert written < SECONDS and drawn < SECONDS
