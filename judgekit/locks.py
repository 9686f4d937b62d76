"""Locks between processes, on one machine and across those that share a file system.

The kernel frees the lock of a dead process of this machine at once. Of another machine nobody may tell: a server can
keep the lock of a node that lost power, and where a file system has no locks ``FileLock`` falls back on a marker file
that nobody removes. So whoever holds a lock touches the file beside it (``NAME.holder``) again and again, and who
sees that file rest for ``STALE_SECONDS`` takes the lock over.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)

FIRST_NOTICE_SECONDS = 3.0
NEXT_NOTICE_SECONDS = 60.0
POLL_SECONDS = 0.2
BEAT_SECONDS = 5.0
STALE_SECONDS = 45.0


class Busy(Exception):
    """Another process holds the lock; the text says which."""


class Hold:
    """A lock that is held."""

    def __init__(self, holder: Path) -> None:
        """Say who holds the lock, and start to show life."""
        self._holder = holder
        since = datetime.now(UTC).isoformat(timespec="seconds")
        self._file = os.open(holder, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.write(self._file, json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": since}).encode())
        self._over = threading.Event()
        self._beats = threading.Thread(target=self._beat, daemon=True)
        self._beats.start()

    def lost(self) -> bool:
        """Whether another process took the lock over, because this one stood still for too long."""
        return _identity(self._holder) != _identity(self._file)

    def end(self) -> None:
        """Show life no longer."""
        self._over.set()
        self._beats.join()
        with suppress(OSError):
            if not self.lost():
                self._holder.unlink()
        with suppress(OSError):
            os.close(self._file)

    def _beat(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            # By descriptor: a holder that was taken over must not show life for its successor.
            with suppress(OSError):
                os.utime(self._file)


@contextmanager
def held(path: Path, name: str, patience: float | None = None) -> Iterator[Hold]:
    """Hold the lock file ``path``; while waiting for it, say whom for.

    :param name: what it is about, for messages
    :param patience: seconds to wait at most; None: as long as it takes
    :raises Busy: when another process holds it for longer than that
    """
    lock, holder = FileLock(path), path.with_suffix(".holder")
    _acquire(lock, holder, path, name, patience)
    try:
        hold = Hold(holder)
        try:
            yield hold
        finally:
            hold.end()
    finally:
        lock.release()


def _acquire(lock: FileLock, holder: Path, path: Path, name: str, patience: float | None) -> None:
    """Wait for the lock."""
    began = told = time.monotonic()
    notice, watch = FIRST_NOTICE_SECONDS, _Watch(holder)
    while not lock.is_locked:
        left = min(1.0, notice)
        if patience is not None:
            left = max(0.0, min(left, began + patience - time.monotonic()))
        try:
            lock.acquire(timeout=left, poll_interval=POLL_SECONDS)
        except Timeout:
            now = time.monotonic()
            if patience is not None and now >= began + patience:
                raise Busy(f"{name} is held by {describe(holder)}") from None
            if now - told >= notice:
                logger.warning("Waiting for %s, which %s is building.", name, describe(holder))
                told, notice = now, NEXT_NOTICE_SECONDS
            if watch.rests() and _break(path, holder, watch):
                logger.warning("Taking %s over from %s, which shows no life.", name, watch.who)


class _Watch:
    """Watches a holder file by this machine's own clock, because those of two machines differ."""

    def __init__(self, holder: Path) -> None:
        self._holder = holder
        self.seen: tuple[int, int, int] | None = None
        self.who = ""
        self._since = time.monotonic()

    def rests(self) -> bool:
        """Whether nobody has touched the file for too long."""
        found = _identity(self._holder, moment=True)
        if found is None or found != self.seen:
            self.seen, self._since, self.who = found, time.monotonic(), describe(self._holder)
            return False
        return time.monotonic() - self._since > STALE_SECONDS


def _break(path: Path, holder: Path, watch: _Watch) -> bool:
    """Take the place of a holder that rests; of several that try, one succeeds."""
    aside = holder.with_name(f"{holder.name}.{socket.gethostname()}-{os.getpid()}")
    try:
        holder.rename(aside)
    except FileNotFoundError:
        return False
    if _identity(aside, moment=True) != watch.seen:
        aside.rename(holder)  # of somebody who was quicker and holds the lock now
        return False
    path.unlink(missing_ok=True)
    aside.unlink(missing_ok=True)
    return True


def _identity(file: Path | int, moment: bool = False) -> tuple[int, int, int] | None:
    """What tells a file from another, and with ``moment`` from itself once touched; None when it is gone."""
    try:
        # A network file system looks at the server's attributes when a file is opened.
        if isinstance(file, Path):
            with file.open("rb") as opened:
                state = os.fstat(opened.fileno())
        else:
            state = os.fstat(file)
    except OSError:
        return None
    return state.st_dev, state.st_ino, state.st_mtime_ns if moment else 0


def describe(holder: Path) -> str:
    """Who holds a lock, for people."""
    try:
        values = json.loads(holder.read_text())
        return f"process {values['pid']} on {values['host']} (since {values['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def alive(holder: Path) -> bool:
    """Whether a process holds the lock and shows life."""
    try:
        age = time.time() - holder.stat().st_mtime
        values = json.loads(holder.read_text())
        here, pid = values["host"] == socket.gethostname(), int(values["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return age < STALE_SECONDS and (not here or _runs(pid))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # A killed child that its parent has not looked at yet still has a number.
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True
