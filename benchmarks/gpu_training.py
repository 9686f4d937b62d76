"""Training on a GPU: judgekit's steps and TRL's, timed one by one."""

from __future__ import annotations

import contextlib
import gc
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_setup import PEAK_FLOPS, Setup, Work, batches_of, memory, synchronize
from benchmarks.train_sides import LORA, SEED, Job, optim_of, trl_arguments, trl_ids
from judgekit.kernels import no_cudnn_attention

FULL_STEPS = 5


class _EnoughSteps(Exception):
    """Ends a training before its last step, at which gigabytes of optimizer state would be written."""


@dataclass
class _Watch:
    """Moments and losses of steps.

    :param limit: end after this step
    :param profiled: look at this step's kernels
    """

    limit: int | None = None
    profiled: int | None = None
    moments: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    reference_seconds: float = 0.0
    kernels: dict[str, Any] = field(default_factory=dict)
    _profile: Any = None

    def step(self, number: int, series: dict[str, float]) -> None:
        """After every step."""
        synchronize()
        self.moments.append(time.perf_counter())
        self.losses.append(round(series["loss"], 6))
        self._look(number)
        if self.limit is not None and number >= self.limit:
            raise _EnoughSteps

    def _look(self, number: int) -> None:
        try:
            if self._profile is not None:
                profile, self._profile = self._profile, None
                profile.stop()
                self.kernels = _kernels(profile, self.moments[-1] - self.moments[-2])
            if self.profiled == number + 1:
                self._profile = torch.profiler.profile()
                self._profile.start()
        except RuntimeError as error:
            self.kernels = {"failed": str(error)[:200]}

    def reference(self, compute: Callable[..., Any]) -> Callable[..., Any]:
        """A function that computes the reference, and is timed."""

        def timed(*arguments: Any) -> Any:
            synchronize()
            began = time.perf_counter()
            found = compute(*arguments)
            self.reference_seconds += time.perf_counter() - began
            return found

        return timed


def _kernels(profile: Any, seconds: float) -> dict[str, Any]:
    """The kernels a step spent most time in, ms, and how long the GPU had work."""
    rows = [(row.key, row.self_device_time_total / 1e3) for row in profile.key_averages()]
    rows = [(name[:90], round(took, 2)) for name, took in rows if took > 0]
    busy = sum(took for _, took in rows)
    found = dict(sorted(rows, key=lambda row: -row[1])[:25])
    return {"step_ms": round(seconds * 1e3, 1), "sum_ms": round(busy, 1), "top": found}


def judgekit_steps(job: Job, watch: _Watch, adapter: bool) -> dict[str, Any]:
    """Train through judgekit.

    :param job: its settings are those of ``trainer``
    """
    from judgekit.losses.dpo import DpoLoss
    from judgekit.schema.trainer import TrainerConfig
    from judgekit.training import reference
    from judgekit.training.trainer import train
    from judgekit.weights import Weights

    base, folder = Path(job.base), Path(job.folder)
    trainer = TrainerConfig(accelerator="gpu" if job.device == "cuda" else "cpu", group_prompts=True, **job.settings)
    weights = Weights(base, base / "adapter" if adapter else None)
    compute, reference.reference_logps = reference.reference_logps, watch.reference(reference.reference_logps)
    began = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            train("sft" if job.shape.task == "sft" else "dpo", folder / "rows.jsonl", weights, Path(scratch, "judge"),
                  Path(scratch, "work"), optim_of(job), DpoLoss(), trainer, SEED, "bench",
                  watch.step, dtype=job.dtype)  # fmt: skip
    except _EnoughSteps:
        pass
    finally:
        reference.reference_logps = compute
    return {"seconds_to_first_step": round(watch.moments[0] - began - watch.reference_seconds, 2)} | memory()


def lora(setup: Setup, task: str, steps: int | None = None, profile: bool = False, **settings: Any) -> dict[str, Any]:
    """LoRA steps on an 8B model.

    :param steps: fewer than the setup's
    :param settings: of ``trainer``
    """
    job = setup.job(task)
    job = replace(job, settings={"max_tokens": 4096} | settings)
    watch = _Watch(limit=steps, profiled=4 if profile else None)
    found = judgekit_steps(job, watch, adapter=True)
    batches = batches_of(job)
    found |= _rates(Path(job.base), batches[: len(watch.losses)], watch, 2, job.settings["max_tokens"], len(batches))
    return {"settings": job.settings} | found | ({"kernels": watch.kernels} if profile else {})


def full(setup: Setup, **settings: Any) -> dict[str, Any]:
    """All weights of a smaller model: fp32 copies, gradients and two moments of 8B would need 145 GB."""
    job, base = setup.job("sft"), setup.model("llama-3.2-3b")
    settings = {"max_tokens": 4096, "adapter": "full", "gradient_checkpointing": True} | settings
    job = replace(job, base=str(base), lr=1e-5, settings=settings)
    watch = _Watch(limit=FULL_STEPS)
    found = judgekit_steps(job, watch, adapter=False)
    batches = batches_of(job)
    found |= _rates(base, batches[: len(watch.losses)], watch, 3, job.settings["max_tokens"], len(batches))
    return {"model": base.name, "settings": settings} | found


