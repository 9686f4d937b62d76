"""What the parts of the GPU benchmark share: models of real shapes with random weights, rows, and counts of FLOPs."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.train_sides import LORA, SEED, SHAPES, Job, Shape, plain_row, rows_of

PEAK_FLOPS = 989e12
"""Dense bf16 of an H100 or H200 (SXM), by the vendor's data sheet."""

_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
_LLAMA = {"vocab_size": 128256, "num_key_value_heads": 8, "rms_norm_eps": 1e-5, "rope_parameters": _ROPE}
MODELS: dict[str, dict[str, Any]] = {
    "llama-3.1-8b": _LLAMA
    | {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32},
    "llama-3.2-3b": _LLAMA
    | {"hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 28, "num_attention_heads": 24}
    | {"tie_word_embeddings": True, "head_dim": 128},
    "smollm2-135m": {"vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30}
    | {"num_attention_heads": 9, "num_key_value_heads": 3, "rms_norm_eps": 1e-5, "tie_word_embeddings": True},
    "tiny": {"vocab_size": 49408, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2}
    | {"num_attention_heads": 4, "num_key_value_heads": 2},
}


@dataclass(frozen=True)
class Setup:
    """What every part is told.

    :param folder: models, rows and scratch files; 23 GB of models of the real shapes
    :param seed: folder of the small real model, whose tokenizer the others use
    :param steps: optimizer steps of the LoRA runs
    :param texts: greedy texts of the seed model to compare with; written where the file is not there
    """

    folder: Path
    seed: Path
    device: str
    tiny: bool
    steps: int
    texts: Path | None

    def model(self, name: str) -> Path:
        """Folder of a model, which is made when it is first asked for."""
        name = "tiny" if self.tiny else name
        folder = self.folder / name
        if not (folder / "config.json").exists():
            build(name, folder, self.seed, self.device)
        return folder

    @property
    def small(self) -> Path:
        """Folder of a small model, with the shapes of the seed."""
        return self.model("smollm2-135m")

    def job(self, task: str, base: Path | None = None) -> Job:
        """Rows, starting adapter and optimizer of a LoRA run, as ``benchmarks.train`` makes them."""
        name = "evalplanner" if task == "dpo" else "sft"
        shape = SHAPES[name]
        if self.tiny:
            shape = Shape(shape.task, min(2, shape.per_prompt), 40, 20, 2, "brief")
        base = base or self.model("llama-3.1-8b")
        job = Job("judgekit", str(self.folder / f"rows-{task}"), str(base), shape, self.steps * shape.batch_size,
                  "bfloat16", self.device, 1e-4 if task == "dpo" else 5e-4, None, {})  # fmt: skip
        write_rows_of(job)
        return job


def synchronize() -> None:
    """Wait for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def memory() -> dict[str, float]:
    """Peak GPU memory of this process, GiB."""
    if not torch.cuda.is_available():
        return {}
    return {
        "peak_allocated_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2),
        "peak_reserved_gib": round(torch.cuda.max_memory_reserved() / 2**30, 2),
    }


def build(name: str, folder: Path, seed: Path, device: str) -> None:
    """Write a model with random weights in bf16, the seed's tokenizer, and a LoRA adapter that changes nothing yet."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

    ends = json.loads((seed / "config.json").read_text(encoding="utf-8"))
    tokens = {key: ends.get(key) for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = LlamaConfig(**MODELS[name], **tokens, max_position_embeddings=131072)
    torch.manual_seed(SEED)
    with torch.device(device):
        model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)  # type: ignore[no-untyped-call]
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    AutoTokenizer.from_pretrained(seed).save_pretrained(partial)
    get_peft_model(model, LoraConfig(**LORA, task_type="CAUSAL_LM")).save_pretrained(str(partial / "adapter"))
    os.replace(partial, folder)


def write_rows_of(job: Job) -> None:
    """Judgekit's rows, and the same for TRL in the order of judgekit's steps."""
    from transformers import AutoTokenizer

    from judgekit.rows import write_rows

    folder = Path(job.folder)
    if (folder / "trl.jsonl").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer: Any = AutoTokenizer.from_pretrained(job.base)
    rows = rows_of(job, tokenizer)
    write_rows(folder / "rows.jsonl", rows)
    units = [unit for batch in batches_of(job) for unit in batch]
    lines = [json.dumps(plain_row(rows[unit.index], tokenizer) | {"ids": unit.sequences}) + "\n" for unit in units]
    (folder / "trl.jsonl").write_text("".join(lines), encoding="utf-8")


def batches_of(job: Job) -> list[list[Any]]:
    """The units of every optimizer step."""
    from transformers import AutoTokenizer

    from judgekit.rows import Demonstration, Preference, read_rows
    from judgekit.training.batches import encode_rows, epoch_batches

    path, tokenizer = Path(job.folder, "rows.jsonl"), AutoTokenizer.from_pretrained(job.base)
    rows: Sequence[Any]
    rows = read_rows(path, Demonstration) if job.shape.task == "sft" else read_rows(path, Preference)
    return epoch_batches(encode_rows(rows, tokenizer, 2**20, 2**20).units, job.shape.batch_size, SEED, 0, grouped=True)


@dataclass(frozen=True)
class Work:
    """Tokens of some steps, and what a forward pass over them multiplies.

    :param visible: pairs of tokens of which one sees the other
    :param predictions: positions the output layer is applied to
    """

    tokens: int
    visible: int
    predictions: int

    @staticmethod
    def packed(batches: Sequence[Sequence[Any]], max_tokens: int) -> Work:
        """Of judgekit's packed sequences."""
        from judgekit.training.batches import pack

        packs = [found for batch in batches for found in pack(batch, max_tokens)]
        return Work(
            sum(len(found.ids) for found in packs),
            sum(sum(found.positions) + len(found.ids) for found in packs),
            sum(len(found.sources) for found in packs),
        )

    @staticmethod
    def plain(batches: Sequence[Sequence[Any]]) -> Work:
        """Of every sequence by itself."""
        lengths = [len(sequence) for batch in batches for unit in batch for sequence in unit.sequences]
        return Work(sum(lengths), sum(length * (length + 1) // 2 for length in lengths), sum(lengths))

    def flops(self, base: Path, passes: int) -> float:
        """FLOPs of the model's matrix products.

        :param passes: 1 a forward pass, 2 with gradients of activations alone (LoRA), 3 of all weights too
        """
        config = json.loads((base / "config.json").read_text(encoding="utf-8"))
        hidden, heads, layers = config["hidden_size"], config["num_attention_heads"], config["num_hidden_layers"]
        width = heads * (config.get("head_dim") or hidden // heads)
        linear = hidden * width * 2 * (1 + config["num_key_value_heads"] / heads)
        linear += 3 * hidden * config["intermediate_size"]
        attention = 4 * width * self.visible * layers * (1 if passes == 1 else 3)
        head = 2 * hidden * config["vocab_size"] * self.predictions
        return float((2 * linear * layers * self.tokens + head) * passes + attention)


def device_facts(device: str) -> dict[str, Any]:
    """The device and the bf16 rate that a large matrix product reaches on it."""
    if device != "cuda":
        return {"name": "cpu"}
    left, right = (torch.randn(8192, 8192, dtype=torch.bfloat16, device=device) for _ in range(2))
    seconds = []
    for _ in range(8):
        torch.cuda.synchronize()
        began = time.perf_counter()
        left @ right
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    free, total = torch.cuda.mem_get_info()
    return {
        "name": torch.cuda.get_device_name(),
        "memory_gib": round(total / 2**30, 1),
        "free_gib": round(free / 2**30, 1),
        "cuda": torch.version.cuda,
        "matmul_tflops": round(2 * 8192**3 / min(seconds) / 1e12),
    }
