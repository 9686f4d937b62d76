"""``report.html``: one file that needs neither a network nor anything beside it."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from judgekit.evaluation.bootstrap import Estimate
from judgekit.report.figures import shown
from judgekit.report.page import read_page
from judgekit.report.table import METRICS, heading, percent
from judgekit.report.text import count, duration, moment, plain, shortened


def build_report(run_dir: Path) -> Path:
    """Write ``report.html`` into a run's folder, from whatever the run has left there so far.

    Text from outside is only ever text: it is escaped, control characters are made visible, and the page's
    content security policy lets nothing run but its own script and nothing be fetched.

    :returns: the file's path
    :raises DataError: when the folder is no run or one of its files cannot be read
    """
    script = asset("report.js") + asset("browser.js")
    page = read_page(run_dir)
    html = (
        environment()
        .get_template("report.html")
        .render(
            page=page,
            manifest=page.manifest,
            metrics=METRICS,
            style=Markup(asset("report.css")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )
    target = run_dir / "report.html"
    partial = target.with_name("report.html.partial")
    partial.write_bytes(html.encode("utf-8"))
    partial.replace(target)
    return target


def share(value: float | None) -> str:
    """A number between -1 and 1 with two decimals; a dash where there is none."""
    return "–" if value is None else f"{value:.2f}"


def ends(estimate: Estimate, in_percent: bool = True) -> str:
    """The interval of a number, such as ``[45.0, 61.2]``; empty where there is none."""
    written = percent if in_percent else share
    return "" if estimate.ci95 is None else f"[{written(estimate.ci95[0])}, {written(estimate.ci95[1])}]"


def environment() -> Environment:
    """Templates and filters of pages; text from outside is escaped, control characters are made visible."""
    environment = Environment(
        loader=PackageLoader("judgekit.report", "assets"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) else plain(value),
    )
    environment.filters.update(
        shortened=shortened,
        duration=duration,
        count=count,
        moment=moment,
        heading=heading,
        percent=percent,
        share=share,
        ends=ends,
        rated=shown,
    )
    return environment


def asset(name: str) -> str:
    """A style sheet or script that pages hold."""
    return resources.files("judgekit.report").joinpath("assets", name).read_text(encoding="utf-8")
