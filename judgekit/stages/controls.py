"""Bias controls that are rules on single rows, as fields of the stages that apply them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from judgekit.bias.base import CONTROLS
from judgekit.rows import Judgment, ResponsePair
from judgekit.stages.stage import Read, Switched
from judgekit.store import Workspace

Row = TypeVar("Row", ResponsePair, Judgment)


@dataclass(frozen=True)
class RowControls(Switched):
    """The controls with a rule of one kind. Those that are off are in no key, so that a new one changes none.

    :param rule: ``pair_fault`` or ``judgment_fault``
    :param values: by control
    """

    rule: Literal["pair_fault", "judgment_fault"]
    values: dict[str, Any]

    @property
    def on(self) -> dict[str, Any]:
        """Those that are on."""
        return {name: value for name, value in self.values.items() if value not in (None, CONTROLS[name].off)}

    def kept(self, rows: Iterable[Row], workspace: Workspace) -> list[Row]:
        """The rows without a fault; the others are counted by reason."""
        kept, dropped = [], Counter[str]()
        for row in rows:
            reason = self._fault(row)
            if reason is None:
                kept.append(row)
            else:
                dropped[reason] += 1
        for reason, count in dropped.items():
            workspace.drop(reason, count)
        return kept

    def _fault(self, row: ResponsePair | Judgment) -> str | None:
        for name, value in self.on.items():
            fault: Callable[[Any, Any], str | None] | None = getattr(CONTROLS[name], self.rule)
            reason = fault(value, row) if fault is not None else None
            if reason is not None:
                return f"{reason} (bias.{name})"
        return None


def row_controls(rule: Literal["pair_fault", "judgment_fault"]) -> Any:
    """A field with the controls that have such a rule, filled in from ``bias``."""

    def places() -> RowControls:
        names = [name for name, control in CONTROLS.items() if getattr(control, rule) is not None]
        return RowControls(rule, {name: Read(f"bias.{name}") for name in names})

    return dataclasses.field(default_factory=places)
