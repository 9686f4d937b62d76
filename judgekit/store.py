"""Stage outputs addressed by content.

A stage is a function of its configuration and inputs to files. Its folder is named by the digest of everything that
determines it, is built aside and renamed into place, and is never changed afterwards::

    ROOT/stages/NAME/DIGEST/            stage.json and the data files
    ROOT/stages/NAME/DIGEST.partial/    files-*/ (cleared on resume) and scratch/ (kept on resume)
    ROOT/stages/NAME/DIGEST.lock        held while somebody builds; DIGEST.holder says who, and shows life
    ROOT/stages/NAME/DIGEST.broken-*    a folder that was found damaged and set aside
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import shutil
import socket
import stat
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from judgekit.errors import StageError
from judgekit.locks import Hold, held
from judgekit.randomness import digest as json_digest

logger = logging.getLogger(__name__)

STAGE_FILE = "stage.json"
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}


@dataclass(frozen=True, slots=True)
class FileInfo:
    """Size in bytes and SHA-256 of one data file."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class StageInfo:
    """``stage.json``: what a stage is made from and what making it took.

    :param inputs: digests of the inputs, in order
    :param rows: row counts by name
    :param dropped: dropped rows by reason
    :param generations: ``sampled`` by this stage and found ``cached``
    :param tokens: ``prompt`` and ``generated`` tokens of the sampled generations
    :param seconds: wall-clock time of the process that finished the stage; what killed ones spent is not in it
    :param files: data files by path relative to the folder
    :param finished: time of completion, ISO 8601, UTC
    :param cost: what a server charged for the sampled generations, in the currency of the configured prices
    :param numbers: what was measured, by name: means and rates, where counts do not say it
    :param used: ``prompt``, ``generated`` (and ``thought``) tokens and ``cost`` of all generations it rests on, whoever
        sampled them: what it takes by itself. Empty where it asks no model, and in stages made before this was kept
    :param record: settings it was made with that change it by rounding alone, so that the digest leaves them out
    """

    name: str
    version: int
    digest: str
    config: dict[str, Any]
    inputs: list[str]
    rows: dict[str, int]
    dropped: dict[str, int]
    generations: dict[str, int]
    tokens: dict[str, int]
    seconds: float
    files: dict[str, FileInfo]
    host: str
    finished: str
    cost: float | None = None
    numbers: dict[str, float] = field(default_factory=dict)
    used: dict[str, float] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A finished stage.

    :param path: its folder; read only
    :param reused: it was there already, or another process built it meanwhile
    """

    path: Path
    info: StageInfo
    reused: bool

    @property
    def digest(self) -> str:
        """Digest of everything that determines the stage."""
        return self.info.digest

    def file(self, name: str) -> Path:
        """Path of one data file.

        :raises StageError: when the stage has no such file
        """
        if name not in self.info.files:
            raise StageError(f"{self.path} has no file '{name}', only: {', '.join(self.info.files) or 'nothing'}")
        return self.path / name


class Workspace:
    """Where a stage is built, and the counts it reports.

    :ivar path: data files go here; empty at the start of every attempt
    :ivar scratch: survives a killed attempt and never becomes part of the stage (checkpoints, plans)
    """

    def __init__(self, partial: Path) -> None:
        """Prepare the two folders, clearing data files that a killed attempt may have left half written."""
        # A name of its own: a builder that was taken for dead and wakes up finds its folder gone, not another's.
        self.path, self.scratch = partial / f"files-{uuid.uuid4().hex[:8]}", partial / "scratch"
        for left in partial.glob("files*"):
            shutil.rmtree(left, ignore_errors=True)
        self.path.mkdir(parents=True)
        self.scratch.mkdir(exist_ok=True)
        self._rows, self._dropped = Counter[str](), Counter[str]()
        self._generations = {"sampled": 0, "cached": 0}
        self._tokens = {"prompt": 0, "generated": 0}
        self._cost: float | None = None
        self._used: dict[str, float] = {}
        self._numbers: dict[str, float] = {}

    def count(self, **rows: int) -> None:
        """Add to row counts, by name."""
        self._rows.update(rows)

    def drop(self, reason: str, n: int = 1) -> None:
        """Count ``n`` rows that were dropped for ``reason``."""
        self._dropped[reason] += n

    def measure(self, **numbers: float | None) -> None:
        """Set what was measured, by name; None is left out."""
        self._numbers |= {name: value for name, value in numbers.items() if value is not None}

    def generations(self, sampled: int, cached: int) -> None:
        """Add to the numbers of generations."""
        self._generations["sampled"] += sampled
        self._generations["cached"] += cached

    def tokens(self, prompt: int, generated: int, cost: float | None = None, thought: int = 0) -> None:
        """Add to the numbers of tokens, and to what they cost where they have prices.

        :param thought: how many of the generated ones are of thoughts; where there never are any, they are not told of
        """
        self._tokens["prompt"] += prompt
        self._tokens["generated"] += generated
        if thought:
            self._tokens["thought"] = self._tokens.get("thought", 0) + thought
        self._cost = self._cost if cost is None else (self._cost or 0.0) + cost

    def rests_on(self, **used: float) -> None:
        """Add to what all generations took that the stage rests on, under the names of ``StageInfo.used``."""
        for name, value in used.items():
            self._used[name] = self._used.get(name, 0) + value

    def counts(self) -> dict[str, Any]:
        """All counts, under the names ``StageInfo`` gives them."""
        return {
            "rows": dict(self._rows), "dropped": dict(self._dropped), "generations": dict(self._generations),
            "tokens": dict(self._tokens), "cost": self._cost, "numbers": dict(self._numbers), "used": dict(self._used),
        }  # fmt: skip


class Store:
    """Finished stages under one root folder, shared by all runs and processes that use it."""

    def __init__(self, root: Path) -> None:
        """Use ``root``; it is made when the first stage is built."""
        self.root = Path(root)

    def digest_of(self, name: str, version: int, config: Mapping[str, Any], inputs: Sequence[Artifact | str]) -> str:
        """Digest of a stage without building it.

        :param name: may contain ``/``, for example ``pairs/d1``
        :param version: raised whenever the code of the stage changes its output
        :param config: JSON values, everything of the configuration that determines the output and nothing else
        :param inputs: stages, or digests of other inputs (``file_digest``)
        """
        return json_digest(_identity(name, version, config, inputs))

    def has(self, name: str, version: int, config: Mapping[str, Any], inputs: Sequence[Artifact | str]) -> bool:
        """Whether the stage is there and whole."""
        digest = self.digest_of(name, version, config, inputs)
        return isinstance(_inspect(self._folder(name, digest), digest), StageInfo)

    def stage(
        self,
        name: str,
        version: int,
        config: Mapping[str, Any],
        inputs: Sequence[Artifact | str],
        build: Callable[[Workspace], None],
        record: Mapping[str, Any] | None = None,
    ) -> Artifact:
        """Return a stage, building it when it is not there. Parameters as ``digest_of``.

        Of several processes that want the same stage one builds and the others wait. When ``build`` fails or the
        process dies, ``Workspace.scratch`` is kept for the next attempt.

        :param build: writes the data files into ``Workspace.path``; its output must depend on the digest only
        :param record: noted beside what determines the stage
        :raises StageError: when the disk is full or the folder cannot be written
        """
        identity = _identity(name, version, config, inputs)
        digest = json_digest(identity)
        folder = self._folder(name, digest)
        with storage_errors(folder):
            if (found := _reuse(folder, digest)) is not None:
                return found
            folder.parent.mkdir(parents=True, exist_ok=True)
            with held(folder.with_name(f"{digest}.lock"), f"stage {name}") as hold:
                if (found := _reuse(folder, digest)) is not None:
                    return found
                if folder.exists():
                    _set_aside(folder, digest)
                return _build(folder, identity, digest, build, hold, dict(record or {}))

    def _folder(self, name: str, digest: str) -> Path:
        if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)*", name, re.ASCII):
            raise ValueError(f"not a stage name: {name!r}")
        return self.root / "stages" / name / digest


def file_digest(path: Path) -> str:
    """SHA-256 of a file from outside, as an input of a stage; read piecewise."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json_atomic(path: Path, value: Any) -> None:
    """Write indented JSON that appears whole or not at all, even when the machine loses power.

    :raises StageError: when the disk is full or the folder cannot be written
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with storage_errors(path.parent):
        try:
            with aside.open("w", encoding="utf-8", errors="surrogatepass", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        fsync_folder(path.parent)


def share(root: Path) -> None:
    """Give all files below ``root`` the permissions of a new file there, as the umask and the folder's ACL have it.

    Weights are written for their owner alone, whatever those say, and a store belongs to those who use it.
    """
    probe = root / f".mode.{os.getpid()}"
    probe.touch()
    mode = stat.S_IMODE(probe.stat().st_mode)
    probe.unlink()
    for folder, _, names in os.walk(root):
        for path in (Path(folder, name) for name in names):
            if not path.is_symlink() and (held := stat.S_IMODE(path.stat().st_mode)) != held | mode:
                path.chmod(held | mode)


def fsync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """Turn a full disk or a folder that cannot be written into a ``StageError`` with the remedy.

    Libraries wrap such errors in their own, so the causes are looked at too. Other errors pass unchanged.
    """
    try:
        yield
    except StageError:
        raise
    except Exception as error:
        if _is_full(error):
            raise StageError(
                f"The disk is full, writing to {folder}. What was finished is kept: free space there (or choose "
                f"another store folder) and run the same command again."
            ) from error
        if isinstance(error, OSError) and error.errno in _FORBIDDEN and _concerns(error, folder):
            raise StageError(
                f"Cannot use {folder}: {error.strerror}. Make that folder readable and writable or choose another "
                f"store folder, then run the same command again."
            ) from error
        raise


def _is_full(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL or os.strerror(errno.ENOSPC) in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _concerns(error: OSError, folder: Path) -> bool:
    """Whether a refused path is the store's own: one above, at, beside or below ``folder``."""
    if error.filename is None:
        return True
    refused, folder = Path(os.fsdecode(error.filename)).absolute(), folder.absolute()
    return refused in folder.parents or refused.is_relative_to(folder.parent)


