"""Settings of a server that speaks the OpenAI API, checked before anything is sent."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from judgekit.errors import Problem
from judgekit.samplers.openai import OpenAIConfig

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
"""In capitals: many keys would be names of variables otherwise."""


def server_problems(config: OpenAIConfig) -> list[Problem]:
    """Settings a server cannot be asked with. No message repeats what may be a key."""
    found = []
    url = urlsplit(config.base_url)
    if url.scheme not in ("http", "https") or not url.hostname:
        found.append(Problem("sampler.base_url", "not an address", "Give one like http://localhost:8000/v1"))
    if url.username or url.password or url.query or url.fragment:
        message = "holds a user name, a password or parameters, which would end up in files"
        hint = "Give the plain address, and the key in the environment variable that sampler.api_key_env names"
        found.append(Problem("sampler.base_url", message, hint))
    if not _VARIABLE.fullmatch(config.api_key_env):
        message = "not the name of an environment variable"
        found.append(Problem("sampler.api_key_env", message, "Name the variable that holds the key, not the key"))
    if config.verdict == "constrained" and config.dialect != "vllm":
        message = "the OpenAI API cannot restrict a reply to given verdicts"
        hint = "Use sampler.dialect=vllm with a vLLM server, or sampler.verdict=free"
        found.append(Problem("sampler.verdict", message, hint))
    if config.shards > 1 or config.shard is not None:
        message = "a server is asked by one process"
        found.append(Problem("sampler.shards", message, "Use sampler.shards=1 and raise sampler.concurrency"))
    return found
