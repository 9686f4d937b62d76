"""``sampler=vllm``: vLLM's offline engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from judgekit.errors import Problem
from judgekit.samplers.base import SAMPLERS, WHO, SamplerConfig
from judgekit.schema.fields import setting

_OWN_OPTIONS = {
    "model", "tokenizer", "dtype", "max_model_len", "tensor_parallel_size", "data_parallel_size", "max_num_seqs",
    "max_num_batched_tokens", "gpu_memory_utilization", "enforce_eager", "enable_lora", "max_loras",
    "max_lora_rank", "worker_extension_cls",
}  # fmt: skip


@SAMPLERS.register
@dataclass(frozen=True)
class VllmConfig(SamplerConfig):
    """``sampler=vllm``: vLLM's offline engine in processes of its own."""

    function: ClassVar[str] = "judgekit.sampling.vllm:VllmSampler"
    penalises: ClassVar[bool] = True
    name: Literal["vllm"] = setting("vllm", "back end")
    tensor_parallel: int = setting(1, "GPUs one engine splits the model over", ge=1, rounding=True)
    data_parallel: int = setting(
        1, "engines side by side, each on tensor_parallel GPUs of its own", ge=1, rounding=True
    )
    gpu_memory: float = setting(0.9, "share of a GPU's memory the engine may fill", gt=0.0, le=1.0, rounding=True)
    cpu_memory: float = setting(2.0, "memory for cached tokens on a CPU, GiB", gt=0.0, rounding=True)
    max_sequences: int = setting(256, "sequences generated together, at most", ge=1, rounding=True)
    batch_tokens: int | None = setting(
        None, "tokens of one forward pass, at most; null: vLLM's own choice", ge=64, rounding=True
    )
    eager: bool | None = setting(
        None, "no compiled graphs: starts sooner, runs slower on a GPU; null: on a CPU only", rounding=True
    )
    seeded: bool = setting(
        True,
        "each sample draws from its own seed; false is a little faster and not repeatable",
        unkeyed="without it each drawing differs",
    )
    start_seconds: float = setting(1800.0, "time the engine has to start", gt=0, unkeyed=WHO)
    options: dict[str, str] = setting({}, "further engine arguments by vLLM's names, as text (JSON where not a string)")

    @property
    def identity(self) -> list[Any]:
        """Engine arguments: quantization, for one, changes what is written."""
        return [*([self.options] if self.options else []), *super().identity]

    def problems(self) -> list[Problem]:
        """Also engine arguments that other settings give."""
        message, hint = "judgekit sets this engine argument itself", "Use the settings of model and sampler"
        taken = sorted(set(self.options) & _OWN_OPTIONS)
        return [*super().problems(), *(Problem(f"options.{name}", message, hint) for name in taken)]
