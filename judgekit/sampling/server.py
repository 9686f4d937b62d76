"""A server that speaks the OpenAI API: its requests, repeated where that helps, and errors that never show the key."""

from __future__ import annotations

import asyncio
import email.utils
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from judgekit.errors import ConfigError, MissingExtraError, ModelError, Problem, StageError
from judgekit.randomness import digest, draw_uniform
from judgekit.samplers.openai import OpenAIConfig

T = TypeVar("T")
log = logging.getLogger(__name__)

REPEATED = (408, 409, 429)
"""Status codes after which the same request may succeed; so may it after those from 500 on."""
LASTING_RETRIES = 2
"""Tries again after what a model itself did wrong, such as an empty reply, at most."""
FIRST_PAUSE = 1.0
"""Seconds before the first repetition where the server names no time; doubled each time."""
LONGEST_PAUSE = 32.0
LONGEST_WAIT = 900.0
"""A server that asks to wait longer, in seconds, ends the call: finished replies are kept."""
QUOTED = 300
"""Characters of a server's own words in a message."""
GO_ON = "Finished replies are kept: run the same command again to go on."


class Rejected(Exception):
    """The server understood a request and will not serve it.

    :ivar status: HTTP status
    :ivar code: the server's own name of the error, where it gives one
    :ivar field: the request's field at fault, likewise
    """

    def __init__(self, status: int, message: str, code: str, field: str) -> None:
        self.status, self.code, self.field = status, code, field
        super().__init__(message)


class TimedOut(Exception):
    """A request that was not answered in time as often as it was tried, where that is to be counted."""


class _Failed(Exception):
    """A request that may succeed when repeated. :ivar wait: seconds the server asks for"""

    def __init__(self, message: str, wait: float | None = None, timed_out: bool = False) -> None:
        self.wait, self.timed_out = wait, timed_out
        super().__init__(message)


class Unfinished(_Failed):
    """An answer that is no finished reply, as often as it was tried.

    :ivar reason: what such rows are counted under; ``detail`` what is particular to this one
    :ivar lasting: another try most likely gives the same
    """

    def __init__(self, reason: str, detail: str = "", *, lasting: bool = False) -> None:
        self.reason, self.detail, self.lasting = reason, detail, lasting
        super().__init__(f"{reason}: {detail}" if detail else reason)


@dataclass(frozen=True, slots=True)
class Served:
    """The model a server is asked for.

    :param card: what the server tells of it; empty where it tells nothing
    :param settings: further ones that decide what it writes
    """

    url: str
    name: str
    card: Mapping[str, Any]
    settings: Sequence[Any] = ()

    @property
    def digest(self) -> str:
        """What stands for weights: address and name of the model and what the server tells of it.

        A server that changes its weights and tells the same of them cannot be told from before.
        """
        told = {key: self.card.get(key) for key in ("root", "parent", "max_model_len")}
        return digest(["server", self.url, self.name, told, *self.settings], 32)

    @property
    def context(self) -> int | None:
        """Tokens of prompt and reply together, at most; None where the server does not say."""
        length = self.card.get("max_model_len")
        return length if isinstance(length, int) else None


