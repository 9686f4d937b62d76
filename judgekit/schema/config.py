"""The configuration of a run: one dataclass per Hydra config group.

YAML under ``conf/`` holds values; types, ranges and documentation are here. Code below the command line only
sees these dataclasses, never a ``DictConfig``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from judgekit.evaluation.benchmarks.base import BenchmarkConfig
from judgekit.losses.base import LossConfig
from judgekit.losses.dpo import DpoLoss
from judgekit.prompts.base import PromptConfig
from judgekit.prompts.evalplanner import EvalPlannerPrompt
from judgekit.recipes.base import RecipeConfig
from judgekit.recipes.evalplanner.config import EvalPlannerConfig
from judgekit.samplers.base import SamplerConfig
from judgekit.samplers.hf import HfConfig
from judgekit.schema.fields import setting
from judgekit.schema.models import ModelConfig
from judgekit.schema.teachers import TeacherConfig


@dataclass(frozen=True)
class SourceConfig:
    """One source of instructions or pairs inside a data recipe."""

    kind: Literal["starter", "constraints", "maths", "gsm8k", "math", "oasst", "jsonl", "parquet", "hub"] = setting(
        "starter", "where rows come from"
    )
    pairs: Literal["near_miss", "noisy_instruction", "verified", "written", "given", "none"] = setting(
        "verified",
        "how response pairs are made: the given near miss, a modified instruction the model writes, "
        "right against wrong samples by a checker, written by program (constraints), given in the rows, or none, where "
        "a recipe's candidates write responses",
    )
    count: int | None = setting(None, "how many instructions to take; null: all", ge=1)
    path: str | None = setting(
        None, "file of a jsonl, parquet, gsm8k, math or oasst source", path=True,
        unkeyed="where the file is; its digest is in the keys",
    )  # fmt: skip
    hub_id: str | None = setting(None, "data set id of a hub source")
    revision: str | None = setting(None, "data set commit; required with hub_id")
    split: str = setting("train", "split of a hub source")
    columns: dict[str, str] = setting({}, "names of the source's columns: {our field: their column}")
    license: str | None = setting(
        None, "licence of the source, for cards of models and data; null: unknown", unkeyed="a label"
    )


@dataclass(frozen=True)
class DataConfig:
    """``data``: the data recipe. Splits are by instruction and depend on the seed only."""

    name: str = setting("starter", "short name, used in reports", unkeyed="a name")
    sources: dict[str, SourceConfig] = setting({}, "sources by name, the subset in reports; null takes one out")
    train_sources: tuple[str, ...] | None = setting(
        None, "sources that D1 and D2 take instructions from, while the other splits take from all; null: all"
    )
    first_round: int = setting(64, "D1: instructions for SFT and the first DPO round", ge=1)
    second_round: int = setting(64, "D2: instructions for the second DPO round", ge=0)
    validation: int = setting(16, "instructions kept for choosing checkpoints", ge=0)
    held_out: int = setting(80, "instructions kept for evaluation, never trained on", ge=0)
    solutions: int = setting(4, "k: solutions sampled per verifiable problem", ge=2)
    solution_temperature: float = setting(0.8, "temperature of sampled responses and solutions", ge=0.0, le=2.0)
    response_tokens: int = setting(128, "longest sampled response, tokens", ge=1)
    checker_seconds: float = setting(5.0, "time limit for checking one response", gt=0)


@dataclass(frozen=True)
class BiasConfig:
    """``bias``: bias controls."""

    both_orders: bool = setting(True, "position: judge and train on both response orders")
    drop_conflicting: bool = setting(False, "position: train only on instructions with a correct chain in both orders")
    balance_labels: bool = setting(False, "position: equal numbers of A and B verdicts among judgments to imitate")
    max_response_chars: int | None = setting(None, "length: drop pairs with a response over this many characters", ge=1)
    max_judgment_chars: int | None = setting(None, "length: drop chosen judgments over this many characters", ge=1)
    rho: float | None = setting(
        None,
        "length: strength ρ of Meta-Rewarding's length control, in every iteration; null: as recipe.schedule says",
        ge=0.0,
        le=1.0,
    )


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
    threads: int | None = setting(
        None, "CPU threads of a process; null: torch's default, divided among the processes of a node", ge=1,
        rounding=True,
    )  # fmt: skip
    strict: bool = setting(
        False, "make what changes results by rounding alone (devices, nodes, attention ...) part of every stage's key, "
        "for work that must repeat to the last bit", unkeyed="it decides what belongs to the keys",
    )  # fmt: skip


_TOLD = "what is told of results, not the results"


@dataclass(frozen=True)
class LoggerConfig:
    """``logger``: where records go beside the local files."""

    name: Literal["local", "wandb", "tensorboard", "csv"] = setting(
        "local",
        "local: files only; wandb: also a W&B run; tensorboard, csv: also Lightning's logger of that name",
        unkeyed=_TOLD,
    )
    mode: Literal["offline", "online"] = setting("offline", "W&B mode", unkeyed=_TOLD)
    project: str = setting("judgekit", "W&B project", unkeyed=_TOLD)
    entity: str | None = setting(None, "W&B team or user", unkeyed=_TOLD)
    group: str | None = setting(None, "W&B group; null: the sweep's or the run's name", unkeyed=_TOLD)
    table_rows: int = setting(200, "judgments in W&B tables, at most", ge=0, unkeyed=_TOLD)
    artifact_gb: float = setting(
        2.0,
        "W&B: data and judges up to this size are uploaded, of larger ones only the place is noted; GB",
        ge=0.0,
        unkeyed=_TOLD,
    )
    report_judgments: int = setting(20_000, "judgments to browse in the report, at most", ge=0, unkeyed=_TOLD)


@dataclass(frozen=True)
class RunConfig:
    """A whole run."""

    name: str = setting("run", "name of the run and of its folder", unkeyed="a name")
    seed: int = setting(2, "seed of every random choice", ge=0)
    store: str = setting(
        "outputs/store", "where stages and generations are kept; runs that share it share work", unkeyed="a place"
    )
    model: ModelConfig = setting(ModelConfig, "seed model")
    data: DataConfig = setting(DataConfig, "data recipe")
    prompt: PromptConfig = setting(EvalPlannerPrompt, "protocol")
    recipe: RecipeConfig = setting(EvalPlannerConfig, "recipe")
    teacher: TeacherConfig = setting(TeacherConfig, "teacher, for recipes that distil one")
    loss: LossConfig = setting(DpoLoss, "loss")
    bias: BiasConfig = setting(BiasConfig, "bias controls")
    sampler: SamplerConfig = setting(HfConfig, "sampler")
    trainer: TrainerConfig = setting(TrainerConfig, "trainer")
    benchmark: dict[str, BenchmarkConfig] = setting({}, "evaluation sets by name; null takes one out")
    logger: LoggerConfig = setting(LoggerConfig, "logging")
