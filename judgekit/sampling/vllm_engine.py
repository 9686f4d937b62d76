"""The process that runs a vLLM engine for ``judgekit.sampling.vllm``.

``python -m judgekit.sampling.vllm_engine COMMANDS RESULTS`` with the numbers of two open pipes. The first command is
the settings, each further one a request; each line of results is a list of what finished together.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol

Commands = queue.SimpleQueue[dict[str, Any]]


class ServedEngine(Protocol):
    """An engine that takes requests one by one and finishes them in steps."""

    def busy(self) -> bool:
        """Whether requests are under way."""
        ...

    def add(self, command: dict[str, Any]) -> dict[str, Any] | None:
        """Take a request; an answer that says why it cannot be served, if so."""
        ...

    def step(self) -> list[dict[str, Any]]:
        """One step; what it finished."""
        ...


def serve(start: Callable[[dict[str, Any]], ServedEngine]) -> None:
    """Start an engine, then serve until the parent closes its pipe."""
    source = os.fdopen(int(sys.argv[1]), "rb")
    results = os.fdopen(int(sys.argv[2]), "wb", buffering=0)
    settings = json.loads(source.readline())
    commands: Commands = queue.SimpleQueue()
    # Commands are read at all times: a parent that is sending some does not read answers meanwhile.
    threading.Thread(target=_read, args=(source, commands), daemon=True).start()
    engine = start(settings)
    _write(results, ["ready"])
    while True:
        wait = not engine.busy()
        while wait or not commands.empty():
            if (refusal := engine.add(commands.get())) is not None:
                _write(results, [refusal])
            wait = False
        if engine.busy() and (finished := engine.step()):
            _write(results, finished)


def _read(source: BinaryIO, commands: Commands) -> None:
    """Hand commands over; at their end the parent is gone, and nothing of this group shall outlive it."""
    for line in source:
        commands.put(json.loads(line))
    os.killpg(0, signal.SIGKILL)


def _write(results: Any, answers: list[Any]) -> None:
    view = memoryview(json.dumps(answers).encode() + b"\n")
    while view:
        view = view[results.write(view) :]


class Engine:
    """vLLM's engine, fed with token ids."""

    def __init__(self, settings: dict[str, Any]) -> None:
        """Load the weights. :param settings: ``engine`` arguments and ``ends``, token ids"""
        from vllm import LLM

        self._engine: Any = LLM(**settings["engine"]).llm_engine
        self._ends = settings["ends"]
        self._scored: dict[str, list[int]] = {}

    def busy(self) -> bool:
        """Whether requests are under way."""
        return bool(self._engine.has_unfinished_requests())

    def add(self, command: dict[str, Any]) -> dict[str, Any] | None:
        """Take a request; an answer that says why it cannot be served, if so."""
        ticket = str(command["ticket"])
        try:
            self._engine.add_request(
                ticket, {"prompt_token_ids": command["prompt"]}, self._params(command),
                lora_request=_adapter(command["adapter"]),
            )  # fmt: skip
        except ValueError as error:
            return {"ticket": command["ticket"], "error": str(error)}
        if "score" in command:
            self._scored[ticket] = command["score"]
        return None

    def step(self) -> list[dict[str, Any]]:
        """One step of the engine; what it finished."""
        return [self._answer(output) for output in self._engine.step() if output.finished]

    def _params(self, command: dict[str, Any]) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        final = RequestOutputKind.FINAL_ONLY
        if "score" in command:
            # One greedy token, whatever it is: wanted are the log-probabilities of the allowed ones.
            return SamplingParams(
                temperature=0.0, max_tokens=1, logprob_token_ids=command["score"], output_kind=final, detokenize=False
            )
        return SamplingParams(
            temperature=command["temperature"], top_p=command["top_p"], max_tokens=command["max_tokens"],
            repetition_penalty=command["repetition_penalty"], stop=command["stop"], seed=command.get("seed"),
            stop_token_ids=self._ends, output_kind=final,
        )  # fmt: skip

    def _answer(self, output: Any) -> dict[str, Any]:
        reply = output.outputs[0]
        answer: dict[str, Any] = {"ticket": int(output.request_id)}
        if (tokens := self._scored.pop(output.request_id, None)) is not None:
            return answer | {"scores": [reply.logprobs[0][token].logprob for token in tokens]}
        if reply.finish_reason not in ("stop", "length"):
            return answer | {"error": f"generation ended with {reply.finish_reason!r}"}
        stopped_by_text = isinstance(reply.stop_reason, str)
        return answer | {
            "text": reply.text, "ids": list(reply.token_ids), "reason": reply.finish_reason,
            "stopped_by_text": stopped_by_text,
        }  # fmt: skip


def _adapter(adapter: dict[str, Any] | None) -> Any:
    """What vLLM loads with the first request that names it; of more than ``max_loras`` it forgets the oldest."""
    if adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest(f"judge-{adapter['number']}", adapter["number"], adapter["folder"])


if __name__ == "__main__":
    serve(Engine)
