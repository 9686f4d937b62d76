"""What every benchmark shares: its configuration, finding its files, reading rows, checking ids; and their register."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from judgekit.data.records import Record
from judgekit.data.tables import hub_folder, read_hub, read_table
from judgekit.errors import ConfigError, DataError, Problem
from judgekit.papers import Paper
from judgekit.registry import Register
from judgekit.rows import ResponsePair, ScoredResponse
from judgekit.schema.fields import setting

if TYPE_CHECKING:
    from judgekit.evaluation.sections import Numbers

Kind = TypeVar("Kind", ResponsePair, ScoredResponse)
Numbered = Iterable[tuple[int, dict[str, Any]]]
Reader = Callable[[Path, Collection[str]], Numbered]


BENCHMARKS: Register[Benchmark] = Register("kind of benchmark", "judgekit.evaluation.benchmarks")


@dataclass(frozen=True)
class BenchmarkConfig:
    """``benchmark.NAME``: one evaluation set."""

    kind: str = setting("pairs", "whose files and aggregation", names=BENCHMARKS)
    path: str | None = setting(None, "file or folder; null leaves the benchmark out, and the run says so", path=True,
        unkeyed="where the files are; their digests are in the keys",
    )  # fmt: skip
    hub_id: str | None = setting(None, "hub data set, read where no path is given")
    revision: str | None = setting(None, "data set commit; required with hub_id")
    split: str = setting("test", "split of the hub data set")
    columns: dict[str, str] = setting({}, "kind pairs: names of the file's columns, {our field: their column}")
    limit: int | None = setting(None, "judge only this many pairs, spread evenly; null: all", ge=1)


class Source(Protocol[Kind]):
    """Where the rows of a benchmark come from."""

    def read(self, name: str, config: BenchmarkConfig) -> list[Kind]:
        """All rows.

        :param name: the benchmark's name in the configuration, for messages
        """
        ...

    def files(self, name: str, path: Path) -> list[Path]:
        """The files they are read from, where a path is given."""
        ...


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A kind of benchmark.

    :param pairs: its labelled response pairs, None where it has none
    :param scored: its single responses with human scores, likewise
    :param aggregate: its own headline numbers, of pairs and verdicts, with ``resamples`` and ``seed`` of intervals
    :param paper: by which it was released
    :param columns: its columns may have any names
    """

    pairs: Source[ResponsePair] | None = None
    scored: Source[ScoredResponse] | None = None
    aggregate: Callable[..., Numbers] | None = None
    paper: Paper | None = None
    columns: bool = False

    @property
    def pointwise(self) -> bool:
        """Whether it has single scored responses and no pairs."""
        return self.pairs is None and self.scored is not None


@dataclass(frozen=True, slots=True)
class Loader(Generic[Kind]):
    """How a benchmark's published rows are read.

    :param convert: the rows made of one published row, which stands in a folder (or hub split) of the given name
    :param fields: the published row's fields that are read
    :param pattern: pattern of the names of its files, where a folder is given
    :param inside: the folder of a released repository that holds them; other folders may hold copies
    :param reader: (line, row) of one file
    :param beside: names of other files that ``reader`` reads where they lie beside the file of rows; from the hub such
        a benchmark comes as files, since no split holds all of it
    """

    convert: Callable[[Record, str], Iterable[Kind]]
    fields: tuple[str, ...]
    pattern: str
    inside: str = ""
    reader: Reader = read_table
    beside: tuple[str, ...] = ()

    def read(self, name: str, config: BenchmarkConfig) -> list[Kind]:
        """All rows of a benchmark that has a path or a hub id.

        :raises ConfigError: for a hub data set without a revision
        :raises DataError: naming file, line and field
        """
        remedy = f"Is this a {config.kind} file?"
        found: dict[str, Kind] = {}
        for file, folder, rows in self._sources(name, config):
            for line, values in rows:
                record = Record(file, line, values, remedy=remedy)
                for row in self.convert(record, folder):
                    if row.id in found:
                        message = f"'{row.id}' is there twice; give one copy of the benchmark, and every row its own id"
                        raise DataError(message, file=file, line=line)
                    found[row.id] = row
        if not found:
            raise DataError(f"holds nothing to be judged. {remedy}", file=config.path or str(config.hub_id))
        return list(found.values())

    def files(self, name: str, path: Path) -> list[Path]:
        """The file given, or the benchmark's files in the folder given, in order of their names; then those beside.

        :raises DataError: when there are none
        """
        found = self._of_rows(name, path)
        found += [file.with_name(other) for file in found for other in self.beside]
        return list(dict.fromkeys(file for file in found if file.is_file()))

    def _of_rows(self, name: str, path: Path) -> list[Path]:
        if not path.exists():
            raise DataError(f"does not exist; correct benchmark.{name}.path, or set it to null", file=path)
        if path.is_file():
            return [path]
        files = sorted(self._root(path).rglob(self.pattern))
        if not files:
            raise DataError(f"holds no {self.pattern}; give the benchmark's folder or one of its files", file=path)
        return files

    def _root(self, path: Path) -> Path:
        inside = path / self.inside
        return inside if inside.is_dir() else path

    def _sources(self, name: str, config: BenchmarkConfig) -> Iterator[tuple[str | Path, str, Numbered]]:
        """Each file (or hub data set) with the name of its folder (or split) and its rows."""
        if config.path is not None:
            path = Path(config.path)
        elif config.hub_id is None or config.revision is None:
            message = "a benchmark from the hub needs hub_id and revision"
            raise ConfigError([Problem(f"benchmark.{name}.revision", message, "Add both, or a path")])
        elif self.beside:
            path = hub_folder(config.hub_id, config.revision, (self.pattern, *self.beside))
        else:
            yield config.hub_id, config.split, read_hub(config.hub_id, config.revision, config.split, self.fields)
            return
        root = self._root(path)
        for file in self._of_rows(name, path):
            inner = "." if file == path else file.parent.relative_to(root).as_posix()
            folder = file.resolve().parent.name if inner == "." else inner
            yield file, folder, self.reader(file, self.fields)
