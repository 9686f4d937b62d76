"""Bytes of a foreign file as lines of UTF-8: packed or not, in whichever Unicode encoding, with whichever line ends."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from judgekit.errors import DataError

PACKED = (".gz", ".zst")
"""Endings of packed files; what is packed goes by the ending before them."""
GZIP, ZSTD, ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
HEAD = 1 << 16
"""Bytes that are looked at to see what a file is."""


def head(path: Path) -> bytes:
    """The first bytes of a file, unpacked.

    :raises DataError: for a file that cannot be unpacked, or holds a workbook
    """
    try:
        with _open(path) as file:
            found = file.read(HEAD)
    except (OSError, EOFError, zlib.error) as error:
        raise _torn(error, path) from error
    if found.startswith(ZIP):
        raise DataError("is a workbook or another zip archive; save the sheet as CSV in UTF-8", file=path)
    return found


def head_text(path: Path) -> str:
    """The same as text; what is not in the encoding is replaced."""
    found = head(path)
    return found.decode(_encoding(found), "replace")


def lines(path: Path, newline: str | None = None) -> Iterator[bytes]:
    r"""Lines of a file in UTF-8, without a byte order mark. Bytes that are no UTF-8 stay as they are.

    :param newline: where lines end, as of ``open``: ``""`` at any end of line; None: at ``\n``, or at ``\r`` in a file
        that has no ``\n``
    :raises DataError: for a file that cannot be unpacked, or is not in the encoding it begins in
    """
    start = head_text(path)
    if newline is None:
        newline = "\r" if "\r" in start and "\n" not in start else "\n"
    encoding = _encoding(head(path))
    number = 0
    try:
        with _open(path) as file:
            if encoding == "utf-8" and newline == "\n":
                yield from file
                return
            escaping = "surrogateescape" if encoding.startswith("utf-8") else "strict"
            for line in io.TextIOWrapper(file, encoding, escaping, newline):
                number += 1
                yield line.encode("utf-8", "surrogateescape")
    except UnicodeDecodeError as error:
        message = f"not {encoding.upper()}, in which it begins; save the file as UTF-8"
        raise DataError(message, file=path, line=number + 1) from error
    except (OSError, EOFError, zlib.error) as error:
        raise _torn(error, path) from error


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith(GZIP):
        return cast(IO[bytes], gzip.open(path, "rb"))
    if start == ZSTD:
        import pyarrow  # slow to import

        return io.BufferedReader(pyarrow.input_stream(str(path), compression="zstd"))
    return path.open("rb")


def _encoding(start: bytes) -> str:
    """By the byte order mark; without one UTF-16 shows in the zero half of the first character, which is ASCII."""
    for mark, name in BOMS:
        if start.startswith(mark):
            return name
    if start[1:2] == b"\0":
        return "utf-16-le"
    return "utf-16-be" if start[:1] == b"\0" else "utf-8"


def _torn(error: Exception, path: Path) -> DataError:
    return DataError(f"cannot be read to its end: {error}; pack it again, or give it unpacked", file=path)
