"""Scorers that misbehave, found by name in worker processes."""

from __future__ import annotations

import os
import signal
import time

from judgekit.data.checking import Scorer
from judgekit.rows import Instruction


def resolve(checker: str) -> Scorer:
    if checker == "missing":
        raise ImportError("no such scorer")
    return {"length": length, "hang": hang, "exit": leave, "killed": killed, "raise": fail, "memory": exhaust}[checker]


def length(instruction: Instruction, response: str) -> bool | None:
    return len(response) == int(instruction.answer or 0) if response else None


def hang(instruction: Instruction, response: str) -> bool | None:
    while True:
        time.sleep(3600)


def leave(instruction: Instruction, response: str) -> bool | None:
    os._exit(3)


def killed(instruction: Instruction, response: str) -> bool | None:
    os.kill(os.getpid(), signal.SIGKILL)
    return True


def fail(instruction: Instruction, response: str) -> bool | None:
    raise RecursionError("too deep")


def exhaust(instruction: Instruction, response: str) -> bool | None:
    return len(bytearray(64 * 2**30)) > 0
