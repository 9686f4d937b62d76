"""Upkeep of the cache of generations: what it holds, removing what is not needed, joining small segments.

A folder that a process has open is left alone: everybody who uses one shares its lock (see ``cache``). Finished stages
hold their own files, so they do not miss what is removed; only a stage that is made anew samples again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from judgekit.errors import DataError
from judgekit.sampling.cache import ABOUT, locked, scan
from judgekit.store import fsync_folder


@dataclass(frozen=True, slots=True)
class HeldGenerations:
    """Generations of one set of weights.

    :param about: what the weights are, in words; empty where that was not written down
    :param generations: different ones, without damaged lines
    :param size: bytes of all segments
    :param corrupt: lines whose checksum does not fit
    :param used: when a process last opened the folder
    """

    folder: Path
    about: str
    generations: int
    segments: int
    size: int
    corrupt: int
    used: datetime

    @property
    def weights(self) -> str:
        """Beginning of the digest of the weights, 16 hex digits."""
        return self.folder.name


def survey(root: Path) -> list[HeldGenerations]:
    """What a store's cache holds, the longest unused first.

    :param root: the store's root folder
    :raises DataError: there is no such folder
    """
    return sorted(map(_look, _folders(root)), key=lambda held: (held.used, held.weights))


def prune(
    root: Path, wanted: Callable[[HeldGenerations], bool], *, dry_run: bool = False
) -> Iterator[tuple[HeldGenerations, bool]]:
    """Remove the generations of some weights; yields each and whether it was removed, which what is in use is not.

    :param dry_run: remove nothing, only say what would be
    :raises DataError: there is no such folder
    :raises StageError: nobody can know what is in use
    """
    for held in survey(root):
        if not wanted(held):
            continue
        with locked(held.folder) as free:
            # Somebody may have used it between the look and the lock.
            free = free and _used(held.folder) == held.used
            if free and not dry_run:
                shutil.rmtree(held.folder)
        yield held, free


def compact(root: Path) -> Iterator[tuple[HeldGenerations, HeldGenerations]]:
    """Join the segments of every folder that nobody uses into one, without damaged lines; yields before and after.

    :raises DataError: there is no such folder
    """
    for held in survey(root):
        if held.segments < 2 and not held.corrupt:
            continue
        with locked(held.folder) as free:
            if free:
                joined = _join(held.folder)
                for path in (joined, held.folder):  # this was no use of it
                    os.utime(path, times=(held.used.timestamp(),) * 2)
                yield held, _look(held.folder)


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        raise DataError("there is no such folder; name the store, such as outputs/store", file=root)
    parent = root / "generations"
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def _look(folder: Path) -> HeldGenerations:
    segments = sorted(folder.glob("*.seg"))
    keys, corrupt = set[bytes](), 0
    for path in segments:
        for key, _, _ in scan(path):
            corrupt += key is None
            if key is not None:
                keys.add(key)
    about = folder / ABOUT
    return HeldGenerations(
        folder,
        about.read_text(encoding="utf-8").strip() if about.exists() else "",
        len(keys),
        len(segments),
        sum(path.stat().st_size for path in segments),
        corrupt,
        _used(folder),
    )


def _used(folder: Path) -> datetime:
    return datetime.fromtimestamp(max(path.stat().st_mtime for path in (folder, *folder.glob("*.seg"))), UTC)


def _join(folder: Path) -> Path:
    """Let the first segment take in the others; of a key found twice the first line stays, as when reading."""
    segments = sorted(folder.glob("*.seg"))
    partial, seen = folder / "joined.partial", set[bytes]()
    with partial.open("wb") as file:
        for path in segments:
            for key, _, line in scan(path):
                if key is not None and key not in seen:
                    seen.add(key)
                    file.write(line)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(segments[0])
    fsync_folder(folder)
    for path in segments[1:]:
        path.unlink()
    return segments[0]


def older_than(age: timedelta) -> Callable[[HeldGenerations], bool]:
    """Chooses what was last used longer ago than ``age``."""
    return lambda held: held.used < datetime.now(UTC) - age


def of_weights(digest: str) -> Callable[[HeldGenerations], bool]:
    """Chooses the weights whose digest begins like ``digest``."""
    return lambda held: held.weights.startswith(digest[:16].lower())


def everything(held: HeldGenerations) -> bool:
    """Chooses all weights."""
    del held
    return True
