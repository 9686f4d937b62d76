"""What every benchmark loader shares: finding the files, reading rows, checking ids."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from judgekit.data.records import Record
from judgekit.data.tables import read_hub, read_table
from judgekit.errors import ConfigError, DataError, Problem
from judgekit.rows import ResponsePair, ScoredResponse
from judgekit.schema.config import BenchmarkConfig

Kind = TypeVar("Kind", ResponsePair, ScoredResponse)
Numbered = Iterable[tuple[int, dict[str, Any]]]
Reader = Callable[[Path, Collection[str]], Numbered]


@dataclass(frozen=True, slots=True)
class Loader(Generic[Kind]):
    """How a benchmark's published rows are read.

    :param convert: the rows made of one published row, which stands in a folder (or hub split) of the given name
    :param fields: the published row's fields that are read
    :param files: pattern of the names of its files, where a folder is given
    :param inside: the folder of a released repository that holds them; other folders may hold copies
    :param reader: (line, row) of one file
    """

    convert: Callable[[Record, str], Iterable[Kind]]
    fields: tuple[str, ...]
    files: str
    inside: str = ""
    reader: Reader = read_table


def read_published(name: str, config: BenchmarkConfig, loader: Loader[Kind]) -> list[Kind]:
    """All rows of a benchmark that has a path or a hub id.

    :raises ConfigError: for a hub data set without a revision
    :raises DataError: naming file, line and field
    """
    remedy = f"Is this a {config.kind} file?"
    found: dict[str, Kind] = {}
    for file, folder, rows in _sources(name, config, loader):
        for line, values in rows:
            record = Record(file, line, values, remedy=remedy)
            for row in loader.convert(record, folder):
                if row.id in found:
                    message = f"'{row.id}' is there twice; give one copy of the benchmark, and every row its own id"
                    raise DataError(message, file=file, line=line)
                found[row.id] = row
    return list(found.values())


def find_files(name: str, path: Path, loader: Loader[Any]) -> list[Path]:
    """The file given, or the benchmark's files in the folder given, in order of their names.

    :raises DataError: when there are none
    """
    if not path.exists():
        raise DataError(f"does not exist; correct benchmark.{name}.path, or set it to null", file=path)
    if path.is_file():
        return [path]
    files = sorted(_root(path, loader).rglob(loader.files))
    if not files:
        raise DataError(f"holds no {loader.files}; give the benchmark's folder or one of its files", file=path)
    return files


def _root(path: Path, loader: Loader[Any]) -> Path:
    inside = path / loader.inside
    return inside if inside.is_dir() else path


def _sources(name: str, config: BenchmarkConfig, loader: Loader[Any]) -> Iterator[tuple[str | Path, str, Numbered]]:
    """Each file (or hub data set) with the name of its folder (or split) and its rows."""
    if config.path is not None:
        path = Path(config.path)
        root = _root(path, loader)
        for file in find_files(name, path, loader):
            inner = "." if file == path else file.parent.relative_to(root).as_posix()
            folder = file.resolve().parent.name if inner == "." else inner
            yield file, folder, loader.reader(file, loader.fields)
        return
    if config.hub_id is None or config.revision is None:
        message = "a benchmark from the hub needs hub_id and revision"
        raise ConfigError([Problem(f"benchmark.{name}.revision", message, "Add both, or a path")])
    yield config.hub_id, config.split, read_hub(config.hub_id, config.revision, config.split, loader.fields)
