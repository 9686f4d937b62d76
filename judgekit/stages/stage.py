"""What a stage is: a frozen dataclass whose fields are its key, and all that its code can see.

A field holds a value, an input (what another stage ``Made``, the ``Digest`` of something from outside), or a place in
the configuration that ``read`` names and a ``Lab`` fills in. ``build`` is a method and gets nothing but the workspace,
so that what is not a field cannot change what it writes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from judgekit.rows import Row, read_rows
from judgekit.schema.fields import METADATA_KEY, Allowed, allowed
from judgekit.store import Artifact, Workspace, file_digest

UNKNOWN = "not obtained yet"
"""In place of a digest that is only known once something has been fetched."""

_UNKEYED = "unkeyed"


class Digest(str):
    """Stands for an input from outside the store, such as a file or a model's weights."""


@dataclass(frozen=True, slots=True)
class Read:
    """A field whose value is that of a place in the configuration."""

    path: str


def read(path: str, off: Any = ...) -> Any:
    """A field that the configuration's value at ``path`` fills in, and that a caller may set to something else.

    :param off: the value with which it is in no key (see ``Allowed.off``)
    """
    return dataclasses.field(default=Read(path), metadata={METADATA_KEY: Allowed("", off=off)})


def at(path: str) -> Any:
    """The configuration's value at ``path``, wherever a value may stand in a stage."""
    return Read(path)


def unkeyed(reason: str, default: Any = dataclasses.MISSING) -> Any:
    """A field that is no part of the key.

    :param reason: why its value cannot change what the stage writes
    """
    return dataclasses.field(default=default, metadata={_UNKEYED: reason})


@dataclass(frozen=True, slots=True)
class Planned:
    """What a stage costs at most.

    :param generations: samples it draws
    :param tokens: of those, prompts included
    :param note: what a reader of the plan should know
    """

    generations: int = 0
    tokens: int = 0
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of a run: its fields in, files out.

    :cvar label: its name in the store and in reports; ``{field}`` stands for the value of a field. No two stages have
        the same
    :cvar version: raised whenever the same fields give other files
    """

    label: ClassVar[str]
    version: ClassVar[int] = 1

    @property
    def name(self) -> str:
        """Name in the store and in reports."""
        return self.label.format(**{field.name: getattr(self, field.name) for field in dataclasses.fields(self)})

    def build(self, workspace: Workspace) -> None:
        """Write the stage's files into ``workspace.path``."""
        raise NotImplementedError

    @property
    def cost(self) -> Planned:
        """What it samples at most."""
        return Planned()


S_co = TypeVar("S_co", bound=Stage, covariant=True)


@dataclass(frozen=True, slots=True)
class Made(Generic[S_co]):
    """What a stage gives: its files, or only their digest while a run is planned."""

    digest: str
    artifact: Artifact | None = None

    @property
    def done(self) -> Artifact:
        """The finished stage.

        :raises RuntimeError: it is only planned
        """
        if self.artifact is None:
            raise RuntimeError("a stage that is only planned has no files")
        return self.artifact

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.done.path

    def file(self, name: str) -> Path:
        """One of its files."""
        return self.done.file(name)

    def rows(self, name: str, kind: type[Row]) -> list[Row]:
        """The rows of ``NAME.jsonl``."""
        return read_rows(self.file(f"{name}.jsonl"), kind)


class Switched:
    """A value whose parts are on or off; what is off is in no key."""

    @property
    def on(self) -> dict[str, Any]:
        """The parts that are on, by name."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Key:
    """What determines a stage, and what else is told of it.

    :param config: values by field, as JSON
    :param inputs: digests of what it reads
    :param record: settings that change its result by rounding alone
    """

    config: dict[str, Any]
    inputs: list[str]
    record: dict[str, Any]

    @property
    def known(self) -> bool:
        """Whether all inputs are known."""
        return UNKNOWN not in self.inputs


def key_of(stage: Stage, *, strict: bool = False) -> Key:
    """The key of a stage whose fields are filled in.

    :param strict: what changes results by rounding alone is part of it
    """
    key = Key({}, [], {})
    key.config.update(_values(stage, key, strict, ""))
    return key


def keyed(section: Any) -> dict[str, Any]:
    """What stands for a dataclass of the configuration in keys."""
    return _values(section, Key({}, [], {}), False, "")


def _values(section: Any, key: Key, strict: bool, place: str) -> dict[str, Any]:
    """A dataclass's fields as JSON, less those that determine nothing; inputs and the record are noted in ``key``."""
    found = {}
    for field in dataclasses.fields(section):
        limits = allowed(field)
        if _UNKEYED in field.metadata or limits.unkeyed is not None:
            continue
        value = getattr(section, field.name)
        if limits.off is not ... and value == limits.off:
            continue
        if limits.rounding and not strict:
            key.record[f"{place}{field.name}"] = value
            continue
        if limits.path and isinstance(value, str) and Path(value).is_file():
            value = file_digest(Path(value))  # a file that is edited is another one, one that is moved is the same
        if isinstance(value, Switched):
            if value.on:
                found[field.name] = value.on
            continue
        found[field.name] = _plain(value, key, strict, f"{place}{field.name}.")
    return found


def _plain(value: Any, key: Key, strict: bool, place: str) -> Any:
    if isinstance(value, Made | Digest):
        digest = value.digest if isinstance(value, Made) else str(value)
        key.inputs.append(digest)
        return digest
    if dataclasses.is_dataclass(value) and not isinstance(value, type | Read):
        return _values(value, key, strict, place)
    if isinstance(value, Mapping):
        return {str(name): _plain(item, key, strict, f"{place}{name}.") for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, key, strict, f"{place}{number}.") for number, item in enumerate(value)]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{place.rstrip('.')}: {type(value).__name__} cannot stand in a stage's key")


def file_inputs(*paths: str | None) -> tuple[Digest, ...]:
    """Digests of the files among ``paths``, as inputs: moving a file changes nothing."""
    return tuple(Digest(file_digest(Path(path))) for path in paths if path is not None and Path(path).is_file())


def stage_kinds() -> Iterator[type[Stage]]:
    """Every kind of stage that has been imported."""
    waiting = [*Stage.__subclasses__()]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if "label" in kind.__dict__:
            yield kind


__all__ = [
    "UNKNOWN", "Allowed", "Digest", "Key", "Made", "Planned", "Read", "Stage", "file_inputs", "key_of", "keyed", "read",
    "stage_kinds", "unkeyed",
]  # fmt: skip
