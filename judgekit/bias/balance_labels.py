"""Position: as many judgments to imitate that name the first response as the second."""

from __future__ import annotations

from judgekit.bias.base import CONTROLS, Control
from judgekit.schema.fields import setting

CONTROLS.add(
    "balance_labels",
    Control(
        bool,
        setting(False, "position: equal numbers of A and B verdicts among judgments to imitate"),
        off=False,
    ),
)
