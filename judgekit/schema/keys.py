"""The dotted keys of a configuration: what each means, what it may hold, its default and its value."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union

from judgekit.schema.fields import Allowed, allowed
from judgekit.schema.nodes import is_table, sections_in
from judgekit.schema.validation import bounds, family

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
        return ", ".join(part for part in (type_words(self.hint), bounds(self.limits)) if part)


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


_WORDS: dict[Any, str] = {bool: "true or false", int: "whole number", float: "number", str: "text"}


def type_words(hint: Any) -> str:
    """A type in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    inner = [argument for argument in arguments if argument is not type(None)]
    if family(hint) is not None:
        words = "section chosen by its group"
    elif origin in (Union, types.UnionType):
        words = type_words(inner[0])
    elif origin is Literal:
        words = "one of " + ", ".join(str(choice) for choice in arguments)
    elif origin in (list, tuple):
        fixed = origin is tuple and Ellipsis not in arguments
        words = f"list of {f'{len(arguments)} ' if fixed else ''}({type_words(inner[0])})"
    elif origin is dict:
        words = f"mapping of names to ({type_words(arguments[1])})"
    else:
        words = _WORDS.get(hint, "section")
    return f"{words}, or null" if type(None) in arguments else words
