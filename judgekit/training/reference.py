"""Reference log-probabilities: those of the model a round starts from, computed once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from judgekit.randomness import digest
from judgekit.training.batches import Unit, pack
from judgekit.training.logprobs import completion_logps, token_logps


def reference_key(start: str, batches: Sequence[Sequence[Unit]], max_tokens: int) -> str:
    """What determines reference log-probabilities to the last bit: weights, pairs, and how they are packed.

    :param start: digest of the weights the round starts from
    """
    contents = [[[unit.prompt, *unit.completions] for unit in batch] for batch in batches]
    return digest([start, contents, max_tokens], 64)


def reference_logps(model: Any, batches: Sequence[Sequence[Unit]], max_tokens: int, device: torch.device) -> Tensor:
    """Log-probabilities (pairs, 2) of chosen and rejected, in the order of the batches' pairs, in fp32 on the CPU.

    The packing is that of training, so that a model equal to the reference has margins of exactly zero.
    """
    rows: dict[int, Tensor] = {}
    with torch.no_grad():
        for batch in batches:
            for packed in pack(batch, max_tokens):
                sums_K, _ = completion_logps(token_logps(model, packed, device), packed)
                for unit, names in zip(packed.units, packed.completions, strict=True):
                    rows[unit.index] = sums_K[list(names)].cpu()
    return torch.stack([rows[unit.index] for batch in batches for unit in batch])


def load_reference(path: Path | None, key: str) -> Tensor | None:
    """The log-probabilities in a file written under the same key, or None."""
    if path is None or not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return file.get_tensor("logps") if (file.metadata() or {}).get("key") == key else None
    except (SafetensorError, OSError):
        return None  # torn by a crash: compute again


def save_reference(path: Path, key: str, logps: Tensor) -> None:
    """Write log-probabilities; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    save_file({"logps": logps}, partial, metadata={"key": key})
    partial.replace(path)
