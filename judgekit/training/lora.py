"""Models with a trainable part: loading, saving, and a LoRA layer without casts.

Base weights stay in the precision they are stored in (usually bf16), adapter weights are fp32.
"""

from __future__ import annotations

import importlib.util
import json
import logging
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
from safetensors.torch import save_file
from torch import Tensor, nn

from judgekit.errors import MissingExtraError, ModelError
from judgekit.prompts.tokenizers import load_tokenizer
from judgekit.schema.trainer import TrainerConfig
from judgekit.training.attention import choose_attention
from judgekit.weights import Weights

CPU = torch.device("cpu")


class _LoraLinear(torch.autograd.Function):
    """``x Wᵀ + b + s (x Aᵀ) Bᵀ`` in the precision of x, gradients of A and B in theirs; W is frozen."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor, scale: float
    ) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        low_down, low_up = down.to(x.dtype), (up * scale).to(x.dtype)
        inner = flat @ low_down.T
        out = functional.linear(flat, weight, bias).addmm_(inner, low_up.T)
        ctx.save_for_backward(flat, weight, low_down, low_up, inner)
        ctx.scale, ctx.dtype = scale, down.dtype
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        flat, weight, low_down, low_up, inner = ctx.saved_tensors
        grad = gradients[0].reshape(-1, gradients[0].shape[-1])
        inner_grad = grad @ low_up
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = (grad @ weight).addmm_(inner_grad, low_down).view(*gradients[0].shape[:-1], -1)
        grad_down = (inner_grad.T @ flat).to(ctx.dtype)
        grad_up = (grad.T @ inner).to(ctx.dtype) * ctx.scale
        return grad_x, None, None, grad_down, grad_up, None


def _fast_forward(layer: Any, x: Tensor) -> Tensor:
    base = layer.base_layer
    (name,) = layer.active_adapters
    down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
    out: Tensor = _LoraLinear.apply(x, base.weight, base.bias, down, up, layer.scaling[name])  # type: ignore[no-untyped-call]
    return out


def speed_up(model: nn.Module) -> int:
    """Replace the forward pass of plain LoRA layers by one that casts no activation; how many were replaced.

    PEFT computes the adapter's branch in the adapter's fp32, which on a CPU takes longer than the layer itself.
    """
    from peft.tuners.lora.layer import Linear

    count = 0
    for layer in model.modules():
        if isinstance(layer, Linear) and _is_plain(layer):
            layer.forward = _fast_forward.__get__(layer)  # type: ignore[method-assign]
            count += 1
    return count


def _is_plain(layer: Any) -> bool:
    names = list(layer.active_adapters)
    return (
        len(names) == 1
        and type(layer.base_layer) is nn.Linear
        and isinstance(layer.lora_dropout[names[0]], nn.Identity)
        and not layer.lora_variant
        and not layer.lora_bias[names[0]]
    )


def load_model(
    start: Weights, trainer: TrainerConfig, dtype: str, seed: int, device: torch.device = CPU, empty: bool = False
) -> Any:
    """The model to train: ``start`` with its adapter, or with a new one, or with all its weights.

    :param dtype: precision of the base weights, ``auto`` for that of the files
    :param seed: of a new adapter's initial values
    :param device: where it is going to be trained, which decides on attention; it is loaded on the CPU
    :param empty: leave the base without values, for a process that is sent its shard of them
    :raises ModelError: an adapter of another kind than ``trainer.adapter``, or ``qlora`` without a GPU
    :raises MissingExtraError: ``qlora`` without bitsandbytes
    """
    import peft

    model = _load_base(start.base, trainer, dtype, device, empty)
    if trainer.adapter == "full":
        if start.adapter is not None:
            raise ModelError(f"{start.adapter} is an adapter. Set trainer.adapter=lora to train it on.")
        return model
    if start.adapter is not None:
        adapted: Any = peft.PeftModel.from_pretrained(model, str(start.adapter), is_trainable=True)
        _check_kind(adapted, start.adapter, trainer)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            adapted = peft.get_peft_model(model, _lora_config(trainer))
    speed_up(adapted)
    return adapted


def _load_base(folder: Path, trainer: TrainerConfig, dtype: str, device: torch.device, empty: bool) -> Any:
    from accelerate import init_empty_weights
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging as hub_logging

    hub_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    options: dict[str, Any] = {"attn_implementation": choose_attention(trainer.attention, device, trainer.max_tokens)}
    if trainer.adapter == "qlora":
        options |= {"quantization_config": _four_bits(dtype, device), "device_map": {"": device}}
    model: Any
    if empty:
        config: Any = AutoConfig.from_pretrained(folder, local_files_only=True)
        precision = config.dtype if dtype == "auto" else dtype
        with init_empty_weights(include_buffers=False):
            model = AutoModelForCausalLM.from_config(config, dtype=precision, **options)  # type: ignore[no-untyped-call]
        model.tie_weights()
    else:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True, **options)
    model.config.use_cache = False
    if trainer.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model


def _four_bits(dtype: str, device: torch.device) -> Any:
    """NF4 with double quantisation, as QLoRA (Dettmers et al. 2023, arXiv 2305.14314, §3) stores the base."""
    from transformers import BitsAndBytesConfig

    if device.type != "cuda":
        # bitsandbytes packs weights anew for inference on a CPU, and gradients are silently wrong from then on.
        raise ModelError(f"A base in 4 bits cannot be trained on {device.type}. Use trainer.adapter=lora, or a GPU.")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingExtraError("bitsandbytes", "qlora")
    compute = torch.bfloat16 if dtype == "auto" else getattr(torch, dtype)
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )


def _check_kind(adapted: Any, folder: Path, trainer: TrainerConfig) -> None:
    """Make sure that an adapter that is trained on is of the kind the configuration names."""
    held = "dora" if adapted.peft_config["default"].use_dora else "lora"
    wanted = "dora" if trainer.adapter == "dora" else "lora"
    if held != wanted:
        raise ModelError(f"{folder} is a {held} adapter. Set trainer.adapter={held} (now {trainer.adapter}).")


def _lora_config(trainer: TrainerConfig) -> Any:
    from peft import LoraConfig

    names = trainer.lora_targets
    return LoraConfig(
        r=trainer.lora_rank,
        lora_alpha=trainer.lora_alpha,
        lora_dropout=trainer.lora_dropout,
        target_modules=names if names == "all-linear" else [name.strip() for name in names.split(",")],
        use_dora=trainer.adapter == "dora",
        task_type="CAUSAL_LM",
    )


def add_dropout(model: Any, rate: float) -> None:
    """Drop a share of what attention and MLP of every layer add to the residual stream, while the model trains.

    Models of today have no dropout of their own in these places, where earlier ones had it.

    :raises ModelError: a model whose layers are built otherwise
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    layers = [module for module in base.modules() if type(module).__name__ in set(base._no_split_modules or ())]
    parts = [part for layer in layers for name, part in layer.named_children() if name in ("self_attn", "mlp")]
    if not parts or len(parts) != 2 * len(layers):
        kind = type(base).__name__
        raise ModelError(f"Where dropout belongs in a {kind} is not known here. Set this stage's optim dropout to 0.")

    def drop(module: nn.Module, _: Any, out: Any) -> Any:
        whole = out if isinstance(out, tuple) else (out,)
        dropped = functional.dropout(whole[0], rate, module.training)
        return (dropped, *whole[1:]) if isinstance(out, tuple) else dropped

    for part in parts:
        part.register_forward_hook(drop)


def save_model(model: Any, folder: Path, base: Path, weights: dict[str, Tensor] | None = None) -> None:
    """Write an adapter alone (PEFT format), or a full model with its tokenizer.

    :param base: folder of the base model
    :param weights: all weights of a full model, where it holds only a shard of them
    """
    from peft import PeftModel, get_peft_model_state_dict

    folder.mkdir(parents=True, exist_ok=True)
    if not isinstance(model, PeftModel):
        logging.getLogger("transformers").setLevel(logging.ERROR)
        model.save_pretrained(folder, state_dict=weights)
        load_tokenizer(base).save_pretrained(folder)
        return
    tensors = get_peft_model_state_dict(model, save_embedding_layers=False)
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        folder / "adapter_model.safetensors",
        metadata={"format": "pt"},
    )
    settings: Any = model.peft_config["default"]
    settings.save_pretrained(str(folder))
    path = folder / "adapter_config.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    values = {key: sorted(value) if isinstance(value, list) else value for key, value in values.items()}
    values["base_model_name_or_path"] = str(base)
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
