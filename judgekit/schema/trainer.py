"""``trainer``: Lightning and the adapter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from judgekit.schema.fields import setting


@dataclass(frozen=True)
class TrainerConfig:
    """``trainer``: Lightning and the adapter."""

    adapter: Literal["lora", "dora", "qlora", "full"] = setting(
        "lora", "train a LoRA or DoRA adapter, LoRA on a base in 4 bits (qlora), or all weights"
    )
    lora_rank: int = setting(16, "LoRA rank r", ge=1)
    lora_alpha: int = setting(32, "LoRA α; updates are scaled by α / r", ge=1)
    lora_dropout: float = setting(0.0, "dropout on LoRA inputs", ge=0.0, lt=1.0)
    lora_targets: str = setting("all-linear", "module names (comma separated) or all-linear")
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = setting("auto", "Lightning accelerator", rounding=True)
    devices: int = setting(1, "processes per node, each on a device of its own", ge=1, rounding=True)
    nodes: int = setting(1, "nodes; more than one needs a SLURM job that has them", ge=1, rounding=True)
    strategy: Literal["auto", "ddp", "fsdp"] = setting(
        "auto", "several processes: whole copies of the model (ddp, also auto) or shards of it (fsdp)", rounding=True
    )
    attention: Literal["auto", "sdpa", "flex", "tree"] = setting(
        "auto",
        "sdpa: with a mask; flex: FlexAttention block masks, GPU only; tree: only what the mask shows, CPU only; "
        "auto: tree on a CPU, flex for long sequences on a GPU, else sdpa",
        rounding=True,
    )
    gradient_checkpointing: bool = setting(
        False, "compute activations again in the backward pass to save memory", rounding=True
    )
    max_tokens: int = setting(4096, "longest packed sequence in one forward pass, tokens", ge=32)
    group_prompts: bool = setting(
        False,
        "batches of runs of one prompt's rows, up to half a batch each, instead of rows shuffled one by one: "
        "fewer tokens to compute, fewer prompts in a step",
    )
    spread_prompts: bool = setting(
        True,
        "where max_steps ends within an epoch, draw as few rows of each prompt as fill the steps, so that they "
        "reach all prompts; false: the first rows of the shuffled ones. Papers do not say",
    )
    threads: int | None = setting(
        None, "CPU threads of a process; null: torch's default, divided among the processes of a node", ge=1,
        rounding=True,
    )  # fmt: skip
    strict: bool = setting(
        False, "make what changes results by rounding alone (devices, nodes, attention ...) part of every stage's key, "
        "for work that must repeat to the last bit", unkeyed="it decides what belongs to the keys",
    )  # fmt: skip
