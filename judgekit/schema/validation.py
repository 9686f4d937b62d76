"""From a plain mapping to config dataclasses, reporting every mistake at once.

The mapping comes from composed YAML and command-line overrides. Values are checked, never guessed at: the
only conversion is of numbers that YAML 1.1 reads as text (``1e-6`` without a decimal point).
"""

from __future__ import annotations

import dataclasses
import math
import operator
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast

from judgekit.errors import Problem
from judgekit.registry import Sections, nearest, sections_of, suggest
from judgekit.schema.fields import Allowed, allowed

T = TypeVar("T")
Sources = Callable[[str], str | None]
"""Where the value of a dotted key came from: a file or a command-line override."""

_SCIENTIFIC = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")
_KINDS: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def build(
    kind: type[T], mapping: Mapping[str, Any], key: str = "", sources: Sources = lambda _: None
) -> tuple[T, list[Problem]]:
    """Turn a mapping into a dataclass.

    :param kind: config dataclass, or the base of a register's, of which ``name`` tells one that must be there
    :param mapping: its values; missing keys take the defaults
    :param key: dotted path of the mapping inside the whole configuration
    :param sources: tells where a value came from
    :return: the dataclass, with defaults in place of wrong values; and all problems
    """
    value, problems = _Builder(sources).value(kind, mapping, key, Allowed(""))
    return cast(T, value), problems


_WRONG: Any = object()
"""In place of a value that is wrong; its section takes the default."""