def _identity(name: str, version: int, config: Mapping[str, Any], inputs: Sequence[Artifact | str]) -> dict[str, Any]:
    """What determines a stage, as JSON gives it back (a tuple of the configuration is a list there)."""
    digests = [item if isinstance(item, str) else item.digest for item in inputs]
    values = {"name": name, "version": version, "config": dict(config), "inputs": digests}
    plain: dict[str, Any] = json.loads(json.dumps(values, allow_nan=False))
    return plain


def _inspect(folder: Path, digest: str) -> StageInfo | str | None:
    """The stage's record, a sentence on what is wrong with the folder, or None when there is none."""
    if not folder.is_dir():
        return None
    try:
        values = json.loads((folder / STAGE_FILE).read_text(encoding="utf-8", errors="surrogatepass"))
        files = {name: FileInfo(**entry) for name, entry in values.pop("files").items()}
        info = StageInfo(**values, files=files)
    except FileNotFoundError:
        return f"{STAGE_FILE} is missing"
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return f"{STAGE_FILE} is corrupt ({error})"
    if info.digest != digest:
        return f"{STAGE_FILE} belongs to another stage ({info.digest})"
    for name, entry in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != entry.size:
            return f"{name} has {path.stat().st_size} bytes instead of {entry.size}"
    return info


