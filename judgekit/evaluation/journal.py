"""A JSON Lines file that grows chunk by chunk and survives being killed at any moment.

Beside ``OUT`` stands a folder ``OUT.state``: ``state.json`` says what the rows are made from, ``chunk/`` holds the plan
of the chunk being made, ``lock`` keeps a second process away. A chunk is appended with one write; what is torn or
begun is cut off on resuming and made again from the cache of generations, so the same bytes come out.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from judgekit.errors import StageError
from judgekit.store import Workspace, storage_errors, write_json_atomic


@dataclass(frozen=True, slots=True)
class Spent:
    """What making the rows has taken so far, over all attempts.

    :param seconds: wall-clock time of chunks that were written
    """

    prompt_tokens: int = 0
    generated_tokens: int = 0
    seconds: float = 0.0
    thought_tokens: int = 0


class Journal:
    """The rows of one output file; a context manager that holds the file's lock.

    :ivar spent: what the rows took
    """

    def __init__(
        self, path: Path, identity: Mapping[str, Any], made: Sequence[Path] = (), *, restart: bool = False
    ) -> None:
        """Open or begin ``path``.

        :param identity: JSON values by name: everything that determines the rows
        :param made: files that are made of the rows at the end
        :param restart: throw away what is there
        """
        self.path, self.made, self.restart = path, made, restart
        self.folder = path.with_name(path.name + ".state")
        self.identity: dict[str, Any] = json.loads(json.dumps(dict(identity)))
        self.spent = Spent()
        self._lock = FileLock(self.folder / "lock")

    def __enter__(self) -> Self:
        """Take the lock and see whether what is there can be continued.

        :raises StageError: another process writes to it, it belongs to something else, or was made from something else
        """
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire(timeout=0)
            except Timeout as error:
                raise StageError(
                    f"Another process is writing {self.path}. Wait for it, or name another file."
                ) from error
        try:
            self._continue()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def resume(self, sizes: Iterable[int]) -> int:
        """Cut the file after its last whole chunk and say how many it holds.

        :param sizes: rows of each chunk, in order
        """
        whole = offset = 0
        with storage_errors(self.folder), self.path.open("a+b") as file:
            file.seek(0)
            for size in sizes:
                lines = [file.readline() for _ in range(size)]
                if not all(line.endswith(b"\n") for line in lines):
                    break
                whole, offset = whole + 1, offset + sum(map(len, lines))
            if file.seek(0, os.SEEK_END) > offset:  # a finished file is not touched, not even its time
                file.truncate(offset)
        return whole

    def workspace(self) -> Workspace:
        """Where the next chunk is made; what a killed attempt planned there is kept."""
        return Workspace(self.folder / "chunk")

    def append(self, lines: Iterable[str], workspace: Workspace, seconds: float) -> None:
        """Write one chunk's rows to disk and note what they took."""
        data = "".join(line + "\n" for line in lines).encode()
        with storage_errors(self.folder):
            with self.path.open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            tokens = workspace.counts()["tokens"]
            self.spent = replace(
                self.spent,
                prompt_tokens=self.spent.prompt_tokens + tokens["prompt"],
                generated_tokens=self.spent.generated_tokens + tokens["generated"],
                thought_tokens=self.spent.thought_tokens + tokens.get("thought", 0),
                seconds=round(self.spent.seconds + seconds, 3),
            )
            self._write()
            shutil.rmtree(self.folder / "chunk", ignore_errors=True)

    def _continue(self) -> None:
        state = self.folder / "state.json"
        if self.restart:
            for path in (self.path, *self.made, state):
                path.unlink(missing_ok=True)
            shutil.rmtree(self.folder / "chunk", ignore_errors=True)
        if not state.exists():
            for path in (self.path, *self.made):
                if path.exists() and path.stat().st_size:
                    message = f"{path} is there already and {state} is not, so it was not begun by this command."
                    raise StageError(f"{message} Name another file with -o, or give --restart to overwrite it.")
            self._write()
            return
        try:
            held = json.loads(state.read_text(encoding="utf-8"))
            known, self.spent = dict(held["identity"]), Spent(**held["spent"])
        except (ValueError, TypeError, KeyError) as error:
            raise StageError(f"{state} cannot be read ({error}). Give --restart to begin {self.path} anew.") from error
        names = dict.fromkeys((*known, *self.identity))
        if changed := [name for name in names if known.get(name) != self.identity.get(name)]:
            raise StageError(
                f"{self.path} was begun with {_listed(changed)} that {'is' if len(changed) == 1 else 'are'} not the "
                f"one{'' if len(changed) == 1 else 's'} given now. Name another file with -o, or give --restart to "
                f"begin it anew."
            )

    def _write(self) -> None:
        write_json_atomic(self.folder / "state.json", {"identity": self.identity, "spent": asdict(self.spent)})


def _listed(names: list[str]) -> str:
    """With articles: an input, a judge and a prompt."""
    words = [f"an {name}" if name[0] in "aeiou" else f"a {name}" for name in names]
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
