"""A process that serves an engine over two pipes: JSON lines in, JSON lines out, its own prints into a log file."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LAST_LINES = 12
"""Lines of an engine's log that an error quotes."""


class EngineDied(Exception):
    """An engine process ended; the text says how and quotes its last lines."""


class EngineProcess:
    """The parent's end.

    The child leads a process group, so that its own children end with it. It ends when this process ends, because its
    pipe of commands then closes.
    """

    def __init__(self, module: str, settings: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        """Start ``python -m module`` and send it its settings."""
        descriptor, name = tempfile.mkstemp(prefix="judgekit-engine-", suffix=".log")
        self.log = Path(name)
        child_in, self._commands = os.pipe()
        results, child_out = os.pipe()
        self._results = os.fdopen(results, "rb", buffering=0)
        self._partial = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, str(child_in), str(child_out)],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            pass_fds=(child_in, child_out),
            env={**os.environ, **environment},
            start_new_session=True,
        )
        for used in (descriptor, child_in, child_out):
            os.close(used)
        self.send(settings)

    def fileno(self) -> int:
        """What to wait on for answers."""
        return self._results.fileno()

    def send(self, command: Mapping[str, Any]) -> None:
        """One command.

        :raises EngineDied: the process is gone
        """
        view = memoryview(json.dumps(command).encode() + b"\n")
        try:
            while view:
                view = view[os.write(self._commands, view) :]
        except BrokenPipeError as error:
            raise self._died() from error

    def receive(self) -> list[Any]:
        """Answers that have arrived; waits for some bytes, which may be only part of an answer.

        :raises EngineDied: the process is gone
        """
        data = os.read(self.fileno(), 1 << 20)
        if not data:
            raise self._died()
        *lines, self._partial = (self._partial + data).split(b"\n")
        return [answer for line in lines for answer in json.loads(line)]

    def wait_until_ready(self, seconds: float) -> None:
        """Wait for the first line.

        :raises EngineDied: the process ended, refused its settings or took too long
        """
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self, selectors.EVENT_READ)
            while True:
                if not selector.select(timeout=max(0.0, deadline - time.monotonic())):
                    raise EngineDied(f"It was not ready within {seconds:g} s. {self._last_lines()}")
                if answers := self.receive():
                    assert answers == ["ready"]
                    return

    def close(self) -> None:
        """End the process and everything it started, and wait until it is gone. The log of a clean end is removed."""
        died = self.process.poll() is not None
        self._end_group()
        self.process.wait()
        os.close(self._commands)
        self._results.close()
        if not died:
            self.log.unlink(missing_ok=True)

    def _end_group(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def _died(self) -> EngineDied:
        try:
            code = self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:  # its pipe is closed, so it is of no use any more
            self._end_group()
            code = self.process.wait()
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        hint = " (killed from outside, or out of memory)" if code == -signal.SIGKILL else ""
        return EngineDied(f"Process {self.process.pid} ended with {how}{hint}. {self._last_lines()}")

    def _last_lines(self) -> str:
        lines = [line.rstrip() for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines()]
        told = [line for line in lines if line][-LAST_LINES:]
        if not told:
            return "It printed nothing."
        quoted = "\n".join(f"  {line}" for line in told)
        return f"Its last lines:\n{quoted}\n(all of it: {self.log})\n"


def wait_for_any(engines: Sequence[EngineProcess]) -> list[tuple[int, list[Any]]]:
    """Answers of the engines that have some, by the engines' numbers.

    :raises EngineDied: one of them is gone, and no other has answers
    """
    with selectors.DefaultSelector() as selector:
        for number, engine in enumerate(engines):
            selector.register(engine, selectors.EVENT_READ, number)
        answers: list[tuple[int, list[Any]]] = []
        death: EngineDied | None = None
        for key, _ in selector.select():
            try:
                answers.append((key.data, engines[key.data].receive()))
            except EngineDied as died:
                death = died  # its pipe stays at its end, so the next call finds it again
        if death is not None and not answers:
            raise death
        return answers
