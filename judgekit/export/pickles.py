"""Pickled weights written as safetensors, for releases that have no others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from judgekit.errors import ModelError
from judgekit.models import check_folder
from judgekit.store import share

INDEX = "pytorch_model.bin.index.json"
BESIDE = (".json", ".model", ".txt", ".jinja", ".py")
"""Endings of a model's other files, which are copied."""


def write_safetensors(folder: Path, output: Path | None = None) -> Path:
    """A model's folder once more, its ``pytorch_model*.bin`` as safetensors in the same precision.

    Of a pickle tensors alone are read, no code is run. One file is held in memory at a time.

    :param output: default: beside ``folder``, ``NAME-safetensors``
    :raises ModelError: there are no such files, or one holds something else than tensors
    """
    import torch
    from safetensors.torch import save_file

    target = output or folder.absolute().with_name(f"{folder.absolute().name}-safetensors")
    if target.exists() and any(target.iterdir()):
        raise ModelError(f"{target} is there already. Remove it, or name another place with -o FOLDER.")
    index = folder / INDEX
    names = ["pytorch_model.bin"]
    if index.exists():
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    if absent := [name for name in names if not (folder / name).is_file()]:
        raise ModelError(f"{folder} lacks {absent[0]}, of {len(names)} files with pickled weights. Download it whole.")
    target.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        if file.suffix in BESIDE and file.name != INDEX:
            shutil.copyfile(file, target / file.name)
    places: dict[str, str] = {}
    for name in names:
        try:
            held = torch.load(folder / name, map_location="cpu", weights_only=True)
        except Exception as error:  # of many kinds, by what is wrong with the file
            reason = str(error).strip().partition("\n")[0]
            raise ModelError(f"{folder / name} cannot be read as tensors alone: {reason}") from error
        safe = name.replace("pytorch_model", "model").removesuffix(".bin") + ".safetensors"
        save_file(_apart(held), target / safe, metadata={"format": "pt"})
        places |= dict.fromkeys(held, safe)
    if len(names) > 1:
        text = json.dumps({"metadata": {}, "weight_map": places}, indent=1, sort_keys=True)
        (target / "model.safetensors.index.json").write_text(text + "\n", encoding="utf-8")
    share(target)
    return check_folder(target)


def _apart(held: dict[str, Any]) -> dict[str, Any]:
    """Tensors in memory of their own each, as safetensors wants them."""
    known: set[int] = set()
    made = {}
    for name, tensor in held.items():
        place = tensor.untyped_storage().data_ptr()
        made[name] = tensor.clone().contiguous() if place in known else tensor.contiguous()
        known.add(place)
    return made
