"""Length control of Meta-Rewarding (arXiv 2407.19594, §2.2): among well-scored responses a short one is chosen."""

from __future__ import annotations

from typing import Literal

from judgekit.bias.base import CONTROLS, OFF, Control
from judgekit.schema.fields import setting

CONTROLS.add(
    "rho",
    Control(
        float | Literal["off"] | None,
        setting(
            None,
            "length: strength ρ of Meta-Rewarding's length control, in every iteration; null: as recipe.schedule says; "
            "off: best against worst, whatever recipe.schedule says",
            ge=0.0,
            le=1.0,
        ),
        off=OFF,
    ),
)
