"""Foreign tables -> numbered dictionaries: JSON Lines, JSON lists, CSV, parquet, hub data sets."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from judgekit.errors import DataError

BadRow = Callable[[DataError], None]
"""Told of one row that cannot be used, so that reading can go on with the next."""


def raise_bad(error: DataError) -> None:
    """Stop at the first bad row."""
    raise error


def read_table(
    path: Path, columns: Collection[str] | None = None, bad: BadRow = raise_bad
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line, row) of a ``.parquet`` file, a ``.csv`` file, a JSON list, or JSON Lines (any other file).

    Lines count from 1; in a list or a parquet file it is the row's number, in CSV the line a row begins on. Blank lines
    are skipped. CSV is UTF-8 with commas, double quotes and a header; its cells are texts, empty cells null.

    :param columns: read only these; a column that is not there is simply missing from the rows
    :param bad: called with a row that is none; what is wrong with a whole file is raised in any case
    :raises DataError: naming file and line for a file that is missing, empty, not UTF-8 or not rows
    """
    if not path.is_file():
        problem = "is a folder; give one of its files" if path.is_dir() else "does not exist; correct the path"
        raise DataError(problem, file=path)
    skipped = 0

    def skip(error: DataError) -> None:
        nonlocal skipped
        skipped += 1
        bad(error)

    rows = {".parquet": _parquet_rows, ".csv": _csv_rows}.get(path.suffix.lower(), _json_rows)(path, columns, skip)
    empty = True
    for row in rows:
        empty = False
        yield row
    if empty and not skipped:
        raise DataError("holds no rows; give a file with at least one", file=path)


def read_json(path: Path) -> Any:
    """The one JSON value a file holds, for formats that are no tables.

    :raises DataError: for a file that is missing, not UTF-8 or not JSON
    """
    if not path.is_file():
        raise DataError("does not exist; correct the path", file=path)
    return _parse(path.read_bytes(), path, None)


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
        table = table.select_columns([name for name in table.column_names if name in columns])
    yield from enumerate(table, start=1)


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


def _json_rows(path: Path, columns: Collection[str] | None, bad: BadRow) -> Iterator[tuple[int, dict[str, Any]]]:
    rows = _list_rows(path) if _starts_with_bracket(path) else _line_rows(path, bad)
    for line, row in rows:
        if not isinstance(row, dict):
            message = f'holds {type(row).__name__} where an object belongs; write every row as {{"field": value}}'
            bad(DataError(message, file=path, line=line))
            continue
        yield line, row if columns is None else {name: value for name, value in row.items() if name in columns}


def _starts_with_bracket(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")


def _list_rows(path: Path) -> Iterator[tuple[int, Any]]:
    yield from enumerate(_parse(path.read_bytes(), path, None), start=1)


def _line_rows(path: Path, bad: BadRow) -> Iterator[tuple[int, Any]]:
    with path.open("rb") as file:
        # Read as bytes: text mode would fail for a whole block, and only \n ends a line of JSON Lines.
        for line, content in enumerate(file, start=1):
            if content.strip():
                try:
                    value = _parse(content, path, line)
                except DataError as error:
                    bad(error)
                    continue
                yield line, value


def _csv_rows(path: Path, columns: Collection[str] | None, bad: BadRow) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(LONGEST_CELL)
    with path.open("rb") as file:
        # strict: text after a closing quote is a mistake, not a part of the cell.
        reader = csv.reader((_decode(content, path, line) for line, content in enumerate(file, start=1)), strict=True)
        header: list[str] = []
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                # Where quotes do not match, nobody knows where the next row begins.
                message = f"not CSV: {error}; write a quote inside a quoted cell twice"
                raise DataError(message, file=path, line=line) from error
            if cells is None:
                return
            if not cells:
                continue
            if not header:
                header = cells
                if repeated := [name for name in header if header.count(name) > 1]:
                    raise DataError(f"two columns are called '{repeated[0]}'; rename one", file=path, line=line)
            elif len(cells) != len(header):
                message = f"has {len(cells)} cells and the header {len(header)}; put cells with commas in double quotes"
                bad(DataError(message, file=path, line=line))
            else:
                row = dict(zip(header, (cell or None for cell in cells), strict=True))
                yield line, {name: cell for name, cell in row.items() if columns is None or name in columns}


LONGEST_CELL = 1 << 30
"""Characters; the module's own limit is shorter than some answers."""


def _decode(content: bytes, path: Path, line: int) -> str:
    try:
        return content.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(_not_utf8(content, error), file=path, line=line) from error


def _not_utf8(content: bytes, error: UnicodeDecodeError) -> str:
    return f"not UTF-8 (byte {content[error.start]:#04x} at offset {error.start}); save the file as UTF-8"


def _parse(content: bytes, path: Path, line: int | None) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig" if line in (None, 1) else "utf-8"))
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


def _parquet_rows(path: Path, columns: Collection[str] | None, bad: BadRow) -> Iterator[tuple[int, dict[str, Any]]]:
    """A damaged file is damaged from there on: there are no single bad rows."""
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    number = 0
    try:
        file = ParquetFile(path)
        wanted = [name for name in file.schema_arrow.names if columns is None or name in columns]
        for batch in file.iter_batches(columns=wanted):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        message = f"not readable as parquet: {_first_line(error)}; write the file again"
        raise DataError(message, file=path, line=number + 1 if number else None) from error


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
