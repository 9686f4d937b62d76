"""``sampler=openai``: text from a server that speaks the OpenAI API.

The server renders the chat template and encodes the text itself. Every sample is one request, so that finished ones
are kept whatever happens to the others.
"""

from __future__ import annotations

import asyncio
import json
import queue
import re
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from judgekit.errors import ConfigError, Problem, StageError
from judgekit.samplers.openai import OpenAIConfig
from judgekit.sampling.adjusting import Adjustments
from judgekit.sampling.base import (
    Batch,
    Finished,
    Generation,
    Item,
    ModelChanged,
    Prices,
    Progress,
    Refusal,
    Request,
)
from judgekit.sampling.cache import GenerationCache
from judgekit.sampling.choices import Choices, Start
from judgekit.sampling.completions import FILTERED, choice_of, read_completion, thought_tokens_of, usage_of
from judgekit.sampling.identity import Identity, answering
from judgekit.sampling.server import GO_ON, Loop, Rejected, Served, Server, T, TimedOut, Unfinished
from judgekit.sampling.streams import stream_key, uniforms
from judgekit.sampling.text import TOO_LONG, TextSampler

_LONG = re.compile(
    r"context[ _-]?(length|size|window)|\b(prompt|inputs?)\b[^.]{0,60}(too long|too large|exceeds|must be <=)", re.I
)
"""How servers say that a prompt is too long."""
_MARKER = re.compile(r"<[^<>\s]{1,64}>|\[/?[A-Za-z_]{2,32}\]")
"""What the special tokens of chat templates look like."""


def server_sampler(
    config: OpenAIConfig,
    store_root: Path,
    progress: Callable[[str], Progress] | None = None,
    count_timeouts: bool = False,
) -> TextSampler:
    """A server's model, ready to be asked. Close it after use.

    :param store_root: root folder of the store that keeps the replies
    :param count_timeouts: a request that times out at last is refused, instead of ending the call
    :raises ConfigError: settings that a server cannot be asked with
    :raises MissingExtraError: without the package ``openai``
    :raises ModelError: the server does not offer the model
    :raises StageError: the server does not answer
    """
    problems = config.problems()
    if problems:
        raise ConfigError([problem.under("sampler") for problem in problems])
    sampler = OpenAISampler(config, count_timeouts)
    try:
        served = sampler.served()
        about = f"{served.name} at {served.url}"
        sampler.identity = Identity(store_root, served.digest, about)
        cache = GenerationCache(store_root, sampler.identity.digest, about)
    except BaseException:
        sampler.close()
        raise
    charged = config.price_prompt or config.price_generated
    prices = Prices(config.price_prompt, config.price_generated) if charged else None
    return TextSampler(None, sampler, cache, served.context or 0, progress, prices=prices, served=served.name)


