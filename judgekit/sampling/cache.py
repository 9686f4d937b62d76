"""Append-only cache of generations, safe for several writers on a network file system.

Every writer has a segment file of its own, so no locks are needed::

    ROOT/generations/WEIGHTS_DIGEST[:16]/START-HOST-PID-RANDOM.seg
    ROOT/generations/WEIGHTS_DIGEST[:16]/about.txt                    what the weights are, in words
    ROOT/generations/WEIGHTS_DIGEST[:16].lock                         shared by all who use the folder

The lock only keeps upkeep (``judgekit cache prune``) away; the folder's time is that of its last use.

A line is ``CRC32 JSON``: eight hex digits, a space, one generation with its key first. A last line without a newline
is torn (its writer died or is still writing) and ignored. A line whose checksum does not fit is skipped and reported.

When several segments hold the same key, the first segment by name wins, that is the one begun first; within one
process a generation that was seen once stays the one that is returned.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import secrets
import socket
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from judgekit.errors import StageError
from judgekit.randomness import digest
from judgekit.sampling.base import Generation, SamplingParams
from judgekit.store import fsync_folder, storage_errors

logger = logging.getLogger(__name__)

KEY_LENGTH = 32
_PREFIX = b'{"key": "'


def generation_keys(
    weights_digest: str, prompt: Sequence[Any], params: SamplingParams, samples: Sequence[int]
) -> list[str]:
    """Keys of samples of one prompt: hex digests of everything that determines a generation.

    :param weights_digest: of the weights themselves, never a model's name
    :param prompt: its token ids, or its messages and prefill where a server encodes them
    :param samples: sample indices, one key each
    """
    prompt = digest([weights_digest, list(prompt), params.key], KEY_LENGTH)
    return [digest([prompt, sample], KEY_LENGTH) for sample in samples]


class GenerationCache:
    """Generations of one set of weights; rows stay on disk, memory holds their keys and places.

    :ivar folder: where the segments are
    :ivar corrupt: lines skipped so far because their checksum did not fit
    """

    def __init__(self, root: Path, weights_digest: str, about: str = "") -> None:
        """Index all segments.

        :param root: the store's root folder
        :param about: what the weights are, for people
        """
        self.about, self.corrupt = about, 0
        self._lock: int | None = None
        self._open(root, weights_digest)

    def _open(self, root: Path, weights_digest: str) -> None:
        self.folder, self.weights_digest = root / "generations" / weights_digest[:16], weights_digest
        self._index: dict[bytes, tuple[str, int, int]] = {}
        self._read_to: dict[str, int] = {}
        self._own: tuple[str, int] | None = None
        self._reader: tuple[str, BinaryIO] | None = None
        self.refresh()

    def __len__(self) -> int:
        """Generations known."""
        return len(self._index)

    def __contains__(self, key: str) -> bool:
        """Whether a generation of this key is known."""
        return bytes.fromhex(key) in self._index

    def move(self, weights_digest: str) -> None:
        """Go on with the generations of other weights."""
        self.close()
        self._open(self.folder.parent.parent, weights_digest)

    def keys_of(self, prompt: Sequence[Any], params: SamplingParams, samples: Sequence[int]) -> list[str]:
        """Keys of samples of one prompt under these weights."""
        return generation_keys(self.weights_digest, prompt, params, samples)

    def refresh(self) -> None:
        """Index what other processes have appended since."""
        with storage_errors(self.folder):
            if self.folder.exists():
                self._hold()
            for path in sorted(self.folder.glob("*.seg")):
                if self._own is None or path.name != self._own[0]:
                    self._index_segment(path)

    def get(self, key: str) -> Generation | None:
        """The generation of this key, or None. A row that can no longer be read as it was written is forgotten."""
        place = self._index.get(bytes.fromhex(key))
        if place is None:
            return None
        segment, offset, length = place
        line = self._read(segment, offset, length)
        if _key_in(line) == bytes.fromhex(key):
            return _decode(line)
        del self._index[bytes.fromhex(key)]
        self._report(segment, 1)
        return None

    def put_batch(self, rows: Sequence[tuple[str, Generation]]) -> None:
        """Append generations with one write and flush them to disk, so that a batch is kept whole or done again.

        :raises StageError: when the disk is full or the folder cannot be written
        """
        lines = [_encode(key, generation) for key, generation in rows]
        with storage_errors(self.folder):
            name, descriptor = self._own = self._own or self._create_segment()
            offset = self._read_to[name]
            try:
                _write_all(descriptor, b"".join(lines))
                os.fsync(descriptor)
            except OSError:
                # What was written of it becomes the torn end of a segment that nobody appends to any more.
                self._own = None
                os.close(descriptor)
                raise
        for (key, _), line in zip(rows, lines, strict=True):
            self._index.setdefault(bytes.fromhex(key), (name, offset, len(line)))
            offset += len(line)
        self._read_to[name] = offset

    def close(self) -> None:
        """Close the files; the cache can still be used and then begins a new segment."""
        if self._own is not None:
            os.close(self._own[1])
        if self._reader is not None:
            self._reader[1].close()
        if self._lock is not None:
            # Not left to closing: a forked process may still have the file open.
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            os.close(self._lock)
        self._own = self._reader = self._lock = None

    def _hold(self) -> None:
        """Keep upkeep away until ``close``. A store that can only be read, or without locks, is used all the same."""
        if self._lock is not None:
            return
        try:
            self._lock = os.open(lock_file(self.folder), os.O_RDWR | os.O_CREAT, 0o666)
            fcntl.flock(self._lock, fcntl.LOCK_SH)
            if self.folder.exists():
                os.utime(self.folder)
        except OSError as error:
            logger.debug("%s cannot be locked: %s", self.folder, error)

    def _create_segment(self) -> tuple[str, int]:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self._hold()
        self.folder.mkdir(exist_ok=True)
        about = self.folder / ABOUT
        if self.about and not about.exists():
            about.write_text(self.about + "\n", encoding="utf-8")
        start = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        name = f"{start}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}.seg"
        descriptor = os.open(self.folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o666)
        fsync_folder(self.folder)
        self._read_to[name] = 0
        return name, descriptor

    def _index_segment(self, path: Path) -> None:
        corrupt = 0
        for key, offset, line in scan(path, self._read_to.get(path.name, 0)):
            if key is None:
                corrupt += 1
            else:
                self._index.setdefault(key, (path.name, offset, len(line)))
            self._read_to[path.name] = offset + len(line)
        if corrupt:
            self._report(path.name, corrupt)

    def _read(self, segment: str, offset: int, length: int) -> bytes:
        try:
            if self._reader is None or self._reader[0] != segment:
                self._hold()
                if self._reader is not None:
                    self._reader[1].close()
                self._reader = (segment, (self.folder / segment).open("rb"))
            self._reader[1].seek(offset)
            return self._reader[1].read(length)
        except FileNotFoundError:
            return b""

    def _report(self, segment: str, lines: int) -> None:
        self.corrupt += lines
        logger.warning(
            "%s: %d corrupt line(s) skipped; those generations are made again.", self.folder / segment, lines
        )


ABOUT = "about.txt"


def lock_file(folder: Path) -> Path:
    """The lock of a folder of generations."""
    return folder.with_name(f"{folder.name}.lock")


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Lock a folder of generations for upkeep; False when somebody uses it.

    :raises StageError: the file system has no locks, so that nobody can know
    """
    with storage_errors(folder), lock_file(folder).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError as error:
            raise StageError(
                f"{folder} cannot be locked ({error.strerror}), so whether a run uses it is not known. When none does, "
                f"delete the folder by hand."
            ) from error
        yield True


def scan(path: Path, offset: int = 0) -> Iterator[tuple[bytes | None, int, bytes]]:
    """Whole lines of a segment: key (None where the checksum does not fit), place in bytes, and the line."""
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            yield _key_in(line), offset, line
            offset += len(line)


def _encode(key: str, generation: Generation) -> bytes:
    values = {field.name: getattr(generation, field.name) for field in fields(generation)}
    if generation.served is None:
        del values["served"]
    text = json.dumps({"key": key, **values}, allow_nan=False).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _key_in(line: bytes) -> bytes | None:
    """The key of a whole and undamaged line, else None."""
    text, start = line[9:-1], len(_PREFIX)
    try:
        if line[8:9] != b" " or line[-1:] != b"\n" or int(line[:8], 16) != zlib.crc32(text):
            return None
        return bytes.fromhex(text[start : start + KEY_LENGTH].decode("ascii")) if text.startswith(_PREFIX) else None
    except ValueError:
        return None


def _decode(line: bytes) -> Generation:
    values = json.loads(line[9:-1])
    del values["key"]
    values["token_ids"] = tuple(values["token_ids"])
    return Generation(**values)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
