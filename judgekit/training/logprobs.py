"""Log-probabilities of completions in packed sequences.

Shapes: L tokens of a packed sequence, N distinct predictions, M completion tokens, K completions, H hidden size,
V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from judgekit.errors import ModelError
from judgekit.training.attention import attention_mask
from judgekit.training.batches import Packed

CHUNK_LOGITS = 2**24
"""Logits held in fp32 at once: 64 MiB."""


def token_logps(model: Any, packed: Packed, device: torch.device) -> Tensor:
    """Log-probability of every completion token, (M,) in fp32, differentiable."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    ends_L = torch.tensor(packed.ends, device=device)
    dtype = base.get_input_embeddings().weight.dtype
    hidden_LH = base.base_model(
        input_ids=torch.tensor([packed.ids], device=device),
        attention_mask=attention_mask(base.config._attn_implementation, ends_L, dtype),
        position_ids=torch.tensor([packed.positions], device=device),
        use_cache=False,
    ).last_hidden_state[0]
    logps_N = head_logps(
        hidden_LH[torch.tensor(packed.sources, device=device)],
        base.get_output_embeddings(),
        torch.tensor(packed.targets, device=device),
    )
    return logps_N[torch.tensor(packed.entries, device=device)]


def completion_logps(logps_M: Tensor, packed: Packed) -> tuple[Tensor, Tensor]:
    """Sum of log-probabilities in fp64 and number of tokens of each completion, both (K,).

    Margins are differences of such sums: one unit in the last place of a sum of -600 in fp32 is 6e-5 of a margin.
    """
    logps_M = logps_M.double()
    lengths = [0] * (max(packed.owners) + 1)
    for owner in packed.owners:
        lengths[owner] += 1
    lengths_K = torch.tensor(lengths, device=logps_M.device)
    if logps_M.is_cuda:
        # A completion's tokens follow one another. ``index_add`` would add them in another order every time here.
        return torch.stack([part_M.sum() for part_M in torch.split(logps_M, lengths)]), lengths_K
    owners_M = torch.tensor(packed.owners, device=logps_M.device)
    return logps_M.new_zeros(len(lengths)).index_add(0, owners_M, logps_M), lengths_K


def head_logps(hidden_NH: Tensor, head: Any, targets_N: Tensor) -> Tensor:
    """Log-probability of each target under the output layer, (N,) in fp32, with few fp32 logits in memory at once."""
    rows = max(16, CHUNK_LOGITS // head.weight.shape[0])
    chunks = []
    for hidden_CH, targets_C in zip(torch.split(hidden_NH, rows), torch.split(targets_N, rows), strict=True):
        if head.weight.requires_grad:
            logps_C = checkpoint(_plain_logps, hidden_CH, head.weight, head.bias, targets_C, use_reentrant=False)
        else:
            logps_C = _FrozenHead.apply(hidden_CH, head.weight, head.bias, targets_C)  # type: ignore[no-untyped-call]
        chunks.append(logps_C)
    return torch.cat(chunks)


def _plain_logps(hidden_CH: Tensor, weight_VH: Tensor, bias_V: Tensor | None, targets_C: Tensor) -> Tensor:
    logits_CV = torch.nn.functional.linear(hidden_CH, weight_VH, bias_V).float()
    return logits_CV.gather(1, targets_C[:, None])[:, 0] - logits_CV.logsumexp(1)


class _FrozenHead(torch.autograd.Function):
    """Log-probabilities whose gradient needs no logits later.

    With W frozen, d log p(y) / d h = W_y − Σ_v p_v W_v is a vector of the hidden size that the forward pass can
    compute, so the backward pass neither keeps nor recomputes logits.
    """

    @staticmethod
    def forward(ctx: Any, hidden_CH: Tensor, weight_VH: Tensor, bias_V: Tensor | None, targets_C: Tensor) -> Tensor:
        logits_CV = torch.nn.functional.linear(hidden_CH, weight_VH, bias_V).float()
        total_C = logits_CV.logsumexp(1)
        logps_C = logits_CV.gather(1, targets_C[:, None])[:, 0] - total_C
        if ctx.needs_input_grad[0]:
            p_CV = logits_CV.sub_(total_C[:, None]).exp_().to(weight_VH.dtype)
            ctx.save_for_backward(weight_VH[targets_C] - p_CV @ weight_VH)
        return logps_C

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (slope_CH,) = ctx.saved_tensors
        return (slope_CH * gradients[0][:, None]).to(slope_CH.dtype), None, None, None


def check_head(model: Any, device: torch.device) -> None:
    """Make sure that the model's logits are its output layer applied to its last hidden states.

    :raises ModelError: for architectures that transform logits afterwards (soft caps, scales)
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    ids = torch.tensor([[1, 2, 3, 4]], device=device)
    with torch.no_grad():
        logits = base(input_ids=ids, use_cache=False).logits[0, -1].float()
        hidden = base.base_model(input_ids=ids, use_cache=False).last_hidden_state[0, -1]
        ours = base.get_output_embeddings()(hidden).float()
    if not torch.allclose(logits, ours, rtol=0.05, atol=0.05 * float(logits.abs().max())):
        raise ModelError("This model transforms its logits after the output layer, which training does not support.")
