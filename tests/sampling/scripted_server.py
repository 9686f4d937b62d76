"""A small HTTP server that speaks the OpenAI API from a script and notes what it was asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Body = dict[str, Any]


@dataclass
class Answer:
    """What goes back.

    :param body: JSON value, or bytes sent as they are
    :param drop: close the connection after half of the body
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drop: bool = False


def reply(text: str, reason: str = "stop", *, prompt: int = 7, generated: int = 3, **choice: Any) -> Answer:
    """A chat completion."""
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": prompt, "completion_tokens": generated, "total_tokens": prompt + generated}
    choices = [{"index": 0, "message": message, "finish_reason": reason, **choice}]
    return Answer({"id": "x", "object": "chat.completion", "model": "m", "choices": choices, "usage": usage})


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None, **error: Any) -> Answer:
    """An error as the API words it."""
    return Answer({"error": {"message": message, "type": "error", **error}}, status, headers or {})


def last(body: Body) -> str:
    """The last message's text."""
    return str(body["messages"][-1]["content"])


def echo(body: Body, number: int) -> Answer:
    """Answer with the question."""
    return reply(f"to {last(body)}")


class ScriptedServer:
    """Use it as a context manager.

    :param chat: answers (body, how many came before with the same body) of chat completions
    :ivar bodies: bodies of chat completions in the order they came, ``times`` when
    :ivar headers: of the last request
    :ivar most: chat completions under way at the same time, at most
    """

    def __init__(self, chat: Callable[[Body, int], Answer] = echo, models: Answer | None = None) -> None:
        self.chat = chat
        self.models = models or Answer({"data": [{"id": "m", "root": "/weights", "max_model_len": 100}]})
        self.special = ("<|im_start|>", "<|im_end|>")
        self.words = ("<p>", "[OK]", "</think>")
        self.bodies: list[Body] = []
        self.times: list[float] = []
        self.headers: dict[str, str] = {}
        self.most = self._now = 0
        self._lock = threading.Lock()
        self._seen: dict[str, int] = {}
        handler = type("Handler", (_Handler,), {"script": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, path: str, body: Body | None, headers: dict[str, str]) -> Answer:
        self.headers = headers
        if path == "/v1/models":
            return self.models
        assert body is not None
        if path == "/tokenize":  # a token a character, and the special ones
            text = body["prompt"]
            if text in self.words:
                return Answer({"tokens": [2 + self.words.index(text)]})
            return Answer({"tokens": [1] if text in self.special else [ord(char) for char in text]})
        if path == "/v1/completions":  # of one token; special ones leave no text
            (token,) = body["allowed_token_ids"]
            return Answer(
                {"choices": [{"text": "" if token == 1 else self.words[token - 2], "finish_reason": "length"}]}
            )
        if path == "/detokenize":
            return Answer({"prompt": "".join(map(chr, body["tokens"]))})
        assert path == "/v1/chat/completions"
        name = json.dumps(body, sort_keys=True)
        with self._lock:
            number = self._seen[name] = self._seen.get(name, -1) + 1
            self.bodies.append(body)
            self.times.append(time.monotonic())
            self._now += 1
            self.most = max(self.most, self._now)
        answer = self.chat(body, number)
        time.sleep(answer.delay)
        with self._lock:
            self._now -= 1
        return answer


class _Handler(BaseHTTPRequestHandler):
    script: ScriptedServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        self._send(self.script.answer(self.path, None, {name.lower(): value for name, value in self.headers.items()}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._send(self.script.answer(self.path, body, {name.lower(): value for name, value in self.headers.items()}))

    def _send(self, answer: Answer) -> None:
        data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        try:
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if answer.drop else data)
        except OSError:
            return  # the client gave up
        if answer.drop:
            self.close_connection = True
            self.connection.close()
