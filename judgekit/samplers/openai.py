"""``sampler=openai``: a server that speaks the OpenAI API."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from judgekit.errors import Problem
from judgekit.samplers.base import SAMPLERS, WHO, SamplerConfig
from judgekit.schema.fields import setting

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
"""In capitals: many keys would be names of variables otherwise."""
_OWN_FIELDS = {
    "model", "messages", "temperature", "top_p", "seed", "stop", "max_tokens", "max_completion_tokens", "n", "stream",
    "repetition_penalty", "logprobs", "add_generation_prompt", "continue_final_message",
}  # fmt: skip
CAP = "it ends a stage or does not, and changes none"


@SAMPLERS.register
@dataclass(frozen=True)
class OpenAIConfig(SamplerConfig):
    """``sampler=openai``: a server that speaks the OpenAI API. The key is read from the environment only."""

    function: ClassVar[str] = "judgekit.sampling.openai:server_sampler"
    takes_weights: ClassVar[bool] = False
    penalises: ClassVar[bool] = True
    name: Literal["openai"] = setting("openai", "back end")
    base_url: str = setting("http://localhost:8000/v1", "address of the server")
    served_model: str | None = setting(None, "model to ask for; null: the only one the server offers")
    dialect: Literal["openai", "vllm"] = setting(
        "openai",
        "vllm: the server also continues a begun reply, restricts replies to given texts and has a repetition penalty",
    )
    extra_body: dict[str, Any] = setting(
        {}, "further fields of every request, by the server's names, for example chat_template_kwargs", off={}
    )
    api_key_env: str = setting("OPENAI_API_KEY", "environment variable that holds the key", unkeyed=WHO)
    concurrency: int = setting(32, "requests under way at the same time, at most", ge=1, unkeyed=WHO)
    requests_per_minute: int | None = setting(
        None, "rate limit to keep; null: only what the server says", ge=1, unkeyed=WHO
    )
    retries: int = setting(
        6, "tries again after a transport error, an overload or a rate limit, at most", ge=0, unkeyed=WHO
    )
    timeout_seconds: float = setting(600.0, "time one request may take", gt=0, unkeyed=WHO)
    price_prompt: float = setting(0.0, "price of a million prompt tokens, any currency", ge=0.0, unkeyed="a price")
    price_generated: float = setting(0.0, "price of a million generated tokens", ge=0.0, unkeyed="a price")
    max_total_tokens: int | None = setting(
        None, "tokens, prompts included, that one command may use before it ends; null: no limit", ge=1, unkeyed=CAP
    )
    max_cost: float | None = setting(
        None, "what one command may cost at these prices before it ends; null: no limit", gt=0.0, unkeyed=CAP
    )

    @property
    def identity(self) -> list[Any]:
        """What decides the text besides the model and the request; what is as ever is left out."""
        told = {"dialect": self.dialect, "extra_body": self.extra_body}
        own = {name: value for name, value in told.items() if value not in ("openai", {})}
        return [own] if own else []

    def problems(self) -> list[Problem]:
        """Also settings a server cannot be asked with. No message repeats what may be a key."""
        found = super().problems()
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            found.append(Problem("base_url", "not an address", "Give one like http://localhost:8000/v1"))
        if url.username or url.password or url.query or url.fragment:
            message = "holds a user name, a password or parameters, which would end up in files"
            hint = "Give the plain address, and the key in the environment variable that sampler.api_key_env names"
            found.append(Problem("base_url", message, hint))
        if not _VARIABLE.fullmatch(self.api_key_env):
            message = "not the name of an environment variable"
            found.append(Problem("api_key_env", message, "Name the variable that holds the key, not the key"))
        if self.verdict == "constrained" and self.dialect != "vllm":
            message = "the OpenAI API cannot restrict a reply to given verdicts"
            hint = "Use sampler.dialect=vllm with a vLLM server, or sampler.verdict=free"
            found.append(Problem("verdict", message, hint))
        if self.thinking_tokens is not None:
            message = "a server's thoughts are its own to end"
            hint = "Give the field it has for that in sampler.extra_body, for example reasoning_effort"
            found.append(Problem("thinking_tokens", message, hint))
        message, hint = "judgekit sets this field itself", "Use the settings of sampler"
        taken = sorted(_OWN_FIELDS & set(self.extra_body))
        found += [Problem(f"extra_body.{name}", message, hint) for name in taken]
        if self.max_cost is not None and not (self.price_prompt or self.price_generated):
            hint = "Give sampler.price_prompt and sampler.price_generated"
            found.append(Problem("max_cost", "there are no prices to count a cost by", hint))
        if self.shards > 1 or self.shard is not None:
            message = "a server is asked by one process"
            found.append(Problem("shards", message, "Use sampler.shards=1 and raise sampler.concurrency"))
        return found

    @property
    def beyond(self) -> list[Problem]:
        """Also what only vLLM's server has."""
        if self.repetition_penalty == 1 or self.dialect == "vllm":
            return super().beyond
        hint = "Use sampler.dialect=vllm with a vLLM server, or 1 for none"
        return [Problem("repetition_penalty", "the OpenAI API has no repetition penalty", hint), *super().beyond]
