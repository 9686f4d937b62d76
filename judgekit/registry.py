"""Registers: prompts, losses, samplers, benchmarks, bias controls and recipes, each added by the file that defines it.

Nothing else lists them. A register is filled when it is first looked into, from the modules of judgekit's own package
of its kind and from *plugins*: modules that other installed packages name as entry points ::

    [project.entry-points."judgekit.plugins"]
    my_judges = "my_judges"

Such a module registers things, or imports those that do, and nothing that is made of all of them: ``RunConfig`` has a
field for every bias control, those of plugins included, so ``judgekit.schema.config`` and ``judgekit.stages``, which
builds on it, are imported by what runs later, never by what registers. A folder ``conf`` beside its file (inside a
package, beside ``__init__.py``) is searched by Hydra after judgekit's own.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import pkgutil
import sys
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from judgekit.errors import ConfigError, PluginError, Problem

GROUP = "judgekit.plugins"
"""The entry-point group of plugins."""
LIGHT = (
    "A module that registers things may import neither judgekit.schema.config nor judgekit.stages, which are made of "
    "all that is registered: name the code that runs as function = 'MODULE:FUNCTION', and write checks in checks.py"
)
"""The rule for such modules, with the remedy."""

T = TypeVar("T")


class Register(Mapping[str, T], Generic[T]):
    """Things of one kind by name, in alphabetical order.

    :param what: what one of them is called in messages
    :param package: judgekit's own package of modules that define such things
    """

    def __init__(self, what: str, package: str) -> None:
        self.what, self._package = what, package
        self._things: dict[str, tuple[T, str]] = {}
        self._full = self._closed = False

    def add(self, name: str, thing: T) -> None:
        """Add a thing where it is defined.

        :raises PluginError: another one has this name
        """
        caller = sys._getframe(1)
        self._add(name, thing, f"{caller.f_globals['__name__']}, line {caller.f_lineno}")

    def _add(self, name: str, thing: T, place: str) -> None:
        known = self._things.get(name, (thing, place))[1]
        if known != place:
            raise PluginError(f"Two things ({self.what}) are named '{name}': in {known} and in {place}. Rename one.")
        if self._closed and name not in self._things:
            message = f"The {self.what} '{name}' in {place} comes too late: judgekit.schema.config is there already"
            raise PluginError(f"{message}. {LIGHT}.")
        self._things[name] = (thing, place)

    def close(self) -> None:
        """From now on nothing can be added, since something has been made of all there is."""
        self._closed = True

    def find(self, name: str, key: str) -> T:
        """What is named so.

        :param key: where the name stands in a configuration
        :raises ConfigError: nothing is; with the nearest name
        """
        if name not in self:
            raise ConfigError([self.unknown(name, key)])
        return self[name]

    def unknown(self, name: object, key: str) -> Problem:
        """The mistake of a name that there is not."""
        return Problem(key, f"no {self.what} is named {name!r}", suggest(str(name), self))

    def __getitem__(self, name: str) -> T:
        return self._filled()[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._filled()))

    def __len__(self) -> int:
        return len(self._filled())

    def _filled(self) -> Mapping[str, tuple[T, str]]:
        if not self._full:
            self._full = True  # the modules may look into the register themselves
            try:
                package = importlib.import_module(self._package)
                for module in pkgutil.iter_modules(package.__path__, f"{self._package}."):
                    importlib.import_module(module.name)
                plugins()
            except BaseException:
                self._full = False
                raise
        return self._things


@dataclass(frozen=True)
class Named:
    """A config section that says by its ``name`` which of several dataclasses it is.

    :param name: a ``Literal`` with a default in every one of them
    """

    name: str = ""

    def problems(self) -> list[Problem]:
        """Its values that cannot work together; keys are those of its own fields."""
        return []


S = TypeVar("S", bound=Named)
Kind = TypeVar("Kind", bound=Named)


class Sections(Register[type[S]]):
    """The dataclasses of one config group. A field typed with ``base`` holds one of them.

    :param base: what they are subclasses of
    """

    def __init__(self, what: str, package: str, base: type[S]) -> None:
        super().__init__(what, package)
        self.base = base
        SECTIONS[base] = self

    def register(self, kind: type[Kind]) -> type[Kind]:
        """Decorator of such a dataclass, which is known by the default of its ``name``."""
        assert self.base in kind.__mro__, f"{kind.__name__} is no {self.base.__name__}"
        self._add(kind.name, cast(type[S], kind), f"{kind.__module__}.{kind.__qualname__}")
        return kind

    def read(self, values: Mapping[str, Any]) -> S:
        """A section that another version may have written: fields that this one does not know are left out.

        :raises KeyError: it has no name, or one that there is not
        """
        return known_fields(self[values["name"]], values)


SECTIONS: dict[type[Named], Sections[Any]] = {}
"""Registers of config sections by their base class."""


def sections_of(hint: Any) -> Sections[Any] | None:
    """The register a field's section is one of, for fields whose section names its own dataclass, null or not."""
    members = [member for member in typing.get_args(hint) or (hint,) if member is not type(None)]
    return SECTIONS.get(members[0]) if len(members) == 1 else None


@functools.cache
def plugins() -> Mapping[str, Path | None]:
    """All plugins, imported: the folder of config groups of each, None where it has none, by the module's name.

    :raises PluginError: one cannot be imported
    """
    points = {point.module: point for point in entry_points(group=GROUP)}
    return {name: _imported(points[name]) for name in sorted(points)}


def _imported(point: EntryPoint) -> Path | None:
    try:
        module = importlib.import_module(point.module)
    except Exception as error:
        package = point.dist.name if point.dist is not None else point.module
        rule = f"{LIGHT}. " if "partially initialized module 'judgekit." in str(error) else ""
        raise PluginError(
            f"judgekit's plugin '{point.name}' of the package {package} cannot be imported: {type(error).__name__}: "
            f"{str(error).rstrip('.')}. {rule}Mend it, or remove it: pip uninstall {package}"
        ) from error
    conf = Path(module.__file__ or "").parent / "conf"
    return conf if module.__file__ and conf.is_dir() else None


def known_fields(kind: type[T], values: Mapping[str, Any]) -> T:
    """A dataclass that another version may have written: fields that this one does not know are left out."""
    names = {field.name for field in dataclasses.fields(cast(Any, kind))}
    return kind(**{name: value for name, value in values.items() if name in names})


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """The valid name most like ``name``, None when nothing is like it."""
    found = difflib.get_close_matches(name, sorted(valid), n=1, cutoff=0.6)
    return found[0] if found else None


def suggest(name: str, valid: Iterable[str], prefix: str = "") -> str:
    """A remedy for a wrong name: the nearest valid one, or the list of all."""
    names = sorted(valid)
    close = nearest(name, names)
    if close is not None:
        return f"Did you mean '{prefix}{close}'?"
    return f"Valid: {', '.join(names)}" if names else "There are none"
