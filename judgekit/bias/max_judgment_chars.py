"""Length: long judgments are not chosen."""

from __future__ import annotations

from typing import Literal

from judgekit.bias.base import CONTROLS, OFF, Control
from judgekit.schema.fields import setting

CONTROLS.add(
    "max_judgment_chars",
    Control(
        int | Literal["off"] | None,
        setting(
            None,
            "length: drop chosen judgments over this many characters; null: as recipe.schedule says, where there is "
            "one; off: none",
            ge=1,
        ),
        off=OFF,
    ),
)
