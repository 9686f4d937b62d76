"""Reasoning: what the author of a response thought before answering is not judged."""

from __future__ import annotations

from judgekit.bias.base import CONTROLS, Control
from judgekit.schema.fields import setting

CONTROLS.add(
    "strip_thoughts",
    Control(
        bool,
        setting(
            False,
            "reasoning: take the thoughts (<think>...</think> and the like) out of the responses under judgment; "
            "judge.strip_thoughts in an evaluation",
        ),
        off=False,
    ),
)
