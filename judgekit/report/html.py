"""``report.html``: one file that needs neither a network nor anything beside it."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, Template
from markupsafe import Markup

from judgekit.report.figures import shown
from judgekit.report.page import read_page
from judgekit.report.results_table import METRICS, heading, percent
from judgekit.report.shown_text import count, duration, moment, plain, shortened
from judgekit.run_folder import RunFolder
from judgekit.stats.bootstrap import Estimate


def build_report(run_dir: Path) -> Path:
    """Write ``report.html`` into a run's folder, from whatever the run has left there so far.

    Text from outside is only ever text: it is escaped, control characters are made visible, and the page's
    content security policy lets nothing run but its own script and nothing be fetched.

    :returns: the file's path
    :raises DataError: when the folder is no run or one of its files cannot be read
    """
    page = read_page(run_dir)
    return write_page(
        environment().get_template("run.html"),
        RunFolder(run_dir).report,
        asset("report.css"),
        asset("report.js") + asset("browser.js"),
        page=page,
        manifest=page.manifest,
        metrics=METRICS,
    )


def write_page(template: Template, target: Path, style: str, script: str, **values: Any) -> Path:
    """Write a page whole or not at all; the template also gets ``style``, ``script`` and the script's ``script_hash``.

    :returns: ``target``
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    html = template.render(style=Markup(style), script=Markup(script), script_hash=digest, **values)
    partial = target.with_name(target.name + ".partial")
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
    """What templates of reports are made with: everything is escaped, and control characters are made visible."""
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
    """Text of a file of ``assets/``."""
    return resources.files("judgekit.report").joinpath("assets", name).read_text(encoding="utf-8")
