"""One foreign row, read field by field; what cannot be used is named by file, line and field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from judgekit.errors import DataError

Choice = TypeVar("Choice")

RENAME = "Rename it, or say which column holds it with columns.FIELD=COLUMN"

TEXTS = ("instruction", "response_a", "response_b", "reference", "near_miss")
"""Fields in which half of a surrogate pair may stay: a model that is asked refuses the row and the others go on."""


@dataclass(frozen=True, slots=True)
class Record:
    """One foreign row and where it stands.

    :param columns: {our field: their column} where names differ
    :param remedy: what to do about a missing field
    """

    file: str | Path
    line: int
    values: Mapping[str, Any]
    columns: Mapping[str, str] = field(default_factory=dict)
    remedy: str = RENAME

    def error(self, field: str, message: str) -> DataError:
        """The error of a field, to be raised."""
        return DataError(message, file=self.file, line=self.line, field=self.columns.get(field, field))

    def value(self, field: str) -> Any:
        """Whatever the field holds; the column itself must be there."""
        column = self.columns.get(field, field)
        if column not in self.values:
            names = ", ".join(map(repr, self.values)) or "no fields"
            raise self.error(field, f"missing; the row has {names}. {self.remedy}")
        return self.values[column]

    def text(self, field: str) -> str:
        """Required text, unaltered; it may be empty."""
        found = self.optional(field)
        if found is None:
            raise self.error(field, "is null; give a text or remove the row")
        return found

    def asked(self, field: str) -> str:
        """Required text that says something."""
        found = self.text(field)
        if not found.strip():
            raise self.error(field, "is blank; give a text or remove the row")
        return found

    def optional(self, field: str) -> str | None:
        """Text or null; the column itself must be there."""
        value = self.value(field)
        if value is not None and not isinstance(value, str):
            kind = type(value).__name__
            raise self.error(field, f"holds {value!r} ({kind}) where text belongs; put text in quotes in the file")
        if value is not None and field not in TEXTS and not _encodable(value):
            raise self.error(field, "holds half of a surrogate pair, which is not text; write the file again in UTF-8")
        return value

    def maybe(self, field: str) -> str | None:
        """Text, or None where the row has no such column; a column the user named must exist."""
        return None if field not in self.columns and field not in self.values else self.optional(field)

    def id(self) -> str:
        """A given id; whole numbers are common and taken as text."""
        value = self.values.get(self.columns.get("id", "id"))
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else self.asked("id")

    def name(self, field: str) -> str:
        """Text that says something, or a whole number taken as text: names and ids."""
        value = self.value(field)
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else self.asked(field)

    def choice(self, field: str, choices: Mapping[Any, Choice]) -> Choice:
        """What one of the allowed values stands for; true and 1 are different values."""
        value = self.value(field)
        for allowed, meaning in choices.items():
            if type(value) is type(allowed) and value == allowed:
                return meaning
        listed = " or ".join(", ".join(map(repr, choices)).rsplit(", ", 1))
        raise self.error(field, f"holds {value!r}; it must be {listed}")

    def number(self, field: str) -> float:
        """A finite number."""
        value = self.value(field)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.error(field, f"holds {value!r} where a finite number belongs; correct it or remove the row")
        return float(value)

    def items(self, field: str, length: int | None = None) -> list[Any]:
        """A list, of ``length`` items where that is given."""
        value = self.value(field)
        if not isinstance(value, list) or length not in (None, len(value)):
            size = "a list" if length is None else f"a list of {length}"
            raise self.error(field, f"must be {size}; correct it or remove the row")
        return value

    def texts(self, field: str, length: int | None = None) -> list[str]:
        """A list of texts."""
        value = self.items(field, length)
        if not all(isinstance(item, str) and _encodable(item) for item in value):
            raise self.error(field, "must hold texts only; correct it or remove the row")
        return value


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
