"""Position: both response orders are judged and trained on."""

from __future__ import annotations

from judgekit.bias.base import CONTROLS, Control
from judgekit.schema.fields import setting

CONTROLS.add(
    "both_orders",
    Control(bool, setting(True, "position: judge and train on both response orders"), off=False),
)