def _rates(
    base: Path, batches: Sequence[Any], watch: _Watch, passes: int, max_tokens: int, referred: int
) -> dict[str, Any]:
    """Tokens per second and share of the peak, of the steps after the first and with their part of the reference.

    :param referred: steps whose reference was computed
    """
    times = [after - before for before, after in zip(watch.moments, watch.moments[1:], strict=False)]
    packed, plain = Work.packed(batches[1:], max_tokens), Work.plain(batches[1:])
    step = statistics.median(times)
    total = step * len(times)
    with_reference = total + watch.reference_seconds * len(times) / referred
    training = packed.flops(base, passes)
    with_flops = training + (packed.flops(base, 1) if watch.reference_seconds else 0.0)
    return {
        "steps": len(watch.losses),
        "step_seconds_median": round(step, 4),
        "step_seconds": [round(taken, 3) for taken in times],
        "reference_seconds": round(watch.reference_seconds, 2),
        "tokens_per_second": round(packed.tokens / total),
        "unpacked_tokens_per_second_with_reference": round(plain.tokens / with_reference),
        "packed_tokens_a_step": round(packed.tokens / len(times)),
        "unpacked_tokens_a_step": round(plain.tokens / len(times)),
        "mfu": round(training / total / PEAK_FLOPS, 4),
        "mfu_with_reference": round(with_flops / with_reference / PEAK_FLOPS, 4),
        "losses": watch.losses,
    }


def trl(setup: Setup, task: str, steps: int) -> Iterator[dict[str, Any]]:
    """The same rows through TRL: a few settings on two steps each, then ``steps`` with one of the fastest."""
    from transformers import AutoModelForCausalLM

    job = setup.job(task)
    # Only what is needed twice is kept: TRL puts an adapter into the model, and ``unload`` takes it out again.
    model: Any = AutoModelForCausalLM.from_pretrained(job.base, dtype=torch.bfloat16, attn_implementation="sdpa")
    tried: list[dict[str, Any]] = []

    def attempt(count: int, **changes: Any) -> dict[str, Any]:
        nonlocal model
        settings = {"autocast": True, "padding_free": False, "precompute": False, "cudnn": False} | changes
        try:
            with contextlib.nullcontext() if settings["cudnn"] else no_cudnn_attention():
                found, model = _trl_steps(replace(job, settings=settings), model, count)
        except torch.OutOfMemoryError as error:
            found, model = {"failed": str(error).splitlines()[0][:200]}, _without_adapter(model)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return {"settings": settings} | found

    for micro_batch in (2,) if setup.tiny else (2, 4, 8):
        tried.append(attempt(2, micro_batch=micro_batch))
    for change in [{"autocast": False}, {"precompute": True} if task == "dpo" else {"padding_free": True}]:
        tried.append(attempt(2, **_fastest(tried) | change))
    best = attempt(steps, **_fastest(tried))
    plain, seconds = Work.plain(batches_of(job)[1:steps]), best["seconds_a_step"] * (steps - 1)
    flops = plain.flops(Path(job.base), 2) + (plain.flops(Path(job.base), 1) if task == "dpo" else 0.0)
    best["unpacked_tokens_per_second_with_reference"] = round(plain.tokens / seconds)
    best["mfu_with_reference"] = round(flops / seconds / PEAK_FLOPS, 4)
    yield best | {"tried": tried}
    yield {"cudnn_attention": attempt(2, **best["settings"] | {"cudnn": True})}  # torch's own choice of kernels


def _fastest(tried: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of the settings at most a tenth slower than the fastest, those that need least memory."""
    done = [found for found in tried if "failed" not in found]
    limit = 1.1 * min(float(found["seconds_a_step"]) for found in done)
    fast = [found for found in done if found["seconds_a_step"] <= limit]
    settings: dict[str, Any] = min(fast, key=lambda found: float(found.get("peak_allocated_gib", 0.0)))["settings"]
    return settings


def _without_adapter(model: Any) -> Any:
    """A model as it was before an adapter was put into its layers."""
    from peft.tuners.lora import LoraModel
    from peft.tuners.tuners_utils import BaseTunerLayer

    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, BaseTunerLayer) and not isinstance(parent, LoraModel):
                setattr(parent, name, child.get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config
    return model


def _trl_steps(job: Job, model: Any, steps: int) -> tuple[dict[str, Any], Any]:
    """Some steps of TRL, and the model without the adapter."""
    from datasets import Dataset
    from peft import LoraConfig, set_peft_model_state_dict
    from safetensors.torch import load_file
    from transformers import AutoTokenizer, TrainerCallback
    from trl import DPOTrainer, SFTTrainer

    lines = Path(job.folder, "trl.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines[: steps * job.shape.batch_size]]
    expected = [row.pop("ids") for row in rows]
    watch, dpo = _Watch(), job.shape.task == "dpo"

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            synchronize()
            watch.moments.append(time.perf_counter())

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory(dir=job.folder) as scratch:
        began = time.perf_counter()
        trainer = (DPOTrainer if dpo else SFTTrainer)(
            model=model, args=trl_arguments(job, scratch), train_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(job.base), callbacks=[Clock()],
            peft_config=LoraConfig(**LORA, task_type="CAUSAL_LM"),
        )  # fmt: skip
        made = time.perf_counter() - began
        if trl_ids(trainer.train_dataset, dpo) != expected:
            raise ValueError("TRL made other tokens of the rows than judgekit")
        adapter = load_file(Path(job.base, "adapter", "adapter_model.safetensors"))
        set_peft_model_state_dict(trainer.model, adapter)
        trainer.train()
    found = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    times = [after - before for before, after in zip(watch.moments, watch.moments[1:], strict=False)]
    # What is computed beforehand is the reference; without it, making the trainer only prepares rows.
    beforehand = made / steps if job.settings["precompute"] else 0.0
    figures = {
        "steps": len(watch.moments),
        "step_seconds_median": round(statistics.median(times), 4),
        "seconds_a_step": round(statistics.median(times) + beforehand, 4),
        "losses": [round(value, 6) for value in found],
    }
    return figures | memory(), _without_adapter(trainer.model.get_base_model())
