"""The defaults of the config dataclasses as Hydra configs, so that YAML holds only what differs.

Every config dataclass is a config of its own name in Hydra's ``ConfigStore``. ``conf/config.yaml`` begins with
``RunConfig``; a file whose section may be one of several dataclasses, or may stand at several places, names its
own, as in ``defaults: [/ModelConfig@_here_]``.

The nodes are plain mappings without types. OmegaConf's types would refuse what the command line adds to a mapping of
sections, and values are checked by ``judgekit.schema.validation`` alone, which tells every mistake at once.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Iterable, Iterator
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig

from judgekit.bias.base import switched_off
from judgekit.registry import sections_of
from judgekit.schema.config import RunConfig
from judgekit.schema.evaluation import EvalConfig
from judgekit.schema.launchers import LAUNCHERS

ROOTS: tuple[type[Any], ...] = (RunConfig, EvalConfig, *LAUNCHERS.values())
"""Dataclasses that all others are reached from."""


@functools.cache
def register() -> None:
    """Store a node for every config dataclass; further calls do nothing."""
    for kind in kinds():
        ConfigStore.instance().store(name=kind.__name__, node=section(kind()))
    ConfigStore.instance().store(group="bias", name="none", node=switched_off())


def kinds() -> list[type[Any]]:
    """Every config dataclass, members of families included."""
    found: dict[type[Any], None] = {}
    waiting = list(ROOTS)
    while waiting:
        kind = waiting.pop()
        if kind not in found:
            found[kind] = None
            hints = typing.get_type_hints(kind)
            waiting += [inner for field in dataclasses.fields(kind) for inner in sections_in(hints[field.name])]
    names = [kind.__name__ for kind in found]
    assert len(set(names)) == len(names), "config dataclasses need names of their own"
    return list(found)


def section(value: Any) -> dict[str, Any]:
    """The values of a dataclass, without the sections a file has to choose a dataclass for."""
    hints = typing.get_type_hints(type(value))
    given = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    kept = {name: item for name, item in given.items() if item is None or sections_of(hints[name]) is None}
    return {name: _table(item) if isinstance(item, dict) else _plain(item) for name, item in kept.items()}


def _table(value: dict[str, Any]) -> DictConfig:
    """Hydra closes mappings to keys they do not hold, and an entry's fields need not all be written out."""
    return DictConfig(_plain(value), flags={"struct": False})


def _plain(value: Any) -> Any:
    """A default as YAML would hold it."""
    if dataclasses.is_dataclass(value):
        return section(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def is_table(hint: Any) -> bool:
    """Whether a field holds sections by name."""
    return typing.get_origin(hint) is dict and any(sections_in(typing.get_args(hint)[1]))


def sections_in(hint: Any) -> Iterator[type[Any]]:
    """The dataclasses a field may hold, alone or in a mapping."""
    found = sections_of(hint)
    if found is not None:
        yield from found.values()
    elif dataclasses.is_dataclass(hint):
        yield typing.cast(type[Any], hint)
    else:
        arguments: Iterable[Any] = typing.get_args(hint)
        for argument in arguments:
            yield from sections_in(argument)
