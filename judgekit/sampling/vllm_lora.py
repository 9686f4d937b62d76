"""LoRA on a CPU, in the worker of an engine that holds one adapter.

vLLM's operations for CPUs gather the adapter's matrices anew for every token: for 4,096 tokens of a prefill that is
tokens x rank x width numbers, in every layer. With one slot for adapters they are the same matrices each time, so a
product of matrices does. The worker imports this module because ``worker_extension_cls`` names a class in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    Tensor = torch.Tensor


class WorkerExtension:
    """Adds nothing to the worker; importing it is what counts."""


def shrink(inputs: Tensor, weights: Tensor, output: Tensor, indices: Tensor, scaling: float = 1.0) -> None:
    """``output = scaling * inputs @ A.T`` for inputs (tokens, width) and weights (1, 1, rank, width).

    :param indices: slot of each token's adapter; there is one slot
    """
    made = _product(inputs, weights, output)
    output[:, : made.shape[1]] = scaling * made


def expand(inputs: Tensor, weights: Tensor, output: Tensor, indices: Tensor, add_inputs: bool = True) -> None:
    """``output (+)= inputs @ B.T`` for inputs (tokens, rank) and weights (1, 1, width, rank); parameters as ``shrink``.

    :param add_inputs: add to what is in ``output``
    """
    made = _product(inputs, weights, output)
    # Either side may be padded.
    width = min(made.shape[1], output.shape[1])
    rows = 1 if made.shape[0] == 1 else output.shape[0]
    _write(output[:, :width], made[:rows, :width], add_inputs)


def expand_slice(
    inputs: Tensor, weights: Tensor, output: Tensor, indices: Tensor, slice_offset: int, slice_size: int,
    add_inputs: bool = True,
) -> None:  # fmt: skip
    """``expand`` into ``slice_size`` columns from ``slice_offset``."""
    made = _product(inputs, weights, output)
    _write(output[:, slice_offset : slice_offset + slice_size], made, add_inputs)


def _product(inputs: Tensor, weights: Tensor, output: Tensor) -> Tensor:
    if len(weights) != 1:
        raise ValueError(f"the engine has {len(weights)} slots for adapters, and these operations know one")
    matrix = weights[0, 0] if weights.dim() == 4 else weights[0]
    return inputs.to(output.dtype) @ matrix.to(output.dtype).T


def _write(target: Tensor, made: Tensor, add: bool) -> None:
    if add:
        target += made
    else:
        target[:] = made


def install(*modules: Any) -> None:
    """Put these functions in the place of vLLM's in the modules that hold them."""
    for module in modules:
        module.bgmv_shrink, module.bgmv_expand, module.bgmv_expand_slice = shrink, expand, expand_slice


def _install() -> None:
    try:
        from vllm.lora.ops.torch_ops import lora_ops
        from vllm.lora.punica_wrapper import punica_cpu
    except ImportError:  # without vLLM there is nothing to replace
        return
    install(lora_ops, punica_cpu)


_install()
