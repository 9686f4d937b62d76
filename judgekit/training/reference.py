"""Reference log-probabilities: those of the model a round starts from, computed once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from judgekit.training.batches import Share, Unit
from judgekit.training.distributed import WholeModel, add_up
from judgekit.training.logprobs import completion_logps, token_logps


def reference_logps(
    model: WholeModel, shares: Sequence[Share], units: Sequence[Unit], device: torch.device, processes: int = 1
) -> Tensor:
    """Log-probabilities (pairs, 2) of chosen and rejected, in the order of ``units``, in fp64 on the CPU.

    The packing is that of training, so that a model equal to the reference has margins of exactly zero.

    :param shares: this process's parts of the batches that hold ``units``
    """
    place = {unit.index: row for row, unit in enumerate(units)}
    found_B2 = torch.zeros(len(units), 2, dtype=torch.float64, device=device)
    with torch.no_grad():
        for part in shares:
            for packed in part.packs:
                sums_K, _ = completion_logps(model(token_logps, packed, device), packed)
                rows = torch.tensor([place[unit.index] for unit in packed.units], device=device)
                found_B2[rows] = sums_K[torch.tensor(packed.completions, device=device)]
            for packed in part.idle:
                model(token_logps, packed, device)
    if processes > 1:
        add_up([found_B2])  # every row is some process's own, so adding zeros changes no bit
    return found_B2.cpu()


def load_reference(path: Path, key: str) -> Tensor | None:
    """The log-probabilities in a file written under the same key, or None."""
    if not path.exists():
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