class _Builder:
    """Carries ``sources`` through the recursion; every method returns a value and the problems found."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def section(self, kind: type[Any], value: Any, key: str) -> tuple[Any, list[Problem]]:
        if not isinstance(value, Mapping):
            return kind(), [self._wrong(key, value, "a section with keys")]
        types_by_name = _field_types(kind)
        values: dict[str, Any] = {}
        problems: list[Problem] = []
        order = {name: position for position, name in enumerate(types_by_name)}
        for name, given in sorted(value.items(), key=lambda item: order.get(item[0], len(order))):
            path = _join(key, str(name))
            if name not in types_by_name:
                hint = suggest(str(name), types_by_name, _join(key, ""))
                problems.append(Problem(path, "unknown key", hint, self._sources(path)))
                continue
            hint_type, limits = types_by_name[name]
            values[name], found = self.value(hint_type, given, path, limits)
            problems += found
        return kind(**{name: value for name, value in values.items() if value is not _WRONG}), problems

    def value(self, hint: Any, value: Any, key: str, limits: Allowed) -> tuple[Any, list[Problem]]:
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if (kinds := sections_of(hint)) is not None:
            optional = value is None and type(None) in arguments
            return (None, []) if optional else self._named(kinds, value, key)
        if dataclasses.is_dataclass(hint):
            return self.section(cast(type[Any], hint), value, key)
        if origin in (Union, types.UnionType):
            if value is None and type(None) in arguments:
                return None, []
            return self._either([item for item in arguments if item is not type(None)], value, key, limits)
        if hint is Any:
            return value, []
        if origin is Literal:
            return self._choice(arguments, value, key)
        if origin in (list, tuple):
            return self._sequence(origin, arguments, value, key, limits)
        if origin is dict:
            return self._table(arguments[1], value, key, limits)
        return self._scalar(hint, value, key, limits)

    def _either(self, hints: list[Any], value: Any, key: str, limits: Allowed) -> tuple[Any, list[Problem]]:
        """A value of one of several types; what is wrong with it is told of the first."""
        found = [self.value(hint, value, key, limits) for hint in hints]
        return next((one for one in found if not one[1]), found[0])

    def _named(self, kinds: Sections[Any], value: Any, key: str) -> tuple[Any, list[Problem]]:
        """A section whose ``name`` says which dataclass it is."""
        if not isinstance(value, Mapping):
            return _WRONG, [self._wrong(key, value, "a section with keys")]
        name, path = value.get("name"), _join(key, "name")
        if not isinstance(name, str) or name not in kinds:
            return _WRONG, [replace(kinds.unknown(name, path), source=self._sources(path))]
        return self.section(kinds[name], value, key)

    def _choice(self, choices: tuple[Any, ...], value: Any, key: str) -> tuple[Any, list[Problem]]:
        if value in choices:
            return value, []
        close = nearest(str(value), [str(choice) for choice in choices])
        hint = f"Did you mean '{close}'?" if close is not None else None
        listed = ", ".join(str(choice) for choice in choices)
        return _WRONG, [Problem(key, f"{value!r} is not one of {listed}", hint, self._sources(key))]

    def _sequence(
        self, origin: type[Any], arguments: tuple[Any, ...], value: Any, key: str, limits: Allowed
    ) -> tuple[Any, list[Problem]]:
        if not isinstance(value, list | tuple):
            return _WRONG, [self._wrong(key, value, "a list")]
        fixed = origin is tuple and Ellipsis not in arguments
        if fixed and len(value) != len(arguments):
            return _WRONG, [self._wrong(key, value, f"a list of {len(arguments)} values")]
        hints = arguments if fixed else (arguments[0],) * len(value)
        pairs = [
            self.value(hint, item, f"{key}[{index}]", limits)
            for index, (hint, item) in enumerate(zip(hints, value, strict=True))
        ]
        problems = [problem for _, found in pairs for problem in found]
        return _WRONG if problems else origin(item for item, _ in pairs), problems

    def _table(self, hint: Any, value: Any, key: str, limits: Allowed) -> tuple[Any, list[Problem]]:
        if not isinstance(value, Mapping):
            return _WRONG, [self._wrong(key, value, "a section with keys")]
        # An overlay can only add to a mapping, so null is how it takes an entry away.
        entries = {str(name): given for name, given in value.items() if given is not None}
        built = {name: self.value(hint, given, _join(key, name), limits) for name, given in entries.items()}
        problems = [problem for _, found in built.values() for problem in found]
        return {name: item for name, (item, _) in built.items() if item is not _WRONG}, problems

    def _scalar(self, kind: Any, value: Any, key: str, limits: Allowed) -> tuple[Any, list[Problem]]:
        if kind is float and isinstance(value, str) and _SCIENTIFIC.fullmatch(value):
            value = float(value)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            return _WRONG, [self._wrong(key, value, _KINDS[kind])]
        if limits.names is not None and value not in limits.names:
            return _WRONG, [replace(limits.names.unknown(value, key), source=self._sources(key))]
        message = _outside(value, limits)
        return (_WRONG, [Problem(key, message, None, self._sources(key))]) if message else (value, [])

    def _wrong(self, key: str, value: Any, wanted: str) -> Problem:
        hint = None
        if wanted == _KINDS[str] and isinstance(value, bool | int | float):
            hint = f"Quote it: {key}=\"'{value}'\""
        shown = "null" if value is None else repr(value)
        return Problem(key, f"{shown} is not {wanted}", hint, self._sources(key))


def _field_types(kind: type[Any]) -> dict[str, tuple[Any, Allowed]]:
    hints = typing.get_type_hints(kind)
    return {field.name: (hints[field.name], allowed(field)) for field in dataclasses.fields(kind)}


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _outside(value: Any, limits: Allowed) -> str | None:
    """Why a value is not allowed, None when it is."""
    if isinstance(value, str):
        return f"nothing is at '{value}'" if limits.path and not Path(value).exists() else None
    if isinstance(value, bool):
        return None
    if not math.isfinite(value):
        return f"{value} is not a finite number"
    if all(compare(value, bound) for bound, _, compare in _stated(limits)):
        return None
    return f"{value} is out of range; allowed: {bounds(limits)}"


def bounds(limits: Allowed) -> str:
    """A range in words, empty where there is none."""
    return " and ".join(f"{words} {bound:g}" for bound, words, _ in _stated(limits))


def _stated(limits: Allowed) -> list[tuple[float, str, Callable[[Any, Any], bool]]]:
    possible = [
        (limits.ge, "at least", operator.ge),
        (limits.gt, "more than", operator.gt),
        (limits.le, "at most", operator.le),
        (limits.lt, "less than", operator.lt),
    ]
    return [(bound, words, compare) for bound, words, compare in possible if bound is not None]
