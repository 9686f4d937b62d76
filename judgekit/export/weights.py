"""Weights that load in plain ``peft``, ``transformers`` and vLLM."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from judgekit.export.finished_run import ExportRun
from judgekit.models import obtain
from judgekit.prompts.base import pair_protocol
from judgekit.prompts.tokenizers import load_tokenizer
from judgekit.rows import ResponsePair
from judgekit.run_folder import JUDGE_FILE


def write_adapter(run: ExportRun, folder: Path) -> None:
    """The PEFT adapter with its tokenizer, in the precision it was trained in.

    ``adapter_config.json`` names the base model by hub id and commit where the hub's weights were used, otherwise by
    the folder they lie in.
    """
    shutil.copytree(run.weights, folder, ignore=shutil.ignore_patterns(JUDGE_FILE), dirs_exist_ok=True)
    settings = run.adapter
    if run.trained_on_hub:
        settings |= {"base_model_name_or_path": run.model.hub_id, "revision": run.model.revision}
    else:
        settings["base_model_name_or_path"] = str(base_folder(run).absolute())
    text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
    (folder / "adapter_config.json").write_text(text, encoding="utf-8")
    _write_usage(run, folder, adapter=True)


def write_model(run: ExportRun, folder: Path) -> None:
    """The whole model with its tokenizer, in the precision of the base weights (``model.dtype``).

    An adapter is merged in fp32 and the sum rounded once. In bf16 that rounds updates away that are smaller than
    about 1/256 of a weight, so the merged judge may word a reply differently from the adapter.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as hub_logging

    if not run.is_adapter:
        shutil.copytree(run.weights, folder, ignore=shutil.ignore_patterns(JUDGE_FILE), dirs_exist_ok=True)
        _write_usage(run, folder, adapter=False)
        return
    hub_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    base = AutoModelForCausalLM.from_pretrained(base_folder(run), dtype=torch.float32, local_files_only=True)
    adapted: Any = PeftModel.from_pretrained(base, str(run.weights))
    merged = adapted.merge_and_unload(safe_merge=True).to(getattr(torch, run.model.dtype))
    merged.save_pretrained(folder)
    load_tokenizer(run.weights).save_pretrained(folder)
    _write_usage(run, folder, adapter=False)


def base_folder(run: ExportRun) -> Path:
    """The base model's folder: the one trained on where it is still there, otherwise obtained again.

    :raises ModelError: it cannot be obtained
    """
    used = Path(str(run.adapter["base_model_name_or_path"]))
    return used if (used / "config.json").exists() else obtain(run.model)


def _write_usage(run: ExportRun, folder: Path, adapter: bool) -> None:
    """``prompt.json``: the messages to send, with slots; ``judge.yaml``: the same for judgekit."""
    slots = ResponsePair("slots", "{instruction}", "{response_a}", "{response_b}", None)
    messages = pair_protocol(run.prompt).judge_prompt(slots, "ab")
    text = json.dumps([dict(message) for message in messages], indent=2, ensure_ascii=False) + "\n"
    (folder / "prompt.json").write_text(text, encoding="utf-8")
    usage = {**run.judge, "adapter": adapter}
    (folder / JUDGE_FILE).write_text(yaml.safe_dump(usage, sort_keys=False), encoding="utf-8")
