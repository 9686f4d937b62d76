"""Length: pairs with a long response are left out."""

from __future__ import annotations

from typing import Literal

from judgekit.bias.base import CONTROLS, OFF, Control
from judgekit.schema.fields import setting

CONTROLS.add(
    "max_response_chars",
    Control(
        int | Literal["off"] | None,
        setting(
            None,
            "length: drop pairs with a response over this many characters; null: as recipe.schedule says, where there "
            "is one; off: none",
            ge=1,
        ),
        off=OFF,
    ),
)
