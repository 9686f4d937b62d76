"""Text from outside and numbers, as the report shows them."""

from __future__ import annotations

import re
from datetime import datetime

LONGEST_TEXT = 6_000
"""Characters of one text on the page; the files of the run hold it whole."""

_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def plain(value: object) -> str:
    """Text as it can be shown: control and direction characters become marks such as ``⟨1B⟩`` or ``⟨202E⟩``.

    So do lone surrogates, which JSON can carry and UTF-8 cannot.
    """
    text = "" if value is None else str(value).replace("\r\n", "\n")
    return _INVISIBLE.sub(lambda found: f"⟨{ord(found[0]):02X}⟩", text)


def shortened(value: object, longest: int = LONGEST_TEXT) -> str:
    """Like :func:`plain`, cut to ``longest`` characters with a word on what is missing."""
    text = "" if value is None else str(value)
    rest = len(text) - longest
    return plain(text) if rest <= 0 else f"{plain(text[:longest])} … ({rest:,} more characters)"


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


def markdown_cell(text: str) -> str:
    """Outside text inside a markdown table."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
