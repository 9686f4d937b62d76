"""Whether a model fits, found before an engine spends a minute on starting."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from judgekit.errors import ModelError
from judgekit.samplers.vllm import VllmConfig
from judgekit.schema.models import ModelConfig
from judgekit.weights import Weights

GIB = 2**30


def check(weights: Weights, model: ModelConfig, config: VllmConfig, *, cpu: bool) -> None:
    """Compare context length and memory with what there is.

    :raises ModelError: the context is longer than the model's, weights and the cache of one full context do not fit, or
        there are fewer GPUs, or less free memory on them, than configured
    """
    path = weights.base / "config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings = settings.get("text_config", settings)
    context = settings.get("max_position_embeddings")
    if context is not None and model.max_length > context:
        raise ModelError(
            f"{path}: this model has a context of {context} tokens, and model.max_length asks for {model.max_length}. "
            f"Set model.max_length={context} or less."
        )
    size = sum(file.stat().st_size for file in weights.base.glob("*.safetensors"))
    cache = model.max_length * cache_bytes_per_token(settings)
    if cpu:
        room = config.cpu_memory * GIB
        _require(cache <= room, cache, room, "sampler.cpu_memory", f"Raise it to {cache / GIB + 0.05:.1f}")
        free = available_memory()
        need = config.data_parallel * (size + room)
        _require(need <= free, need, free, "this machine's memory", "Lower sampler.cpu_memory or use a smaller model")
        return
    gpus, wanted = gpu_memory(), config.tensor_parallel * config.data_parallel
    if gpus and len(gpus) < wanted:
        raise ModelError(
            f"sampler.tensor_parallel={config.tensor_parallel} times sampler.data_parallel={config.data_parallel} asks "
            f"for {wanted} GPUs, and {len(gpus)} can be seen. Lower one of them, or see CUDA_VISIBLE_DEVICES."
        )
    for total, free in gpus[:wanted]:
        room = config.gpu_memory * total
        if room > free:
            raise ModelError(
                f"sampler.gpu_memory={config.gpu_memory:g} asks for {room / GIB:.1f} GiB of a GPU that has "
                f"{free / GIB:.1f} free. Lower it to {max(0.0, free / total - 0.01):.2f} or less (where checkpoints "
                f"are judged during training, training holds the rest), or free the GPU."
            )
        need = (size + cache) / config.tensor_parallel
        remedy = "Raise sampler.tensor_parallel or sampler.gpu_memory, free the GPU or use a smaller model"
        _require(need <= room, need, room, "a GPU's memory", remedy)


def _require(fits: bool, need: float, room: float, where: str, remedy: str) -> None:
    if not fits:
        raise ModelError(
            f"Weights and the cache of one full context (model.max_length) need {need / GIB:.1f} GiB, and {where} "
            f"leaves {room / GIB:.1f}. {remedy}, or lower model.max_length."
        )


def cache_bytes_per_token(settings: dict[str, Any]) -> int:
    """Bytes of keys and values of one token in 16 bits, over all layers; 0 for architectures that differ."""
    try:
        heads = settings.get("num_key_value_heads") or settings["num_attention_heads"]
        size = settings.get("head_dim") or settings["hidden_size"] // settings["num_attention_heads"]
        return int(2 * settings["num_hidden_layers"] * heads * size * 2)
    except KeyError:
        return 0


def available_memory() -> float:
    """Bytes of main memory that could be used now; infinite where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return float("inf")
    found = dict(line.split(":", 1) for line in lines)
    return float(found["MemAvailable"].split()[0]) * 1024


def gpu_memory() -> list[tuple[float, float]]:
    """(total, free) bytes of every GPU that nvidia-smi lists and this process may use; empty without it."""
    query = ["nvidia-smi", "--query-gpu=memory.total,memory.free", "--format=csv,noheader,nounits"]
    if visible := os.environ.get("CUDA_VISIBLE_DEVICES"):
        query.append(f"--id={visible}")
    try:
        listed = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [line.split(",") for line in listed.splitlines()]
    return [(float(total) * 2**20, float(free) * 2**20) for total, free in rows]