def _reuse(folder: Path, digest: str) -> Artifact | None:
    info = _inspect(folder, digest)
    if not isinstance(info, StageInfo):
        return None
    # A process killed between the rename and the clean-up leaves its scratch behind.
    shutil.rmtree(folder.with_name(f"{digest}.partial"), ignore_errors=True)
    return Artifact(folder, info, reused=True)


def _set_aside(folder: Path, digest: str) -> None:
    aside = folder.with_name(f"{digest}.broken-{time.time_ns()}")
    logger.warning("%s is damaged: %s. Set aside as %s and built again.", folder, _inspect(folder, digest), aside.name)
    folder.rename(aside)


def _build(
    folder: Path, identity: dict[str, Any], digest: str, build: Callable[[Workspace], None], hold: Hold,
    record: dict[str, Any],
) -> Artifact:  # fmt: skip
    started = time.monotonic()
    partial = folder.with_name(f"{digest}.partial")
    workspace = Workspace(partial)
    try:
        build(workspace)
        files = _make_durable(workspace.path)
    finally:
        _still_ours(hold, folder)
    info = StageInfo(
        **identity,
        digest=digest,
        **workspace.counts(),
        seconds=round(time.monotonic() - started, 3),
        files=files,
        host=socket.gethostname(),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        record=record,
    )
    write_json_atomic(workspace.path / STAGE_FILE, asdict(info))
    workspace.path.rename(folder)
    fsync_folder(folder.parent)
    shutil.rmtree(partial, ignore_errors=True)
    return Artifact(folder, info, reused=False)


def _still_ours(hold: Hold, folder: Path) -> None:
    if hold.lost():
        raise StageError(
            f"Another process took {folder} over, because this one stood still for too long. Run the same command "
            "again: what was finished is kept."
        )


def _make_durable(root: Path) -> dict[str, FileInfo]:
    """Flush every file and folder below ``root`` to disk and describe the files."""
    files = {}
    share(root)
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            with path.open("rb") as file:
                os.fsync(file.fileno())
            files[path.relative_to(root).as_posix()] = FileInfo(path.stat().st_size, file_digest(path))
        fsync_folder(Path(folder))
    return dict(sorted(files.items()))
