"""From weights to something that can be asked: the back end, and the name its generations are kept under."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from judgekit.prompts.chat import marker_tokens
from judgekit.prompts.tokenizers import load_tokenizer
from judgekit.randomness import digest
from judgekit.samplers.base import SamplerConfig
from judgekit.sampling.base import Inheriting, Progress, Sampler
from judgekit.sampling.budget import ThinkingSampler
from judgekit.sampling.cache import GenerationCache
from judgekit.sampling.text import TextSampler
from judgekit.schema.models import ModelConfig
from judgekit.weights import Weights

MakeSampler = Callable[[Weights], Sampler]
"""Builds the back end for some weights."""


def hand_over(old: TextSampler, new: TextSampler) -> None:
    """Close ``old``; what both can use, such as engines that run, goes on to ``new``."""
    try:
        if isinstance(new.sampler, Inheriting):
            new.sampler.take_over(old.sampler)
    finally:
        old.close()


def used_digest(weights: Weights, model: ModelConfig, sampler: SamplerConfig) -> str:
    """Weights as used: the same files in another precision, or under another back end, write other texts."""
    arguments = [model.template] if model.template else []
    return digest([weights.digest, model.dtype, sampler.name, *sampler.identity, *arguments], 32)


def describe(weights: Weights, model: ModelConfig, sampler: SamplerConfig, store: Path) -> str:
    """Weights for people: the seed's name, the stage or folder of what was trained, precision and back end."""
    stages = store / "stages"
    trained = ""
    if weights.adapter is not None or weights.base.is_relative_to(stages):
        folder = weights.adapter or weights.base
        trained = f" + {folder.relative_to(stages).parent if folder.is_relative_to(stages) else folder}"
    return f"{model.name}{trained}, {model.dtype}, {sampler.name}"


def text_sampler(
    weights: Weights,
    model: ModelConfig,
    sampler: SamplerConfig,
    store: Path,
    progress: Callable[[str], Progress] | None = None,
    make: MakeSampler | None = None,
) -> TextSampler:
    """The model with these weights, ready to be asked. Close it after use.

    :param store: root of the store that keeps the generations
    :param make: builds the back end; None: the configured one
    """
    back_end = make(weights) if make is not None else sampler.make(weights, model)
    tokenizer = load_tokenizer(weights.base, model.trust_remote_code, model.template)
    name = used_digest(weights, model, sampler)
    if marker_tokens(tokenizer):  # replies that were kept when such tokens were left out of them are read wrong
        name = digest([name, "marked thoughts"], 32)
    cache = GenerationCache(store, name, describe(weights, model, sampler, store))
    if sampler.thinking_tokens is not None:
        return ThinkingSampler(tokenizer, back_end, cache, model.max_length, progress, budget=sampler.thinking_tokens)
    return TextSampler(tokenizer, back_end, cache, model.max_length, progress)
