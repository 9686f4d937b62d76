"""Foreign tables -> numbered dictionaries: JSON Lines, JSON lists, parquet, hub data sets."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from judgekit.errors import DataError


def read_table(path: Path, columns: Collection[str] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line, row) of a ``.parquet`` file, a JSON list, or JSON Lines (any other file).

    Lines count from 1; in a list or a parquet file it is the row's number. Blank lines of JSON Lines are skipped.

    :param columns: read only these; a column that is not there is simply missing from the rows
    :raises DataError: naming file and line for a file that is missing, empty, not UTF-8 or not rows
    """
    if not path.is_file():
        problem = "is a folder; give one of its files" if path.is_dir() else "does not exist; correct the path"
        raise DataError(problem, file=path)
    rows = _parquet_rows(path, columns) if path.suffix == ".parquet" else _json_rows(path, columns)
    empty = True
    for row in rows:
        empty = False
        yield row
    if empty:
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


def _json_rows(path: Path, columns: Collection[str] | None) -> Iterator[tuple[int, dict[str, Any]]]:
    rows = _list_rows(path) if _starts_with_bracket(path) else _line_rows(path)
    for line, row in rows:
        if not isinstance(row, dict):
            message = f'holds {type(row).__name__} where an object belongs; write every row as {{"field": value}}'
            raise DataError(message, file=path, line=line)
        yield line, row if columns is None else {name: value for name, value in row.items() if name in columns}


def _starts_with_bracket(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")


def _list_rows(path: Path) -> Iterator[tuple[int, Any]]:
    yield from enumerate(_parse(path.read_bytes(), path, None), start=1)


def _line_rows(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open("rb") as file:
        # Read as bytes: text mode would fail for a whole block, and only \n ends a line of JSON Lines.
        for line, content in enumerate(file, start=1):
            if content.strip():
                yield line, _parse(content, path, line)


def _parse(content: bytes, path: Path, line: int | None) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig" if line in (None, 1) else "utf-8"))
    except UnicodeDecodeError as error:
        at = line if line is not None else content.count(b"\n", 0, error.start) + 1
        message = f"not UTF-8 (byte {content[error.start]:#04x} at offset {error.start}); save the file as UTF-8"
        raise DataError(message, file=path, line=at) from error
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


def _parquet_rows(path: Path, columns: Collection[str] | None) -> Iterator[tuple[int, dict[str, Any]]]:
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
