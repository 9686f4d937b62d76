"""A configuration that remembers which of its fields were looked at, and stages filled in from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

from judgekit.bias.base import OFF
from judgekit.stages.stage import Made, Read

T = TypeVar("T")


class Watched:
    """A section of a configuration. Attributes are its fields; looking at one notes its dotted key.

    Sections and tables of sections in it are watched too, so that handing one on is not yet looking at it.
    """

    def __init__(self, section: Any, place: str, seen: set[str]) -> None:
        """Watch ``section``, which is found at ``place``."""
        self._section, self._place, self._seen = section, place, seen

    def __getattr__(self, name: str) -> Any:
        found = getattr(type(self._section), name, None)
        if isinstance(found, property) and found.fget is not None:
            return found.fget(self)  # looks at fields of its own
        return _watch(getattr(self._section, name), _join(self._place, name), self._seen)


class WatchedTable(Mapping[str, Any]):
    """A table of sections by name, in their order."""

    def __init__(self, table: Mapping[str, Any], place: str, seen: set[str]) -> None:
        """Watch ``table``, which is found at ``place``."""
        self._section, self._place, self._seen = table, place, seen

    def __getitem__(self, name: str) -> Any:
        return _watch(self._section[name], _join(self._place, name), self._seen)

    def __iter__(self) -> Iterator[str]:
        """Names in order."""
        return iter(self._section)

    def __len__(self) -> int:
        """Sections."""
        return len(self._section)


def _watch(value: Any, place: str, seen: set[str]) -> Any:
    if dataclasses.is_dataclass(value):
        return Watched(value, place, seen)
    if isinstance(value, Mapping) and any(dataclasses.is_dataclass(item) for item in value.values()):
        return WatchedTable(value, place, seen)
    seen.add(place)
    return value


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def value_at(config: Any, path: str) -> Any:
    """The value of a dotted key."""
    for part in path.split("."):
        config = config[part] if isinstance(config, Mapping) else getattr(config, part)
    return config


def filled(value: T, config: Any, reads: set[str]) -> T:
    """``value`` with every place it names in the configuration replaced by what stands there.

    :param value: a stage, or anything in one
    :param reads: receives the keys that were looked up, and those of whole sections in it
    """
    return cast(T, _fill(value, config, reads))


def _fill(value: Any, config: Any, reads: set[str]) -> Any:
    if isinstance(value, Read):
        reads.add(value.path)
        found = value_at(config, value.path)
        return None if found == OFF else found  # what would set it otherwise is not asked
    if isinstance(value, Watched | WatchedTable):
        reads.add(value._place)
        return value._section
    if dataclasses.is_dataclass(value) and not isinstance(value, type | Made):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
        changed = {name: new for name, old in fields.items() if (new := _fill(old, config, reads)) is not old}
        return dataclasses.replace(value, **changed) if changed else value
    if type(value) is tuple:
        items = tuple(_fill(item, config, reads) for item in value)
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if type(value) is dict:
        return {name: _fill(item, config, reads) for name, item in value.items()}
    return value
