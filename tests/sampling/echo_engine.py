"""A process that is served like vLLM's engine and answers from a script.

A reply is its prompt backwards; a score is the token itself. A prompt that begins with one of these does something
else: 901 kills the process, 902 is refused, 903 waits for ever.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from judgekit.sampling.vllm_engine import serve

DIE, REFUSE, HANG = 901, 902, 903


class Echo:
    def __init__(self, settings: dict[str, Any]) -> None:
        print("loading weights", flush=True)
        if settings.get("fail"):
            raise SystemExit("no memory left")
        time.sleep(settings.get("slow", 0))
        self.waiting: list[dict[str, Any]] = []

    def busy(self) -> bool:
        return bool(self.waiting)

    def add(self, command: dict[str, Any]) -> dict[str, Any] | None:
        if command["prompt"][0] == REFUSE:
            return {"ticket": command["ticket"], "error": "the prompt is too long"}
        self.waiting.append(command)
        return None

    def step(self) -> list[dict[str, Any]]:
        return [answer(self.waiting.pop(0))]


def answer(command: dict[str, Any]) -> dict[str, Any]:
    prompt, ticket = command["prompt"], command["ticket"]
    if prompt[0] == DIE:
        print("CUDA error: something is wrong", flush=True)
        time.sleep(0.2)  # earlier answers are read first
        os.kill(os.getpid(), signal.SIGKILL)
    if prompt[0] == HANG:
        time.sleep(3600)
    if "score" in command:
        return {"ticket": ticket, "scores": [float(token) for token in command["score"]]}
    adapter = (command["adapter"] or {"number": 0})["number"] if "adapter" in command else 0
    text = " ".join(map(str, [*reversed(prompt), command.get("seed", "greedy"), adapter, os.getpid()]))
    return {"ticket": ticket, "text": text, "ids": prompt[::-1], "reason": "stop", "stopped_by_text": prompt[0] == 7}


if __name__ == "__main__":
    serve(Echo)