class Server:
    """Requests to one server. All of them run in one event loop.

    :param count_timeouts: a request that timed out as often as it may be tried is given up alone
    :ivar url: address without credentials
    """

    def __init__(self, config: OpenAIConfig, count_timeouts: bool = False) -> None:
        """Read the key from the environment; nothing is sent yet.

        :raises MissingExtraError: without the package ``openai``
        :raises ConfigError: a key that cannot be sent
        """
        try:
            import openai
        except ImportError as error:
            raise MissingExtraError("openai", "openai") from error
        # Below this level they tell every request, which is noise, and headers, which must not be told.
        for name in ("openai", "httpx", "httpx2", "httpcore", "httpcore2"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self.config, self.url, self._count_timeouts = config, public_url(config.base_url), count_timeouts
        self._errors = openai
        self._key = read_key(config.api_key_env)
        self._client = openai.AsyncOpenAI(
            # Without a key of its own the client would send whatever OPENAI_API_KEY holds to any server.
            api_key=self._key or "none", base_url=config.base_url, timeout=config.timeout_seconds, max_retries=0,
        )  # fmt: skip
        self._room = asyncio.Semaphore(config.concurrency)
        self._gate = asyncio.Lock()
        self._open_at = 0.0

    async def served(self) -> Served:
        """The configured model, or the only one there is.

        :raises ModelError: the server offers none or several and none is configured
        :raises StageError: no answer
        """
        try:
            answer = await self.ask("/models")
        except Rejected as rejection:
            if rejection.status not in (404, 405):
                raise self.fatal(rejection) from None
            answer = {}
        cards = [
            card for card in answer.get("data") or [] if isinstance(card, dict) and isinstance(card.get("id"), str)
        ]
        names = [card["id"] for card in cards]
        wanted = self.config.served_model
        if wanted is None and len(names) != 1:
            offer = f"offers {', '.join(map(self.quote, names[:10]))}" if names else "does not list its models"
            raise ModelError(f"{self.url} {offer}. Name one with sampler.served_model=.")
        name = names[0] if wanted is None else wanted
        return Served(self.url, name, next((card for card in cards if card["id"] == name), {}), self.config.identity)

    async def ask(
        self, path: str, body: Mapping[str, Any] | None = None, check: Callable[[dict[str, Any]], object] | None = None
    ) -> dict[str, Any]:
        """POST a body as JSON (GET without one), again after failures that may pass.

        :param path: below the configured address, or below the server's root when it begins with ``//``
        :param check: raises ``Unfinished`` where an answer is to be asked for again
        :raises Unfinished: it still was none at last; only with a check
        :raises Rejected: the server will not serve it
        :raises TimedOut: it timed out at last, and timeouts are counted
        :raises StageError: it failed as often as configured
        """
        for attempt in range(self.config.retries + 1):
            try:
                answer = await self._attempt(path, body)
                if check is not None:
                    check(answer)
                return answer
            except _Failed as failure:
                reason = failure
            if isinstance(reason, Unfinished) and reason.lasting and attempt == LASTING_RETRIES:
                break
            if reason.wait is not None and reason.wait > LONGEST_WAIT:
                raise StageError(f"{self.url} {reason} and asks to wait {reason.wait:.0f} s. {GO_ON}")
            if attempt < self.config.retries:
                await self._pause(attempt, reason)
        if isinstance(reason, Unfinished) and check is not None:
            raise reason
        if reason.timed_out and self._count_timeouts:
            raise TimedOut(str(reason))
        times = f" ({self.config.retries + 1} times)" if self.config.retries else ""
        raise StageError(f"{self.url} {reason}{times}. See that the server runs. {GO_ON}")

    async def close(self) -> None:
        """Close connections."""
        await self._client.close()

    def fatal(self, rejection: Rejected) -> ModelError:
        """What to tell a user of a rejection that concerns every request."""
        remedy = "Change the settings of sampler that it names."
        if rejection.status in (401, 403):
            remedy = f"It needs a key: put one into the environment variable {self.config.api_key_env}."
            if self._key:
                remedy = f"It does not accept the key in the environment variable {self.config.api_key_env}."
        elif rejection.status == 404:
            remedy = "See that sampler.base_url and sampler.served_model are right."
        return ModelError(f"{self.url} refused a request with status {rejection.status}: {rejection} {remedy}")

    def quote(self, words: object) -> str:
        """A server's words in one line, without control characters and without the key, which some servers repeat."""
        text = str(words)
        text = text.replace(self._key, "[key]") if self._key else text
        text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        return text if len(text) <= QUOTED else text[:QUOTED] + " ..."

    async def _attempt(self, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        await self._turn()
        url = self.config.base_url.rstrip("/").removesuffix("/v1") + path[1:] if path.startswith("//") else path
        limit = self.config.timeout_seconds
        try:
            async with self._room, asyncio.timeout(limit):
                if body is None:
                    answer = await self._client.get(url, cast_to=object)
                else:
                    answer = await self._client.post(url, body=body, cast_to=object)
        except (TimeoutError, self._errors.APITimeoutError):
            raise _Failed(f"did not answer within {limit:g} s (sampler.timeout_seconds)", timed_out=True) from None
        except self._errors.APIConnectionError as error:
            raise _Failed(f"cannot be reached: {self.quote(error.__cause__ or error)}") from None
        except self._errors.APIStatusError as error:
            raise self._status(error) from None
        except ValueError:
            raise _Failed("answered with broken JSON") from None
        if not isinstance(answer, dict):
            raise _Failed(f"answered with something else than a JSON object: {self.quote(answer)[:80]!r}")
        if answer.get("error") and not answer.get("choices"):
            raise self._error(answer["error"])
        return answer

    def _error(self, error: Any) -> Exception:
        """An error that came with status 200."""
        told = error if isinstance(error, dict) else {"message": error}
        code = str(told.get("code") or told.get("status") or "")
        words = self.quote(told.get("message") or error)
        status = int(code) if code.isdecimal() else 400 if told.get("type") == "invalid_request_error" else 500
        if 400 <= status < 500 and status not in REPEATED:
            return Rejected(status, words, code, str(told.get("param") or ""))
        return Unfinished("the server answered with an error", words)

    def _status(self, error: Any) -> Exception:
        status, told = error.status_code, error.body if isinstance(error.body, dict) else {}
        words = self.quote(told.get("message") or error.body or error.response.reason_phrase)
        if status in REPEATED or status >= 500:
            return _Failed(f"answered with status {status}: {words}", retry_after(error.response.headers))
        return Rejected(status, words, str(told.get("code") or ""), str(told.get("param") or ""))

    async def _pause(self, attempt: int, failure: _Failed) -> None:
        """Wait before a repetition. A wait that the server asks for holds for all requests."""
        loop = asyncio.get_running_loop()
        if failure.wait is not None:
            self._open_at = max(self._open_at, loop.time() + failure.wait)
            log.debug("%s %s; waiting %.1f s", self.url, failure, failure.wait)
            return
        spread = 1.0 - 0.25 * draw_uniform("pause", repr(loop.time()))
        await asyncio.sleep(min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE) * spread)

    async def _turn(self) -> None:
        """Wait until a request may begin."""
        loop, limit = asyncio.get_running_loop(), self.config.requests_per_minute
        async with self._gate:
            while (wait := self._open_at - loop.time()) > 0:
                await asyncio.sleep(wait)
            if limit is not None:
                self._open_at = loop.time() + 60.0 / limit


def public_url(url: str) -> str:
    """An address without credentials and query, either of which could hold a key."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}{parts.path.rstrip('/')}"


def read_key(variable: str) -> str:
    """The key, empty where there is none.

    :raises ConfigError: it holds what no HTTP header can carry
    """
    key = os.environ.get(variable, "").strip()
    if not key.isascii() or not key.isprintable():
        message = f"the environment variable {variable} holds characters that no HTTP header can carry"
        raise ConfigError([Problem("sampler.api_key_env", message, "Set it to the key alone")])
    return key


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds a server asks to wait (``Retry-After``, as a number or a date); None where it does not."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        text = headers.get(name)
        if text is None:
            continue
        try:
            seconds = float(text) * unit
        except ValueError:
            try:
                seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
            except ValueError:
                continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None


class Loop:
    """An event loop in a thread of its own, so that requests go on while the caller writes replies to the cache."""

    def __init__(self) -> None:
        """Start the thread."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="judgekit-server", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin work in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
