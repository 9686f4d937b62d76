"""Foreign tables -> numbered dictionaries: JSON Lines, JSON lists, CSV and TSV, parquet, hub data sets.

Columns are known by their names without regard to case, and to spaces, hyphens and underscores between words.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

from judgekit.data.files import HEAD, PACKED, head, head_text, lines
from judgekit.errors import DataError

BadRow = Callable[[DataError], None]
"""Told of one row that cannot be used, so that reading can go on with the next."""


Reader = Callable[[Path, BadRow], Iterator[tuple[int, dict[str, Any]]]]


def raise_bad(error: DataError) -> None:
    """Stop at the first bad row."""
    raise error


def read_table(
    path: Path, columns: Collection[str] | None = None, bad: BadRow = raise_bad
) -> Iterator[tuple[int, dict[str, Any]]]:
    r"""Yield (line, row) of a parquet file, CSV or TSV, a JSON list, or JSON Lines.

    The ending says which it is, or else how it begins. All may be packed (``.gz``, ``.zst``), and texts in UTF-8 or
    UTF-16 with ``\n``, ``\r\n`` or ``\r``. Lines count from 1; in a list or a parquet file it is the row's number,
    in CSV the line a row begins on. Blank lines are skipped. CSV has a header and double quotes, and the delimiter
    (comma, semicolon, tab or bar) that splits it most evenly, or that a first line ``sep=;`` names; its cells are
    texts, empty cells null.

    :param columns: read only these, each under this very name; one that is not there is simply missing from the rows.
        None: all, under names in lower case with underscores
    :param bad: called with a row that is none; what is wrong with a whole file is raised in any case
    :raises DataError: naming file and line for a file that is missing, empty, not Unicode or not rows
    """
    if not path.is_file():
        problem = "is a folder; give one of its files" if path.is_dir() else "does not exist; correct the path"
        raise DataError(problem, file=path)
    skipped = 0

    def skip(error: DataError) -> None:
        nonlocal skipped
        skipped += 1
        bad(error)

    empty = True
    for line, row in _reader(path, columns)(path, skip):
        empty = False
        yield line, _picked(row, columns)
    if empty and not skipped:
        raise DataError("holds no rows; give a file with at least one", file=path)


def read_json(path: Path) -> Any:
    """The one JSON value a file holds, for formats that are no tables.

    :raises DataError: for a file that is missing, not UTF-8 or not JSON
    """
    if not path.is_file():
        raise DataError("does not exist; correct the path", file=path)
    return _parse(b"".join(lines(path)), path, None)


def _reader(path: Path, columns: Collection[str] | None) -> Reader:
    """By the ending; without one that is known, by the first character."""
    ending, packed = path.suffix.lower(), False
    if ending in PACKED:
        ending, packed = path.with_suffix("").suffix.lower(), True
    if ending == ".parquet" or head(path).startswith(b"PAR1"):
        if packed:
            raise DataError("is a packed parquet file; unpack it, parquet is packed inside", file=path)
        return partial(_parquet_rows, columns=columns)
    if ending in (".csv", ".tsv", ".tab"):
        return _csv_rows
    known = ending in (".json", ".jsonl", ".ndjson") or head_text(path).lstrip("\ufeff \t\r\n")[:1] in ("{", "[", "")
    return _json_rows if known else _csv_rows


def _picked(row: Mapping[str, Any], columns: Collection[str] | None) -> dict[str, Any]:
    """The columns that are read, under the names they are asked for by."""
    plain = [folded(name) for name in row]
    if columns is None:  # names that would be alike stay as they are
        alike = {name for name, count in Counter(plain).items() if count > 1} if len(set(plain)) < len(plain) else ()
        return {given if name in alike else name: row[given] for name, given in zip(plain, row, strict=True)}
    picked = {}
    names = dict(zip(plain[::-1], [*row][::-1], strict=True))  # of two names alike the first counts
    for column in columns:
        name = column if column in row else names.get(folded(column))
        if name is not None and (name == column or name not in columns):
            picked[column] = row[name]
    return picked


@lru_cache(maxsize=4096)
def folded(name: str) -> str:
    """A column's name without regard to case, surrounding spaces and what stands between its words."""
    return re.sub(r"[\s_-]+", "_", name.strip().lower())


