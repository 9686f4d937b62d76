"""Length: pairs of which one response is much longer than the other are left out."""

from __future__ import annotations

from judgekit.bias.base import CONTROLS, Control
from judgekit.rows import ResponsePair
from judgekit.schema.fields import setting


def _uneven(limit: float, pair: ResponsePair) -> str | None:
    short, long = sorted((len(pair.response_a), len(pair.response_b)))
    return "one response much longer" if long > limit * short else None


CONTROLS.add(
    "length_gap",
    Control(
        float | None,
        setting(None, "length: drop pairs of which one response is over so many times as long; null: none", ge=1.0),
        off=None,
        pair_fault=_uneven,
    ),
)
