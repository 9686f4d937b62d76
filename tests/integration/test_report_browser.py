"""The report in a real browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from judgekit.report import build_report
from tests.report.run_folder import make_run

pytestmark = pytest.mark.integration


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        reason = "no Chromium on the path; install the package chromium"
        if "CI" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_report(make_run(tmp_path_factory.mktemp("browser") / "run"))


def page_after_scripts(chromium: str, page: Path, profile: Path, width: int = 1240) -> str:
    """The document as the browser holds it after its scripts ran."""
    flags = "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-sync --no-first-run"
    command = [chromium, *flags.split(), f"--user-data-dir={profile}", f"--window-size={width},1200", "--dump-dom"]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def probed(report: Path, folder: Path, script: str) -> Path:
    """A copy of the report that also runs ``script``, which its own policy would forbid."""
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", report.read_text(encoding="utf-8"))
    copy = folder / "probed.html"
    copy.write_text(html.replace("</body>", f"<script>{{{script}}}</script></body>"), encoding="utf-8")
    return copy


def test_hostile_text_does_nothing_and_the_filters_appear(chromium: str, report: Path, tmp_path: Path) -> None:
    held = page_after_scripts(chromium, report, tmp_path)
    assert "<title>demo · judgekit</title>" in held
    assert "<output>8 of 8 pairs</output>" in held
    assert '<form id="filters">' in held


def test_hostile_text_does_nothing_even_without_the_policy(chromium: str, report: Path, tmp_path: Path) -> None:
    held = page_after_scripts(chromium, probed(report, tmp_path, ""), tmp_path / "profile")
    assert "<title>demo · judgekit</title>" in held


def test_filters_leave_only_what_fits(chromium: str, report: Path, tmp_path: Path) -> None:
    script = """
    const form = document.getElementById("filters");
    form.elements.judge.value = "dpo2";
    form.elements.outcome.value = "invalid";
    form.dispatchEvent(new Event("change"));
    const rows = [...document.querySelectorAll(".judge:not([hidden])")];
    document.title = JSON.stringify([...new Set(rows.map((row) => row.dataset.judge + " " + row.dataset.outcome))]);
    """
    held = page_after_scripts(chromium, probed(report, tmp_path, script), tmp_path / "profile")
    assert '<title>["dpo2 invalid"]</title>' in held
    assert "<output>1 of 8 pairs</output>" in held


@pytest.mark.parametrize("width", [500, 1240])
def test_the_page_never_scrolls_sideways(chromium: str, report: Path, tmp_path: Path, width: int) -> None:
    script = "document.title = document.documentElement.scrollWidth - innerWidth;"
    held = page_after_scripts(chromium, probed(report, tmp_path, script), tmp_path / "profile", width)
    over = re.search(r"<title>(-?\d+)</title>", held)
    assert over is not None
    assert int(over[1]) <= 0


def test_a_chart_reads_its_values_out(chromium: str, report: Path, tmp_path: Path) -> None:
    script = """
    const svg = document.querySelector("svg.curve");
    const box = svg.getBoundingClientRect();
    svg.dispatchEvent(new PointerEvent("pointermove", { clientX: box.right, clientY: box.top }));
    document.title = svg.closest("figure").querySelector("output").textContent;
    """
    held = page_after_scripts(chromium, probed(report, tmp_path, script), tmp_path / "profile")
    assert re.search(r"<title>0\.\d+ at step 60</title>", held)
