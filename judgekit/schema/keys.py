"""The dotted keys of a configuration: what each means, what it may hold, its default and its value."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union

from judgekit.errors import Problem
from judgekit.registry import nearest, sections_of, suggest
from judgekit.schema.fields import Allowed, allowed
from judgekit.schema.nodes import is_table, sections_in
from judgekit.schema.validation import bounds

_ANY = Allowed(doc="")


@dataclass(frozen=True)
class Key:
    """One section, entry or value of a configuration.

    :param path: dotted
    :param owner: the dataclass it is a field of; of an entry, the entry's own
    :param hint: its type
    :param limits: its documentation and range
    :param value: what it holds in this configuration
    """

    path: str
    owner: type[Any]
    hint: Any
    limits: Allowed
    default: Any
    value: Any

    @property
    def is_section(self) -> bool:
        """Whether it has keys of its own here."""
        return dataclasses.is_dataclass(self.value) or is_table(self.hint)

    @property
    def may_hold(self) -> str:
        """Type and range in words."""
        null = "or null" if type(None) in typing.get_args(self.hint) else ""
        return ", ".join(part for part in (type_words(self.hint), bounds(self.limits), null) if part)


def keys_of(config: Any) -> dict[str, Key]:
    """All keys of a configuration by their paths, a section before what it holds."""
    return {key.path: key for key in _fields(config, type(config)(), "")}


def _fields(value: Any, default: Any, prefix: str) -> Iterator[Key]:
    kind = type(value)
    # Of several dataclasses a section may be, another one than the default's may be chosen.
    default = default if isinstance(default, kind) else kind()
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        held, usual = getattr(value, field.name), getattr(default, field.name)
        key = Key(f"{prefix}{field.name}", kind, hints[field.name], allowed(field), usual, held)
        yield key
        if dataclasses.is_dataclass(held):
            yield from _fields(held, usual, f"{key.path}.")
        elif is_table(key.hint):
            (entry,) = sections_in(key.hint)
            for name, item in held.items():
                expected = usual.get(name, entry())
                yield Key(f"{key.path}.{name}", entry, entry, _ANY, expected, item)
                yield from _fields(item, expected, f"{key.path}.{name}.")


_WORDS: dict[Any, str] = {bool: "true or false", int: "whole number", float: "number", str: "text", Any: "any value"}


def type_words(hint: Any) -> str:
    """A type in words, without null where that is one more value."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    inner = [argument for argument in arguments if argument is not type(None)]
    if sections_of(hint) is not None:
        return "section chosen by its group"
    if origin in (Union, types.UnionType):
        return " or ".join(type_words(item).replace("one of ", "") for item in inner)
    if origin is Literal:
        return "one of " + ", ".join(str(choice) for choice in arguments)
    if origin in (list, tuple):
        fixed = origin is tuple and Ellipsis not in arguments
        return f"list of {f'{len(arguments)} values' if fixed else 'values'}, each {type_words(inner[0])}"
    if origin is dict:
        return f"names, each with {type_words(arguments[1])}"
    return _WORDS.get(hint, "section")


def unknown_key(path: str, keys: dict[str, Key]) -> Problem:
    """What is wrong with a key there is not, and the nearest that there is."""
    *_, last = path.split(".")
    above, part = "", path.partition(".")[0]
    for name in keys:
        if path.startswith(f"{name}.") and len(name) > len(above):
            above, part = name, path.removeprefix(f"{name}.").partition(".")[0]
    elsewhere = [name for name in keys if name.split(".")[-1] == last]
    return Problem(path, "unknown key", _other_kind(keys, above, part) or _nearest(keys, above, part, elsewhere))


def _other_kind(keys: dict[str, Key], above: str, part: str) -> str | None:
    """A field of another dataclass than the one chosen for a section."""
    found = sections_of(keys[above].hint) if above else None
    names = [name for name, kind in found.items() if part in typing.get_type_hints(kind)] if found else []
    group = above.rpartition(".")[2]
    choices = " or ".join(f"{group if group == above else f'{group}@{above}'}={name}" for name in names)
    return f"It is a field of {choices}" if names else None


def _nearest(keys: dict[str, Key], above: str, part: str, elsewhere: list[str]) -> str:
    if above and keys[above].value is None and any(sections_in(keys[above].hint)):
        group = above.rpartition(".")[2]
        return f"{above} is null here: choose one with {group}@{above}=NAME"
    prefix = f"{above}." if above else ""
    siblings = {name.removeprefix(prefix).partition(".")[0] for name in keys if name.startswith(prefix)} - {""}
    if elsewhere and (not above or nearest(part, siblings) is None):
        return f"Did you mean {' or '.join(repr(name) for name in elsewhere[:3])}?"
    return suggest(part, siblings, prefix)
