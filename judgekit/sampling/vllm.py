"""``sampler=vllm``: text from vLLM's offline engine, which runs in processes of its own.

A child process gives its memory back for certain, and its crash becomes an error with the engine's own last lines.
The engine batches continuously, so what shares a batch differs from run to run: with low-precision arithmetic a
greedy reply may differ on repetition (``flip_rate`` in reports says how often verdicts do).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from judgekit.errors import ModelError, StageError
from judgekit.prompts.chat import decode_reply, end_of_turn, marker_tokens
from judgekit.prompts.tokenizers import check_own_load, load_tokenizer
from judgekit.samplers.vllm import VllmConfig
from judgekit.sampling import vllm_limits
from judgekit.sampling.base import Batch, Finish, Finished, Generation, Item, Request, Sampler
from judgekit.sampling.choices import Choices, Start
from judgekit.sampling.engine_process import EngineDied, EngineProcess, wait_for_any
from judgekit.sampling.streams import stream_key, uniforms
from judgekit.sampling.vllm_environment import environment, on_cpu
from judgekit.schema.models import ModelConfig
from judgekit.weights import Weights

LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks vLLM can be started with."""


@dataclass
class _Pending:
    """A sample under way: one request of free text, or one for every branch of its choices."""

    item: Item
    engine: int
    choices: Choices | None = None
    scores: dict[Start, list[float]] = field(default_factory=dict)