class OpenAISampler:
    """A sampler over one model of one server.

    :ivar identity: remembers which model answers; None: nobody does
    """

    def __init__(self, config: OpenAIConfig, count_timeouts: bool = False) -> None:
        """Remember where to ask.

        :raises MissingExtraError: without the package ``openai``
        """
        self.config, self._count_timeouts = config, count_timeouts
        self._connected: Server | None = Server(config, count_timeouts)
        self._loop: Loop | None = None
        self._model: Served | None = None
        self._trees: dict[tuple[str, ...], tuple[Choices, dict[Start, str]]] = {}
        self._special: dict[str, bool] = {}
        self._adjustments = Adjustments(self._connected.url)
        self._used, self._cost = 0, 0.0
        self.identity: Identity | None = None

    def served(self) -> Served:
        """The model that is asked; the server is asked for it once.

        :raises ModelError: the server does not offer it
        :raises StageError: no answer
        """
        if self._model is None:
            self._model = self._run(self._server.served()).result()
        return self._model

    def plan(self, requests: Sequence[Request]) -> list[Batch]:
        """One sample a batch; prompts that share a beginning stand together.

        :raises ConfigError: requests that need ``dialect=vllm``
        """
        if self.config.dialect != "vllm":
            features = {
                "go on with a begun reply": any(request.prefill for request in requests),
                "choose among given replies": any(request.params.choices for request in requests),
                "penalise repetition": any(request.params.repetition_penalty != 1 for request in requests),
            }
            hint = "Use sampler.dialect=vllm with a vLLM server, or settings that do not need it"
            problems = [
                Problem("sampler.dialect", f"the server is asked to {name}, which the OpenAI API cannot", hint)
                for name, needed in features.items()
                if needed
            ]
            if problems:
                raise ConfigError(problems)
        order = sorted(range(len(requests)), key=lambda index: json.dumps(requests[index].prompt))
        return [((index, sample),) for index in order for sample in requests[index].samples]

    def stream(self, requests: Sequence[Request], batches: Iterator[Batch]) -> Iterator[Finished]:
        """Keep as many requests under way as configured and give samples as they finish.

        :raises StageError: the server failed or a limit is reached; finished samples have been given
        :raises ModelChanged: another model answers than the one the caller has replies of
        :raises ModelError: the server refuses every request
        """
        items = (item for batch in batches for item in batch)
        done: queue.SimpleQueue[Future[Generation | Refusal]] = queue.SimpleQueue()
        pending: dict[Future[Generation | Refusal], Item] = {}
        left, ahead = False, 2 if self.config.max_total_tokens is None and self.config.max_cost is None else 1
        try:
            while True:
                spent = self._spent()
                # Twice as many, so that the next are at hand while finished ones are written.
                for item in islice(items, ahead * self.config.concurrency - len(pending)):
                    if spent:
                        left = True
                        break
                    self.served()
                    future = self._run(self._sample(requests[item[0]], item[1]))
                    pending[future] = item
                    future.add_done_callback(done.put)
                if not pending and left:
                    raise StageError(f"{self._server.url}: {spent}. Raise it to go further. {GO_ON}")
                if not pending:
                    return
                ended = [done.get()]
                while not done.empty():
                    ended.append(done.get())
                finished = [(pending.pop(future), future) for future in ended]
                for error in (future.exception() for _, future in finished):
                    if isinstance(error, ModelChanged):  # what came with it is the other model's
                        raise error
                if good := [(item, future.result()) for item, future in finished if future.exception() is None]:
                    yield good
                for error in (future.exception() for _, future in finished):
                    if error is not None:
                        raise error
        finally:
            for future in pending:
                future.cancel()

    def close(self) -> None:
        """Close connections; the next call opens them again."""
        if self._loop is not None:
            self._loop.run(self._server.close()).result()
            self._loop.close()
            self._loop = self._connected = None

    @property
    def _server(self) -> Server:
        if self._connected is None:
            self._connected = Server(self.config, self._count_timeouts)
        return self._connected

    def _run(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        if self._loop is None:
            self._loop = Loop()
        return self._loop.run(work)

    async def _sample(self, request: Request, sample: int) -> Generation | Refusal:
        try:
            if self.config.dialect == "vllm" and (marker := await self._special_token(request)) is not None:
                return Refusal("text holds a special token of the server's model", marker)
            if request.params.choices:
                return await self._choose(request, sample)
            return self._read(*await self._ask(self._body(request, sample), request), request)
        except Unfinished as error:
            return Refusal(error.reason, error.detail)
        except TimedOut as error:
            return Refusal("timed out", str(error))
        except Rejected as rejection:
            refusal = self._refusal(rejection)
            if refusal is None:
                raise self._server.fatal(rejection) from None
            return refusal

    def _refusal(self, rejection: Rejected) -> Refusal | None:
        """What a rejection means that concerns one prompt alone; None where it concerns all."""
        words = f"{rejection.code} {rejection}"
        if rejection.status == 413 or rejection.status in (400, 422) and _LONG.search(words):
            return Refusal(TOO_LONG, str(rejection))
        if rejection.code in FILTERED:
            return Refusal("refused by the server's content filter")
        return None

    def _body(self, request: Request, sample: int) -> dict[str, Any]:
        params = request.params
        body: dict[str, Any] = {
            "model": self.served().name, "temperature": params.temperature, "max_tokens": params.max_new_tokens,
            **self.config.extra_body,
        }  # fmt: skip
        body |= _turns(request, request.prefill)
        if params.temperature > 0:
            body |= {"top_p": params.top_p, "seed": stream_key(request, sample) >> 1}
        if params.stop:
            body["stop"] = list(params.stop)
        if params.repetition_penalty != 1:
            body["repetition_penalty"] = params.repetition_penalty
        return body

    async def _ask(
        self, body: Mapping[str, Any], request: Request | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """An answer, and what the server says of it (``Generation.served``).

        :param request: what is answered in free text, where only a finished reply is an answer
        """

        def check(answer: Mapping[str, Any]) -> None:
            self._spend(answer)
            try:
                choice_of(answer) if request is None else read_completion(answer, request, self._server.quote)
            except (ValueError, TypeError):
                raise self._strange(answer) from None

        while True:
            sent, changed = self._adjustments.apply(body)
            try:
                answer = await self._server.ask("/chat/completions", sent, check)
            except Rejected as rejection:
                if self._refusal(rejection) is not None or not self._adjustments.learn(rejection, body, sent):
                    raise
                continue
            if self.identity is not None:
                self.identity.note(answer)
            model, fingerprint = answering(answer)
            thought = thought_tokens_of(answer)
            counted = {} if thought is None else {"thought_tokens": thought}
            return answer, {"model": model, "fingerprint": fingerprint, "changed": changed} | counted

    def _read(self, answer: Mapping[str, Any], served: dict[str, Any], request: Request) -> Generation | Refusal:
        found, context = read_completion(answer, request, self._server.quote), self.served().context
        prompt, generated, wanted = found.prompt, found.generated, request.params.max_new_tokens
        if found.finish is None:
            return Refusal("refused by the server's content filter")
        if found.declined:
            return Refusal("refused by the server's model", found.declined)
        if found.finish == "length" and generated < wanted and prompt + generated >= (context or 1e9):
            return Refusal(TOO_LONG, f"{prompt} prompt tokens, with {wanted} for the reply the limit is {context}")
        text, finish = _valid(found.text), found.finish
        if "without stop" in served["changed"]:
            places = [place for stop in request.params.stop if (place := text.find(stop)) >= 0]
            text, finish = (text[: min(places)], "stop") if places else (text, found.finish)
        return Generation(text, (), finish, prompt, None, generated, served)

    def _spend(self, answer: Mapping[str, Any]) -> None:
        prompt, generated = usage_of(answer)
        self._used += prompt + generated
        self._cost += (prompt * self.config.price_prompt + generated * self.config.price_generated) / 1e6

    def _spent(self) -> str:
        """Which limit is reached, in words; empty: none."""
        config = self.config
        if config.max_total_tokens is not None and self._used >= config.max_total_tokens:
            return f"{self._used} tokens are used, which sampler.max_total_tokens={config.max_total_tokens} ends"
        if config.max_cost is not None and self._cost >= config.max_cost:
            return f"{self._cost:g} is spent, which sampler.max_cost={config.max_cost:g} ends"
        return ""

    def _strange(self, answer: Mapping[str, Any]) -> StageError:
        told = self._server.quote(answer.get("error") or json.dumps(answer))
        return StageError(f"{self._server.url} answered with something that is no chat completion: {told} {GO_ON}")

    async def _choose(self, request: Request, sample: int) -> Generation:
        """One request for every place where the allowed texts part, for the probabilities of the tokens there."""
        choices, starts = await self._tree(request.params.choices)

        async def score(start: Start) -> tuple[list[float], int, dict[str, Any]]:
            allowed = choices.branches[start]
            body = {
                "model": self.served().name, "temperature": 0.0, "max_tokens": 1, "logprobs": True,
                "logprob_token_ids": list(allowed), "return_tokens_as_token_ids": True, **self.config.extra_body,
                **_turns(request, request.prefill + starts[start]),
            }  # fmt: skip
            answer, served = await self._ask(body)
            choice, (prompt, _) = choice_of(answer), usage_of(answer)
            try:
                found = {entry["token"]: entry["logprob"] for entry in choice["logprobs"]["content"][0]["top_logprobs"]}
                return [float(found[f"token_id:{token}"]) for token in allowed], prompt, served
            except (KeyError, IndexError, TypeError, ValueError):
                raise StageError(
                    f"{self._server.url} does not tell how probable given tokens are (logprob_token_ids), which "
                    f"sampler.verdict=constrained needs. Use a newer vLLM or sampler.verdict=free. {GO_ON}"
                ) from None

        scored = await asyncio.gather(*map(score, choices.branches))
        scores = {start: found for start, (found, *_) in zip(choices.branches, scored, strict=True)}
        chosen = choices.decide(scores, request, float(uniforms(request, sample)[0]))
        return replace(
            chosen, prompt_tokens=sum(prompt for _, prompt, _ in scored), generated=len(scored), served=scored[0][2]
        )

    async def _tree(self, texts: tuple[str, ...]) -> tuple[Choices, dict[Start, str]]:
        """The tree of the allowed texts' tokens, and the text before each branch."""
        if texts not in self._trees:
            ids = [tuple(await self._tokens(text)) for text in texts]
            choices = Choices.of_tokens(texts, ids)
            starts = {start: await self._text(start) for start in choices.branches}
            self._trees[texts] = choices, starts
        return self._trees[texts]

    async def _tokens(self, text: str) -> list[int]:
        body = {"model": self.served().name, "prompt": text, "add_special_tokens": False}
        return list((await self._server.ask("//tokenize", body))["tokens"])

    async def _text(self, tokens: Start) -> str:
        if not tokens:
            return ""
        body = {"model": self.served().name, "tokens": list(tokens)}
        return str((await self._server.ask("//detokenize", body))["prompt"])

    async def _special_token(self, request: Request) -> str | None:
        """A special token in the texts, which the server would take for one; API providers encode it as text."""
        for text in (*(message["content"] for message in request.messages), request.prefill):
            for marker in dict.fromkeys(_MARKER.findall(text)):
                if marker not in self._special:
                    self._special[marker] = await self._is_special(marker)
                if self._special[marker]:
                    return str(marker)
        return None

    async def _is_special(self, marker: str) -> bool:
        """Whether a marker is one token that vanishes where special tokens are left out of a reply.

        Words of the vocabulary (``<p>``, ``[OK]``) and tokens that are added but not special stay in it.
        """
        looks_special = marker.startswith("<|") and marker.endswith("|>")
        try:
            tokens = await self._tokens(marker)
            if len(tokens) != 1:
                return False
            body = {
                "model": self.served().name, "prompt": "a", "max_tokens": 1, "temperature": 0.0, "ignore_eos": True,
                "allowed_token_ids": tokens, "skip_special_tokens": True,
            }  # fmt: skip
            (choice,) = (await self._server.ask("/completions", body))["choices"]
            return not str(choice["text"]).strip()
        except Rejected as rejection:
            if rejection.status not in (400, 404, 405, 422):
                raise
            return looks_special  # the server cannot be asked
        except (KeyError, TypeError, ValueError):
            return looks_special


def _turns(request: Request, prefill: str) -> dict[str, Any]:
    """The messages as a server takes them, and what makes it go on with a begun reply."""
    messages = [dict(message) for message in request.messages]
    if not prefill:
        return {"messages": messages}
    messages.append({"role": "assistant", "content": prefill})
    return {"messages": messages, "add_generation_prompt": False, "continue_final_message": True}


def _valid(text: str) -> str:
    """The text with halves of surrogate pairs, which JSON can hold and files cannot, replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
