"""What a bias control is, and their register."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from judgekit.errors import Problem
from judgekit.registry import Register
from judgekit.rows import Judgment, ResponsePair

OFF = "off"
"""Switches a control off whatever else would set it (``recipe.schedule``); null leaves it to that."""


@dataclass(frozen=True)
class Control:
    """A field of ``bias``. Some are rules on single rows, which every recipe applies; others a recipe reads itself.

    :param kind: the field's type
    :param field: as ``setting`` makes it, with the control's default
    :param off: the value with which it does nothing
    :param pair_fault: why a response pair is left out, given the control's value; None: it stays
    :param judgment_fault: likewise a judgment that would be learned from
    :param problems: values of ``bias`` it does not go with; keys are those of its fields
    """

    kind: Any
    field: Any
    off: Any
    pair_fault: Callable[[Any, ResponsePair], str | None] | None = None
    judgment_fault: Callable[[Any, Judgment], str | None] | None = None
    problems: Callable[[Any], list[Problem]] | None = None


CONTROLS: Register[Control] = Register("bias control", "judgekit.bias")


def _fields() -> list[tuple[str, Any, Any]]:
    return [(name, control.kind, control.field) for name, control in CONTROLS.items()]


def switched_off() -> dict[str, Any]:
    """``bias=none``: every control off."""
    return {name: control.off for name, control in CONTROLS.items()}


if TYPE_CHECKING:

    @dataclass(frozen=True)
    class BiasConfig:
        """``bias``: bias controls, a field each."""

        def __getattr__(self, name: str) -> Any: ...
        def problems(self) -> list[Problem]:
            """Controls that do not go with each other."""
            ...


def bias_config() -> type[BiasConfig]:
    """The dataclass of all controls there are; from then on none can be added.

    :raises PluginError: a plugin cannot be imported
    """

    def problems(self: Any) -> list[Problem]:
        checks = [control.problems for control in CONTROLS.values() if control.problems is not None]
        return [problem for check in checks for problem in check(self)]

    space = {"__doc__": "``bias``: bias controls.", "__module__": __name__, "problems": problems}
    made: Any = dataclasses.make_dataclass("BiasConfig", _fields(), frozen=True, namespace=space)
    CONTROLS.close()
    return made  # type: ignore[no-any-return]