class VllmSampler:
    """A sampler over base weights with an optional LoRA adapter, which the engine serves unmerged."""

    def __init__(self, weights: Weights, model: ModelConfig, config: VllmConfig) -> None:
        """Remember what to load; engines start with the first batch, so that a full cache costs nothing."""
        self.weights, self.model, self.config = weights, model, config
        self._engines: list[EngineProcess] = []
        self._started_with: list[Any] = []
        self._tokenizer: Any = None
        self._adapter: dict[str, Any] | None = None
        self._tickets = 0

    def plan(self, requests: Sequence[Request]) -> list[Batch]:
        """One sample a batch, in the order of the prompts' tokens: what shares a beginning stands together."""
        order = sorted(range(len(requests)), key=lambda index: requests[index].prompt_ids)
        return [((index, sample),) for index in order for sample in requests[index].samples]

    def stream(self, requests: Sequence[Request], batches: Iterator[Batch]) -> Iterator[Finished]:
        """Keep every engine's queue filled and give samples as they finish.

        :raises StageError: an engine died; finished samples have been given
        """
        items = (item for batch in batches for item in batch)
        pending: dict[int, tuple[_Pending, Start]] = {}
        load = [0] * self.config.data_parallel
        try:
            while True:
                room = 2 * self.config.max_sequences * self.config.data_parallel - sum(load)
                for item in islice(items, max(0, room)):
                    self._start()
                    self._submit(requests, item, pending, load)
                if not pending:
                    return
                finished = [
                    (done.item, generation)
                    for number, answers in self._receive(len(pending))
                    for answer in answers
                    for done, generation in self._settle(requests, answer, pending, load, number)
                ]
                if finished:
                    yield finished
        finally:
            if pending:  # whoever asked stopped listening: the answers still to come are nobody's
                self.close()

    def close(self) -> None:
        """End the engines and wait until they are gone."""
        engines, self._engines = self._engines, []
        for engine in engines:
            engine.close()

    def take_over(self, other: Sampler) -> None:
        """Go on with the engines of another sampler, if they are what this one would start.

        An adapter comes with each request, so that the next checkpoint of a training costs no new start.
        """
        if not isinstance(other, VllmSampler):
            return
        alive = bool(other._engines) and all(engine.process.poll() is None for engine in other._engines)
        if alive and not self._engines and other._started_with == self._launches():
            self._load()
            self._engines, other._engines = other._engines, []
            self._started_with, self._tickets = other._started_with, other._tickets

    def _start(self) -> None:
        """Start all engines and wait until they are ready.

        :raises ModelError: weights or limits no engine can be started with
        :raises StageError: an engine died while starting
        """
        if self._engines:
            return
        vllm_limits.check(self.weights, self.model, self.config, cpu=on_cpu())
        self._load()
        self._started_with = self._launches()
        try:
            for arguments, variables in self._started_with:
                settings = {"engine": arguments, "ends": [end_of_turn(self._tokenizer)]}
                self._engines.append(EngineProcess("judgekit.sampling.vllm_engine", settings, variables))
            for engine in self._engines:
                engine.wait_until_ready(self.config.start_seconds)
        except EngineDied as death:
            self.close()
            raise StageError(f"The vLLM engine did not start. {death}") from death
        except BaseException:
            self.close()  # one that is not ready yet must not be taken for ready later
            raise

    def _launches(self) -> list[Any]:
        """Arguments and environment of every engine."""
        arguments = engine_arguments(self.weights, self.model, self.config, cpu=on_cpu())
        return [(arguments, environment(self.config, number)) for number in range(self.config.data_parallel)]

    def _load(self) -> None:
        """What requests are made with: the tokenizer, and the adapter under a number of its own."""
        check_own_load(self.weights.base, self.model.trust_remote_code)
        self._tokenizer = load_tokenizer(self.weights.base, self.model.trust_remote_code, self.model.template)
        if self.weights.adapter is not None:
            number = 1 + int(self.weights.digest[:7], 16)
            self._adapter = {"number": number, "folder": str(self.weights.adapter)}

    def _submit(
        self, requests: Sequence[Request], item: Item, pending: dict[int, tuple[_Pending, Start]], load: list[int]
    ) -> None:
        request, sample = requests[item[0]], item[1]
        params = request.params
        number = min(range(len(load)), key=lambda engine: load[engine])
        load[number] += 1
        if not params.choices:
            command: dict[str, Any] = {
                "prompt": request.prompt_ids, "temperature": params.temperature, "top_p": params.top_p,
                "max_tokens": params.max_new_tokens, "stop": params.stop,
                "repetition_penalty": params.repetition_penalty,
            }  # fmt: skip
            if self.config.seeded and params.temperature > 0:
                command["seed"] = stream_key(request, sample) >> 1
            self._send(number, command, pending, _Pending(item, number), ())
            return
        waiting = _Pending(item, number, Choices.of(params.choices, self._tokenizer))
        assert waiting.choices is not None
        for start, allowed in waiting.choices.branches.items():
            self._send(number, {"prompt": request.prompt_ids + start, "score": allowed}, pending, waiting, start)

    def _send(
        self,
        number: int,
        command: dict[str, Any],
        pending: dict[int, tuple[_Pending, Start]],
        sample: _Pending,
        start: Start,
    ) -> None:
        self._tickets += 1
        pending[self._tickets] = (sample, start)
        try:
            self._engines[number].send({"ticket": self._tickets, "adapter": self._adapter, **command})
        except EngineDied as death:
            raise self._death(death, len(pending)) from death

    def _receive(self, pending: int) -> list[tuple[int, list[dict[str, Any]]]]:
        """Answers of every engine that has some, by its number."""
        try:
            return wait_for_any(self._engines)
        except EngineDied as death:
            raise self._death(death, pending) from death

    def _death(self, death: EngineDied, pending: int) -> StageError:
        self.close()
        return StageError(
            f"The vLLM engine died while {pending} replies were under way. {death} Finished replies are kept: run the "
            f"same command again to go on."
        )

    def _settle(
        self,
        requests: Sequence[Request],
        answer: dict[str, Any],
        pending: dict[int, tuple[_Pending, Start]],
        load: list[int],
        number: int,
    ) -> Iterator[tuple[_Pending, Generation]]:
        """The sample an answer completes, if it does."""
        waiting, start = pending.pop(answer["ticket"])
        request, sample = requests[waiting.item[0]], waiting.item[1]
        if "error" in answer:
            self.close()
            raise StageError(f"vLLM refused the prompt of {request.id}: {answer['error']}")
        if waiting.choices is None:
            load[number] -= 1
            yield waiting, _generation(answer, request, self._tokenizer)
            return
        waiting.scores[start] = answer["scores"]
        if len(waiting.scores) == len(waiting.choices.branches):
            load[number] -= 1
            yield waiting, waiting.choices.decide(waiting.scores, request, float(uniforms(request, sample)[0]))


