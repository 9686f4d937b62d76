"""One foreign row, read field by field; what cannot be used is named by file, line and field."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from judgekit.data.conversations import is_conversation, prompt_text, response_text, shaped
from judgekit.errors import DataError

Choice = TypeVar("Choice")

RENAME = "Rename the column, or say which it is: --columns FIELD=COLUMN (in a configuration columns.FIELD=COLUMN)"

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,2})?", re.IGNORECASE | re.ASCII)

PROMPTS = ("instruction", "prompt")
REPLIES = ("response", "response_a", "response_b", "chosen", "rejected", "completion", "reference")
"""Fields that may hold a conversation, which is read as the text that judges are shown."""
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

    @classmethod
    def own(cls, file: str | Path, line: int, values: Mapping[str, Any], columns: Mapping[str, str] | None) -> Record:
        """A row in judgekit's fields or in another shape that has them (``conversations.shaped``).

        :raises DataError: for two conversations that do not have one prompt
        """
        try:
            return cls(file, line, shaped(values, columns or {}), columns or {})
        except ValueError as error:
            raise DataError(str(error), file=file, line=line) from error

    def error(self, field: str, message: str) -> DataError:
        """The error of a field, to be raised."""
        return DataError(message, file=self.file, line=self.line, field=self.columns.get(field, field))

    def has(self, field: str) -> bool:
        """Whether there is such a column; one that the user named must be there."""
        return field in self.columns or field in self.values

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
        if field in (*PROMPTS, *REPLIES) and is_conversation(value):
            return self._said(field, value)
        if value is not None and not isinstance(value, str):
            kind = type(value).__name__
            raise self.error(field, f"holds {value!r} ({kind}) where text belongs; put text in quotes in the file")
        if value is not None and field not in TEXTS and not _encodable(value):
            raise self.error(field, "holds half of a surrogate pair, which is not text; write the file again in UTF-8")
        return value

    def _said(self, field: str, value: Any) -> str:
        try:
            return prompt_text(value) if field in PROMPTS else response_text(value)
        except ValueError as error:
            raise self.error(field, str(error)) from error

    def maybe(self, field: str) -> str | None:
        """Text, or None where the row has no such column; a column the user named must exist."""
        return self.optional(field) if self.has(field) else None

    def id(self) -> str:
        """A given id; whole numbers are common and taken as text."""
        return self.name("id")

    def name(self, field: str) -> str:
        """Text that says something, or a whole number taken as text: names and ids."""
        value = self.value(field)
        if isinstance(value, float) and value.is_integer():  # a column of whole numbers that has gaps
            value = int(value)
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else self.asked(field)

    def maybe_name(self, field: str) -> str | None:
        """The same, or None where there is nothing."""
        return self.name(field) if self.has(field) and self.value(field) is not None else None

    def choice(self, field: str, choices: Mapping[Any, Choice]) -> Choice:
        """What one of the allowed values stands for; true and 1 are different values."""
        value = self.value(field)
        for allowed, meaning in choices.items():
            if type(value) is type(allowed) and value == allowed:
                return meaning
        listed = " or ".join(", ".join(map(repr, choices)).rsplit(", ", 1))
        raise self.error(field, f"holds {value!r}; it must be {listed}")

    def number(self, field: str) -> float:
        """A finite number; in CSV it is text."""
        value = self.value(field)
        if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
            return float(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.error(field, f"holds {value!r} where a finite number belongs; correct it or remove the row")
        return float(value)

    def maybe_number(self, field: str) -> float | None:
        """The same, or None where there is nothing."""
        return self.number(field) if self.has(field) and self.value(field) is not None else None

    def items(self, field: str, length: int | None = None) -> list[Any]:
        """A list, of ``length`` items where that is given."""
        value = self.value(field)
        if not isinstance(value, list) or length not in (None, len(value)):
            size = "a list" if length is None else f"a list of {length}"
            raise self.error(field, f"must be {size}; correct it or remove the row")
        return value

    def texts(self, field: str, length: int | None = None) -> list[str]:
        """A list of texts, or of conversations."""
        items = self.items(field, length)
        value = [self._said(field, item) if is_conversation(item) else item for item in items]
        if not all(isinstance(item, str) and _encodable(item) for item in value):
            raise self.error(field, "must hold texts only; correct it or remove the row")
        return value


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
