"""``sampler``: one dataclass per back end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from judgekit.schema.fields import setting

_WHO = "who draws, when and how fast, not what"


@dataclass(frozen=True)
class SamplingConfig:
    """What every back end of ``sampler`` understands."""

    temperature: float = setting(
        0.8, "sampling temperature of plans, executions and judgments to train on; 0: greedy", ge=0.0, le=2.0
    )
    top_p: float = setting(0.95, "nucleus probability", gt=0.0, le=1.0)
    plan_tokens: int = setting(512, "longest plan, tokens", ge=1)
    execution_tokens: int = setting(2048, "longest execution with its verdict, tokens", ge=1)
    judge_tokens: int = setting(2048, "longest whole judgment, tokens", ge=1)
    verdict: Literal["free", "constrained"] = setting(
        "free", "free: the verdict is read from the text; constrained: chosen among the allowed verdicts, yields P(A)"
    )
    shards: int = setting(1, "parts a sampling stage splits into", ge=1, unkeyed=_WHO)
    shard: int | None = setting(
        None, "draw only this part (0-based), then wait for the others; null: draw all", ge=0, unkeyed=_WHO
    )
    shard_wait: float | None = setting(
        None, "seconds a shard waits for the others after its own part; null: as long as it takes", ge=0, unkeyed=_WHO
    )
    flip_pairs: int = setting(
        0, "pairs of a benchmark judged a second time, to report how many greedy verdicts flip (flip_rate)", ge=0
    )


@dataclass(frozen=True)
class HfConfig(SamplingConfig):
    """``sampler=hf``: transformers on one device."""

    name: Literal["hf"] = setting("hf", "back end")
    device: str = setting("auto", "torch device; auto: cuda where there is one, else cpu", rounding=True)
    batch_size: int = setting(64, "sequences generated together, at most", ge=1, rounding=True)
    batch_tokens: int = setting(32768, "tokens (prompts and replies) held together, at most", ge=64, rounding=True)


@dataclass(frozen=True)
class VllmConfig(SamplingConfig):
    """``sampler=vllm``: vLLM's offline engine in processes of its own."""

    name: Literal["vllm"] = setting("vllm", "back end")
    tensor_parallel: int = setting(1, "GPUs one engine splits the model over", ge=1, rounding=True)
    data_parallel: int = setting(
        1, "engines side by side, each on tensor_parallel GPUs of its own", ge=1, rounding=True
    )
    gpu_memory: float = setting(0.9, "share of a GPU's memory the engine may fill", gt=0.0, le=1.0, rounding=True)
    cpu_memory: float = setting(2.0, "memory for cached tokens on a CPU, GiB", gt=0.0, rounding=True)
    max_sequences: int = setting(256, "sequences generated together, at most", ge=1, rounding=True)
    batch_tokens: int | None = setting(
        None, "tokens of one forward pass, at most; null: vLLM's own choice", ge=64, rounding=True
    )
    eager: bool | None = setting(
        None, "no compiled graphs: starts sooner, runs slower on a GPU; null: on a CPU only", rounding=True
    )
    seeded: bool = setting(
        True, "each sample draws from its own seed; false is a little faster and not repeatable",
        unkeyed="without it the same configuration gives other samples each time it draws",
    )  # fmt: skip
    start_seconds: float = setting(1800.0, "time the engine has to start", gt=0, unkeyed=_WHO)
    options: dict[str, str] = setting({}, "further engine arguments by vLLM's names, as text (JSON where not a string)")


@dataclass(frozen=True)
class OpenAIConfig(SamplingConfig):
    """``sampler=openai``: a server that speaks the OpenAI API. The key is read from the environment only."""

    name: Literal["openai"] = setting("openai", "back end")
    base_url: str = setting("http://localhost:8000/v1", "address of the server")
    served_model: str | None = setting(None, "model to ask for; null: the only one the server offers")
    dialect: Literal["openai", "vllm"] = setting(
        "openai", "vllm: the server also continues a begun reply and restricts replies to given texts"
    )
    api_key_env: str = setting("OPENAI_API_KEY", "environment variable that holds the key", unkeyed=_WHO)
    concurrency: int = setting(32, "requests under way at the same time, at most", ge=1, unkeyed=_WHO)
    requests_per_minute: int | None = setting(
        None, "rate limit to keep; null: only what the server says", ge=1, unkeyed=_WHO
    )
    retries: int = setting(
        6, "tries again after a transport error, an overload or a rate limit, at most", ge=0, unkeyed=_WHO
    )
    timeout_seconds: float = setting(600.0, "time one request may take", gt=0, unkeyed=_WHO)
    price_prompt: float = setting(0.0, "price of a million prompt tokens, any currency", ge=0.0, unkeyed="a price")
    price_generated: float = setting(0.0, "price of a million generated tokens", ge=0.0, unkeyed="a price")


SamplerConfig = HfConfig | VllmConfig | OpenAIConfig
"""Union of the back ends' dataclasses; ``sampler.name`` says which one a configuration holds."""

SAMPLERS: dict[str, type[SamplerConfig]] = {"hf": HfConfig, "vllm": VllmConfig, "openai": OpenAIConfig}