def _generation(answer: dict[str, Any], request: Request, tokenizer: Any) -> Generation:
    """The engine's text; where special tokens mark thoughts, which it leaves out, that of its token ids."""
    finish: Finish = "length" if answer["reason"] == "length" else "stop" if answer["stopped_by_text"] else "eos"
    ids, text = tuple(answer["ids"]), answer["text"]
    if not set(marker_tokens(tokenizer).values()).isdisjoint(ids):
        text = decode_reply(tokenizer, ids[:-1] if finish == "eos" else ids)
        places = [text.find(stop) for stop in request.params.stop if stop in text] if finish == "stop" else []
        text = text[: min(places)] if places else text
    return Generation(text, ids, finish, len(request.prompt_ids))


def engine_arguments(weights: Weights, model: ModelConfig, config: VllmConfig, *, cpu: bool) -> dict[str, Any]:
    """Arguments of ``vllm.LLM``.

    :raises ModelError: an adapter vLLM cannot serve
    """
    arguments: dict[str, Any] = {
        "model": str(weights.base), "dtype": model.dtype, "max_model_len": model.max_length,
        "trust_remote_code": model.trust_remote_code, "tensor_parallel_size": config.tensor_parallel,
        "max_num_seqs": config.max_sequences, "enable_prefix_caching": True, "disable_log_stats": True,
        "enforce_eager": config.eager if config.eager is not None else cpu,
    }  # fmt: skip
    if config.batch_tokens is not None:
        arguments["max_num_batched_tokens"] = config.batch_tokens
    if cpu:
        # On a CPU, seeds of single samples and prefill in chunks do not go together: the engine dies.
        arguments["enable_chunked_prefill"] = False
        arguments["max_num_batched_tokens"] = max(config.batch_tokens or CPU_BATCH_TOKENS, model.max_length)
    else:
        arguments["gpu_memory_utilization"] = config.gpu_memory
    if weights.adapter is not None:
        arguments |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": lora_rank(weights)}
        if cpu:
            arguments["worker_extension_cls"] = "judgekit.sampling.vllm_lora.WorkerExtension"
    for name, text in config.options.items():
        try:
            arguments[name] = json.loads(text)
        except ValueError:
            arguments[name] = text
    return arguments


CPU_BATCH_TOKENS = 4096
"""Tokens of one forward pass on a CPU where the configuration leaves it open."""


_NOT_SERVED = (
    "use_dora", "modules_to_save", "rank_pattern", "alpha_pattern", "bias", "lora_bias", "trainable_token_indices",
    "target_parameters", "layer_replication", "alora_invocation_tokens", "use_qalora", "use_bdlora", "arrow_config",
    "kasa_config",
)  # fmt: skip
"""What vLLM refuses, or reads past: it scales every module by one lora_alpha / r and knows pairs of matrices alone."""


def lora_rank(weights: Weights) -> int:
    """The smallest rank vLLM can be started with that holds the adapter.

    :raises ModelError: an adapter vLLM cannot serve
    """
    assert weights.adapter is not None
    path = weights.adapter / "adapter_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    remedy = "Use sampler=hf, or merge the adapter into the weights."
    if (kind := str(settings.get("peft_type", "LORA"))) != "LORA" or "r" not in settings:
        raise ModelError(f"{path}: vLLM serves LoRA adapters, and this is one of {kind}. {remedy}")
    for name in _NOT_SERVED:
        if settings.get(name) not in (None, False, "none", {}, []):
            raise ModelError(f"{path}: vLLM cannot serve an adapter with {name}. {remedy}")
    rank = int(settings["r"])
    fitting = [allowed for allowed in LORA_RANKS if allowed >= rank]
    if not fitting:
        raise ModelError(f"{path}: vLLM serves adapters up to rank {LORA_RANKS[-1]}, this has {rank}. {remedy}")
    return fitting[0]
