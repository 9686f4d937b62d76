"""``report.html``: one file that needs neither a network nor anything beside it."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import datetime
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from judgekit.report.judgments import OUTCOMES
from judgekit.report.page import read_page
from judgekit.report.table import METRICS, heading, percent

LONGEST_TEXT = 6_000
"""Characters of one text on the page; the files of the run hold it whole."""


def build_report(run_dir: Path) -> Path:
    """Write ``report.html`` into a run's folder, from whatever the run has left there so far.

    Text from outside is only ever text: it is escaped, control characters are made visible, and the page's
    content security policy lets nothing run but its own script and nothing be fetched.

    :returns: the file's path
    :raises DataError: when the folder is no run or one of its files cannot be read
    """
    script = _asset("report.js")
    page = read_page(run_dir)
    html = (
        _environment()
        .get_template("report.html")
        .render(
            page=page,
            manifest=page.manifest,
            metrics=METRICS,
            outcomes=OUTCOMES,
            style=Markup(_asset("report.css")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )
    target = run_dir / "report.html"
    partial = target.with_name("report.html.partial")
    partial.write_bytes(html.encode("utf-8", "replace"))  # JSON can carry lone surrogates, UTF-8 cannot
    partial.replace(target)
    return target


def plain(value: object) -> str:
    """Text as it can be shown: control and direction characters become marks such as ``⟨1B⟩`` or ``⟨202E⟩``."""
    text = "" if value is None else str(value).replace("\r\n", "\n")
    return re.sub(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", lambda found: f"⟨{ord(found[0]):02X}⟩", text
    )


def shortened(value: object) -> str:
    """Like :func:`plain`, cut to ``LONGEST_TEXT`` characters with a word on what is missing."""
    text = plain(value)
    rest = len(text) - LONGEST_TEXT
    return text if rest <= 0 else f"{text[:LONGEST_TEXT]} … ({rest:,} more characters)"


def duration(seconds: float | None) -> str:
    """Such as ``12 s``, ``3 min 20 s`` or ``2 h 05 min``; empty where unknown."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def count(value: float | None) -> str:
    """A whole number with thin spaces between thousands; a dash for none."""
    return "–" if value is None else f"{int(value):,}".replace(",", "\u2009")


def moment(value: object) -> str:
    """An ISO 8601 time to the second, such as ``2026-11-21 18:04:05 UTC``; other text as it is."""
    try:
        held = datetime.fromisoformat(str(value))
    except ValueError:
        return str(value)
    return f"{held:%Y-%m-%d %H:%M:%S} {held:%Z}".rstrip()


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("judgekit.report", "assets"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) else plain(value),
    )
    environment.filters.update(
        shortened=shortened, duration=duration, count=count, moment=moment, heading=heading, percent=percent
    )
    return environment


def _asset(name: str) -> str:
    return resources.files("judgekit.report").joinpath("assets", name).read_text(encoding="utf-8")
