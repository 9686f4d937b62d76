"""Field descriptions for config dataclasses: what a value means and what is allowed, next to its type."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from judgekit.registry import Register

METADATA_KEY = "judgekit"


@dataclass(frozen=True, slots=True)
class Allowed:
    """What one config field may hold beyond its type.

    :param doc: one sentence for people
    :param ge: smallest allowed number, inclusive; ``gt`` exclusive; ``le`` and ``lt`` likewise from above
    :param path: the value names a file or folder that must exist (when it is not null)
    :param rounding: it changes results by rounding alone, so it is recorded with a stage and no part of its key
    :param unkeyed: why it cannot change any result; None: it can
    :param names: the value is a name in this register
    :param off: with this value the field is in no stage's key: that of fields that came when stages were stored already
    """

    doc: str
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    path: bool = False
    rounding: bool = False
    unkeyed: str | None = None
    names: Register[Any] | None = None
    off: Any = ...


def setting(default: Any, doc: str, **allowed: Any) -> Any:
    """A dataclass field with its documentation and range.

    :param default: the default value; a list, dict or callable class becomes a default factory
    """
    metadata = {METADATA_KEY: Allowed(doc, **allowed)}
    if isinstance(default, list | dict):
        held = default
        return dataclasses.field(default_factory=lambda: type(held)(held), metadata=metadata)
    if isinstance(default, type):
        factory: Callable[[], Any] = default
        return dataclasses.field(default_factory=factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def allowed(field: dataclasses.Field[Any]) -> Allowed:
    """The ``Allowed`` of a field; fields declared without ``setting`` have no limits."""
    found = field.metadata.get(METADATA_KEY)
    return found if isinstance(found, Allowed) else Allowed(doc="")
