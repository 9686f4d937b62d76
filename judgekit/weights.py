"""Which weights: a base model and, on top of it, at most one adapter. Imports no torch."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judgekit.errors import ModelError

_UNHASHED = ("base_model_name_or_path", "peft_version", "inference_mode")


@dataclass(frozen=True)
class Weights:
    """A model as files.

    :param base: folder with the safetensors of a ``transformers`` model
    :param adapter: folder with a PEFT adapter (``adapter_config.json``, ``adapter_model.safetensors``), None for none
    """

    base: Path
    adapter: Path | None = None

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over the safetensors of base and adapter and over the adapter's hyperparameters.

        That of the base is kept in a file beside the folder and reused while names, sizes and times of the files agree.

        :raises ModelError: a folder without safetensors
        """
        parts = [_base_digest(self.base)]
        if self.adapter is not None:
            parts += [_files_digest(_safetensors(self.adapter)), _adapter_settings(self.adapter)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _safetensors(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(f"{folder} holds no .safetensors files, so it is not a model or adapter judgekit can use.")
    return files


def _files_digest(files: list[Path]) -> str:
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            total.update(f"{path.name}:{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def _base_digest(folder: Path) -> str:
    files = _safetensors(folder)
    stamps = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    cache = folder.absolute().with_name(folder.absolute().name + ".digest.json")
    try:
        kept = json.loads(cache.read_text(encoding="utf-8"))
        if kept["files"] == stamps:
            return str(kept["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # absent or torn: hash again
    found = _files_digest(files)
    try:
        partial = cache.with_name(f"{cache.name}.{os.getpid()}.partial")
        partial.write_text(json.dumps({"files": stamps, "sha256": found}), encoding="utf-8")
        partial.replace(cache)
    except OSError:
        pass  # a read-only model folder only costs hashing it again
    return found


def _adapter_settings(folder: Path) -> str:
    """What scales and places an adapter's tensors, without paths and versions."""
    path = folder / "adapter_config.json"
    try:
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as an adapter's configuration: {error}") from error
    kept = {
        key: sorted(value) if isinstance(value, list) else value
        for key, value in settings.items()
        if key not in _UNHASHED
    }
    return json.dumps(kept, sort_keys=True)