def read_hub(
    hub_id: str, revision: str, split: str, columns: Collection[str] | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (row number, row) of one split of a hub data set at a fixed commit.

    :param hub_id: data set id, or the path of a folder that holds a data set
    :raises DataError: when it cannot be loaded
    """
    import datasets  # slow to import

    try:
        table = datasets.load_dataset(hub_id, split=split, revision=revision)
    except Exception as error:  # the library raises many kinds: network, permission, format, unknown split
        message = f"split '{split}' at revision {revision} cannot be loaded: {_first_line(error)}. "
        raise DataError(
            message + "Check the id, revision and split, or download a file and give its path", file=hub_id
        ) from error
    if columns is not None:
        read = {folded(name) for name in columns}
        table = table.select_columns([name for name in table.column_names if folded(name) in read])
    for number, row in enumerate(table, start=1):
        yield number, _picked(row, columns)


def hub_folder(hub_id: str, revision: str, names: Collection[str]) -> Path:
    """The folder of some files of a hub data set at a fixed commit, for formats of which no split holds all.

    :param hub_id: data set id, or the path of a folder, which is given back
    :param names: of the files, wherever they lie in the data set
    :raises DataError: when they cannot be fetched
    """
    if Path(hub_id).is_dir():
        return Path(hub_id)
    from huggingface_hub import snapshot_download

    wanted = [f"*{name}" for name in names]
    try:
        return Path(snapshot_download(hub_id, repo_type="dataset", revision=revision, allow_patterns=wanted))
    except Exception as error:  # as in read_hub
        message = f"revision {revision} cannot be fetched: {_first_line(error)}. "
        raise DataError(
            message + "Check the id and the revision, or download the files and give their folder as path", file=hub_id
        ) from error


def _json_rows(path: Path, bad: BadRow) -> Iterator[tuple[int, dict[str, Any]]]:
    listed = head_text(path).lstrip("\ufeff \t\r\n").startswith("[")
    rows = _list_rows(path) if listed else _line_rows(path, bad)
    for line, row in rows:
        if not isinstance(row, dict):
            message = f'holds {type(row).__name__} where an object belongs; write every row as {{"field": value}}'
            bad(DataError(message, file=path, line=line))
            continue
        yield line, row


def _list_rows(path: Path) -> Iterator[tuple[int, Any]]:
    yield from enumerate(_parse(b"".join(lines(path)), path, None), start=1)


def _line_rows(path: Path, bad: BadRow) -> Iterator[tuple[int, Any]]:
    # Lines are bytes: one that is not UTF-8 is one bad row.
    for line, content in enumerate(lines(path), start=1):
        if content.strip():
            try:
                value = _parse(content, path, line)
            except DataError as error:
                bad(error)
                continue
            yield line, value


DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
SEPARATOR = re.compile(r"\ufeff?\"?sep=(.)\"?[\r\n]+", re.IGNORECASE)
"""A first line by which spreadsheets name the delimiter."""
LONGEST_CELL = 1 << 30
"""Characters; the module's own limit is shorter than some answers."""
SAMPLED_ROWS = 100
"""Rows that are looked at to find the delimiter."""


def _csv_rows(path: Path, bad: BadRow) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(LONGEST_CELL)
    start = head_text(path)
    named = SEPARATOR.match(start)
    delimiter = named[1] if named else _delimiter(start)
    numbered = enumerate(lines(path, ""), start=1)
    texts = (_decode(content, path, line) for line, content in numbered if not (named and line == 1))
    # strict: text after a closing quote is a mistake, not a part of the cell.
    reader = csv.reader(texts, delimiter=delimiter, strict=True)
    header: list[str] = []
    while True:
        line = reader.line_num + 1 + bool(named)
        try:
            cells = next(reader, None)
        except csv.Error as error:
            # Where quotes do not match, nobody knows where the next row begins.
            message = f"not CSV: {error}; write a quote inside a quoted cell twice"
            raise DataError(message, file=path, line=line) from error
        if cells is None:
            return
        if not any(cells):
            continue
        if not header:
            header = cells
            if repeated := [name for name, count in Counter(header).items() if name and count > 1]:
                raise DataError(f"two columns are called '{repeated[0]}'; rename one", file=path, line=line)
        elif len(cells) != len(header):
            between = DELIMITERS.get(delimiter, delimiter)
            message = f"has {len(cells)} cells and the header {len(header)}; put cells with {between} in double quotes"
            bad(DataError(message, file=path, line=line))
        else:
            yield line, dict(zip(header, (cell or None for cell in cells), strict=True))


def _delimiter(start: str) -> str:
    """Of those that split the header, the one by which most rows have as many cells as it; of equals the finest."""
    found = {}
    for delimiter in DELIMITERS:
        rows: list[list[str]] = []
        failed = 0
        try:
            reader = csv.reader(io.StringIO(start, newline=""), delimiter=delimiter, strict=True)
            rows.extend(islice((cells for cells in reader if cells), SAMPLED_ROWS))
        except csv.Error:
            failed = len(start) < HEAD  # a longer file is cut, perhaps inside a cell
        if rows and len(rows[0]) > 1:
            even = sum(len(cells) == len(rows[0]) for cells in rows)
            found[delimiter] = (even / (len(rows) + failed), len(rows[0]))
    return max(found, key=lambda delimiter: found[delimiter], default=",")


def _decode(content: bytes, path: Path, line: int) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise DataError(_not_utf8(content, error), file=path, line=line) from error


def _not_utf8(content: bytes, error: UnicodeDecodeError) -> str:
    return f"not UTF-8 (byte {content[error.start]:#04x} at offset {error.start}); save the file as UTF-8"


def _parse(content: bytes, path: Path, line: int | None) -> Any:
    try:
        return json.loads(content.decode())
    except UnicodeDecodeError as error:
        at = line if line is not None else content.count(b"\n", 0, error.start) + 1
        raise DataError(_not_utf8(content, error), file=path, line=at) from error
    except json.JSONDecodeError as error:
        at = line if line is not None else error.lineno
        message = (
            f"not JSON: {error.msg} at column {error.colno}; write one JSON object per line, or one list of objects"
        )
        raise DataError(message, file=path, line=at) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; thousands of brackets
        raise DataError(
            f"not readable as JSON: {_first_line(error)}; correct or remove it", file=path, line=line
        ) from error


def _parquet_rows(path: Path, bad: BadRow, columns: Collection[str] | None) -> Iterator[tuple[int, dict[str, Any]]]:
    """A damaged file is damaged from there on: there are no single bad rows."""
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    number = 0
    try:
        file = ParquetFile(path)
        read = None if columns is None else {folded(name) for name in columns}
        wanted = [name for name in file.schema_arrow.names if read is None or folded(name) in read]
        for batch in file.iter_batches(columns=wanted):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        message = f"not readable as parquet: {_first_line(error)}; write the file again"
        raise DataError(message, file=path, line=number + 1 if number else None) from error


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
