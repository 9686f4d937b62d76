"""One side of the training comparison, in a process of its own: ``python train_sides.py JOB.json`` prints JSON."""

from __future__ import annotations

import gc
import json
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

SEED = 2
LORA: dict[str, Any] = {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"}


@dataclass(frozen=True)
class Shape:
    """Rows like those of judges; lengths in tokens, drawn within a quarter of the mean.

    :param per_prompt: pairs that share a prompt
    :param style: wording of the judge prompt
    """

    task: str
    per_prompt: int
    prompt_tokens: int = 700
    reply_tokens: int = 150
    batch_size: int = 8
    style: Literal["full", "brief"] = "full"


SHAPES = {"evalplanner": Shape("dpo", 4), "single_pair": Shape("dpo", 1), "sft": Shape("sft", 1)}


@dataclass(frozen=True)
class Job:
    """What one process does.

    :param side: ``prepare``, ``judgekit`` or ``trl``
    :param folder: rows, order and starting adapter
    :param settings: of the side: ``max_tokens``; or micro batch, autocast, ``padding_free``, ``precompute``
    """

    side: str
    folder: str
    base: str
    shape: Shape
    rows: int
    dtype: str
    device: str
    lr: float
    llmbar: str | None
    settings: dict[str, Any]


def run(job: Job) -> dict[str, Any]:
    """Do a job: what ``prepare`` made, or a side's seconds, peak memory (MiB) and loss of every step."""
    return {"prepare": _prepare, "judgekit": _judgekit, "trl": _trl}[job.side](job)


def _prepare(job: Job) -> dict[str, Any]:
    """Write judgekit's rows, the same rows for TRL in the order of judgekit's steps, and the starting adapter."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from judgekit.rows import write_rows
    from judgekit.training.batches import encode_rows, epoch_batches

    tokenizer: Any = AutoTokenizer.from_pretrained(job.base)
    folder, rows = Path(job.folder), rows_of(job, tokenizer)
    write_rows(folder / "rows.jsonl", rows)
    encoded = encode_rows(rows, tokenizer, 2**20, 2**20)
    batches = epoch_batches(encoded.units, job.shape.batch_size, SEED, 0, grouped=True)
    units = [unit for batch in batches for unit in batch]
    lines = [json.dumps(plain_row(rows[unit.index], tokenizer) | {"ids": unit.sequences}) + "\n" for unit in units]
    (folder / "trl.jsonl").write_text("".join(lines), encoding="utf-8")
    model: Any = AutoModelForCausalLM.from_pretrained(job.base, dtype=job.dtype)
    torch.manual_seed(SEED)
    config = LoraConfig(**LORA, task_type="CAUSAL_LM")
    get_peft_model(model, config).save_pretrained(str(folder / "adapter"))
    replies = [len(reply) for unit in units for reply in unit.completions]
    return {
        "model": Path(job.base).name,
        "machine": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "rows": len(rows),
        "mean_prompt_tokens": round(statistics.mean(len(unit.prompt) for unit in units)),
        "mean_reply_tokens": round(statistics.mean(replies)),
        "longest_row_tokens": max(unit.packed for unit in units),
        "tokens_unpacked": sum(len(sequence) for unit in units for sequence in unit.sequences),
        "tokens_packed": _packed_tokens(batches),
    }


def _packed_tokens(batches: Sequence[Any]) -> int:
    from judgekit.training.batches import pack

    return sum(len(packed.ids) for batch in batches for packed in pack(batch, 2**20))


def rows_of(job: Job, tokenizer: Any) -> list[Any]:
    """Judge prompts whose answers, and judgments whose plans and executions, are pieced together of real texts."""
    from judgekit.prompts.chat import encode_prompt
    from judgekit.prompts.evalplanner import EvalPlanner, EvalPlannerPrompt
    from judgekit.randomness import draw_uniform
    from judgekit.rows import Demonstration, Preference, ResponsePair

    pool, shape, protocol = _texts(job.llmbar), job.shape, EvalPlanner(EvalPlannerPrompt(style=job.shape.style))

    def passage(tokens: float, *key: str | int) -> str:
        return _passage(tokenizer, pool, round(tokens * (0.75 + 0.5 * draw_uniform(SEED, "length", *key))), *key)

    fixed = len(encode_prompt(tokenizer, protocol.judge_prompt(ResponsePair("", "", "", "", None), "ab")))
    answer = max(8.0, (shape.prompt_tokens - fixed) / 2.25)  # beside an instruction of a quarter
    rows: list[Any] = []
    for number in range(job.rows):
        place, pair = divmod(number, shape.per_prompt)
        texts = [passage(part, place, name) for part, name in ((answer / 4, "i"), (answer, "a"), (answer, "b"))]
        prompt = protocol.judge_prompt(ResponsePair(str(place), texts[0], texts[1], texts[2], None), "ab")
        replies = [
            protocol.stitch(passage(shape.reply_tokens / 4, place, pair, position, "plan"),
                            passage(shape.reply_tokens / 2, place, pair, position, "execution"), position)
            for position in "AB"
        ]  # fmt: skip
        name = f"{place}-{pair}"
        rows.append(
            Preference(name, prompt, *replies) if shape.task == "dpo" else Demonstration(name, prompt, replies[0])
        )
    return rows


def _texts(llmbar: str | None) -> list[str]:
    from judgekit.data.sources import starter_instructions
    from judgekit.evaluation.benchmarks import load_benchmark
    from judgekit.evaluation.benchmarks.base import BenchmarkConfig

    if llmbar is None:
        return [text for row in starter_instructions() for text in (row.text, str(row.near_miss))]
    pairs = load_benchmark("llmbar", BenchmarkConfig(kind="llmbar", path=llmbar), []) or []
    return [text for pair in pairs for text in (pair.instruction, pair.response_a, pair.response_b)]


def _passage(tokenizer: Any, pool: Sequence[str], tokens: int, *key: str | int) -> str:
    """About so many tokens of texts drawn from the pool."""
    from judgekit.randomness import shuffled

    ids: list[int] = []
    for text in shuffled(pool, SEED, "passage", *key):
        ids += tokenizer.encode(text + "\n", add_special_tokens=False)
        if len(ids) >= tokens:
            break
    return str(tokenizer.decode(ids[:tokens])).strip()


def plain_row(row: Any, tokenizer: Any) -> dict[str, Any]:
    """A row as plain text, which TRL turns into exactly judgekit's tokens."""
    end = tokenizer.eos_token
    prompt = tokenizer.apply_chat_template(
        [dict(turn) for turn in row.prompt], tokenize=False, add_generation_prompt=True
    )
    if hasattr(row, "target"):
        return {"prompt": prompt, "completion": row.target + end}
    return {"prompt": prompt, "chosen": row.chosen + end, "rejected": row.rejected + end}


def _judgekit(job: Job) -> dict[str, Any]:
    from judgekit.losses.dpo import DpoLoss
    from judgekit.schema.trainer import TrainerConfig
    from judgekit.training.trainer import train
    from judgekit.weights import Weights

    folder, losses = Path(job.folder), list[float]()
    trainer = TrainerConfig(accelerator="gpu" if job.device == "cuda" else "cpu", group_prompts=True, **job.settings)
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter(), time.process_time()
        train(
            "sft" if job.shape.task == "sft" else "dpo", folder / "rows.jsonl",
            Weights(Path(job.base), folder / "adapter"), Path(scratch, "judge"), Path(scratch, "work"),
            optim_of(job), DpoLoss(), trainer, SEED, "bench",
            lambda step, values: losses.append(values["loss"]), dtype=job.dtype,
        )  # fmt: skip
        return _measured(job, started, losses)


def optim_of(job: Job) -> Any:
    """The optimizer of both sides."""
    from judgekit.schema.optim import OptimConfig

    return OptimConfig(lr=job.lr, schedule="constant", epochs=1, max_steps=None, batch_size=job.shape.batch_size,
                       checkpoint_every=10**6)  # fmt: skip


def _trl(job: Job) -> dict[str, Any]:
    import torch
    from datasets import Dataset
    from peft import LoraConfig, set_peft_model_state_dict
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOTrainer, SFTTrainer

    folder = Path(job.folder)
    rows = [json.loads(line) for line in (folder / "trl.jsonl").read_text(encoding="utf-8").splitlines()]
    expected = [row.pop("ids") for row in rows]
    dpo = job.shape.task == "dpo"
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter(), time.process_time()
        model = AutoModelForCausalLM.from_pretrained(
            job.base, dtype=getattr(torch, job.dtype), attn_implementation="sdpa"
        )
        arguments = trl_arguments(job, scratch)
        trainer = (DPOTrainer if dpo else SFTTrainer)(
            model=model, args=arguments, train_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(job.base),
            peft_config=LoraConfig(**LORA, task_type="CAUSAL_LM"),
        )  # fmt: skip
        if trl_ids(trainer.train_dataset, dpo) != expected:
            sys.exit("TRL made other tokens of the rows than judgekit, so the comparison would be of different data.")
        set_peft_model_state_dict(trainer.model, load_file(folder / "adapter" / "adapter_model.safetensors"))
        trainer.train()
        trainer.save_model(scratch)
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        return _measured(job, started, losses)


def trl_arguments(job: Job, scratch: str) -> Any:
    """TRL's configuration: judgekit's optimizer, and the settings of the side."""
    from trl import DPOConfig, SFTConfig

    settings, optim = job.settings, optim_of(job)
    make, extra = (
        (DPOConfig, {"precompute_ref_log_probs": settings["precompute"], "beta": 0.1})
        if job.shape.task == "dpo"
        else (SFTConfig, {"padding_free": settings["padding_free"]})
    )
    return make(
        output_dir=scratch, num_train_epochs=1, per_device_train_batch_size=settings["micro_batch"],
        gradient_accumulation_steps=optim.batch_size // settings["micro_batch"], learning_rate=optim.lr,
        lr_scheduler_type="constant", adam_beta1=optim.betas[0], adam_beta2=optim.betas[1],
        weight_decay=optim.weight_decay, max_grad_norm=optim.clip_norm, train_sampling_strategy="sequential",
        gradient_checkpointing=settings.get("checkpointing", False), bf16=settings["autocast"],
        use_cpu=job.device == "cpu", max_length=None, logging_steps=1, save_strategy="no", report_to=[],
        disable_tqdm=True, dataloader_pin_memory=False, **extra,
    )  # fmt: skip


def trl_ids(dataset: Any, dpo: bool) -> list[list[list[int]]]:
    """Token ids of every sequence of every row."""
    if not dpo:
        return [[list(row["input_ids"])] for row in dataset]
    return [[list(row["prompt_ids"]) + list(row[name]) for name in ("chosen_ids", "rejected_ids")] for row in dataset]


def _measured(job: Job, started: tuple[float, float], losses: list[float]) -> dict[str, Any]:
    """Seconds with loading and saving, on the clock and of all cores, and peak memory (of the GPU where there is one).

    Other work on the machine lengthens the first and hardly the second.
    """
    import torch

    seconds, cpu_seconds = time.perf_counter() - started[0], time.process_time() - started[1]
    gc.collect()
    if job.device == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**20
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_memory_mib": peak, "losses": losses}


if __name__ == "__main__":
    held = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(json.dumps(run(Job(**held | {"shape": Shape(**held["shape"])}))))
