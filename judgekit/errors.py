"""Errors a user can act on.

Every class here is shown as one paragraph without a traceback (``--debug`` shows it) and ends the program
with exit code 2. Anything else that escapes is a bug and keeps its traceback.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path


class JudgekitError(Exception):
    """Base of all errors that name a cause outside the code and a remedy."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration.

    :param key: dotted path of the field, for example ``recipe.plans``
    :param message: what is wrong, the value found and what is allowed
    :param hint: nearest valid name or another remedy
    :param source: file or command-line override the value came from
    """

    key: str
    message: str
    hint: str | None = None
    source: str | None = None

    def __str__(self) -> str:
        origin = f" ({self.source})" if self.source else ""
        remedy = f". {self.hint}" if self.hint else ""
        return f"{self.key}{origin}: {self.message}{remedy}"

    def under(self, section: str) -> Problem:
        """The same of a section with this dotted path."""
        return replace(self, key=f"{section}.{self.key}")


class ConfigError(JudgekitError):
    """One or more mistakes in a configuration, all reported together."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        count = f"{len(problems)} mistakes" if len(problems) > 1 else "a mistake"
        super().__init__(f"The configuration has {count}:\n" + "\n".join(f"  {problem}" for problem in problems))


class DataError(JudgekitError):
    """A row of outside data that cannot be read.

    :param file: the file, as the user named it
    :param line: 1-based line (or row) number, None when the whole file is meant
    :param field: the field at fault, None when the whole row is
    """

    def __init__(self, message: str, *, file: str | Path, line: int | None = None, field: str | None = None) -> None:
        self.file, self.line, self.field = str(file), line, field
        place = f"{file}" + (f", line {line}" if line is not None else "") + (f", field '{field}'" if field else "")
        super().__init__(f"{place}: {message}")


class ModelError(JudgekitError):
    """A model folder, hub id or adapter that cannot be used as asked."""


class PluginError(JudgekitError):
    """A plugin that cannot be imported, or that takes a name which something else has."""


class StageError(JudgekitError):
    """A stage that cannot go on; what it had finished is kept and the same command resumes it."""


class MissingExtraError(JudgekitError):
    """An optional dependency is needed.

    :param package: the import that failed
    :param extra: the extra that brings it, for example ``vllm``
    :param otherwise: another way to get it
    """

    def __init__(self, package: str, extra: str, otherwise: str = "") -> None:
        remedy = f"Install it with: pip install 'judgekit-lab[{extra}]'"
        super().__init__(f"'{package}' is not installed. {remedy}{'. ' if otherwise else ''}{otherwise}")
