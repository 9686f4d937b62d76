"""Position: instructions whose judgments conflict between the orders are left out."""

from __future__ import annotations

from typing import Any

from judgekit.bias.base import CONTROLS, Control
from judgekit.errors import Problem
from judgekit.schema.fields import setting


def _unseen(bias: Any) -> list[Problem]:
    if bias.both_orders or not bias.drop_conflicting:
        return []
    message = "conflicts between orders can only be seen when both are judged"
    return [Problem("drop_conflicting", message, "Add bias.both_orders=true")]


CONTROLS.add(
    "drop_conflicting",
    Control(
        bool,
        setting(False, "position: train only on instructions with a correct chain in both orders"),
        off=False,
        problems=_unseen,
    ),
)
