"""Attention over a packed tree on a CPU, block by block, leaving out what the mask would hide.

Masked SDPA computes all L² scores, and its CPU kernel reaches a fraction of the speed of a matrix product. Here rows
are taken in blocks of one branch: such a block sees the branches above it and its own rows so far, a few ranges of
columns, so two plain matrix products over those columns do. The weights are kept for the backward pass, in the model's
precision: K·G times the visible pairs of tokens a layer, at 2,000 tokens of an EvalPlanner batch 23 MB in bf16.

Shapes: L tokens, K key-value heads, G query heads for each of them, D head size, R rows of a block, C columns it sees.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from judgekit.errors import ModelError

NAME: Final = "judgekit_tree"
"""Under which ``transformers`` finds it."""

ROWS = 128
"""Rows of a block: more waste scores above the diagonal, fewer make small matrix products."""


@dataclass(frozen=True)
class Block:
    """Rows ``first`` to ``last`` (exclusive) of one branch, and the ranges of columns they see, in order.

    The last range ends with the rows themselves, among which each sees those up to itself.
    """

    first: int
    last: int
    columns: tuple[tuple[int, int], ...]


@functools.lru_cache(maxsize=64)
def blocks(ends: tuple[int, ...], rows: int = ROWS) -> tuple[Block, ...]:
    """Blocks of a packed tree in which row i sees column j when ``j <= i < ends[j]``."""
    found: list[Block] = []
    open_branches: list[tuple[int, int]] = []
    start = 0
    for row in range(1, len(ends) + 1):
        # A branch goes on while the row above is still open and the new row is its only child so far.
        if row < len(ends) and ends[row - 1] > row:
            continue
        for first in range(start, row, rows):
            last = min(first + rows, row)
            found.append(Block(first, last, (*open_branches, (start, last))))
        open_branches = _still_open([*open_branches, (start, row)], ends, row)
        start = row
    return tuple(found)


def _still_open(ranges: list[tuple[int, int]], ends: tuple[int, ...], row: int) -> list[tuple[int, int]]:
    """What of the ranges is above ``row``: a branch may close in its middle, where another one leaves it."""
    kept = []
    for first, last in ranges:
        while last > first and ends[last - 1] <= row:
            last -= 1
        if last > first:
            kept.append((first, last))
    return kept


class _TreeAttention(torch.autograd.Function):
    """Softmax attention; query (K·G, L, D), key and value (K, L, D). Keeps each block's weights for the way back."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, plan: tuple[Block, ...], scale: float) -> Tensor:
        out = torch.empty_like(query, memory_format=torch.contiguous_format)
        kept: list[Tensor] = []
        for block in plan:
            rows, count = slice(block.first, block.last), block.last - block.first
            scores = torch.bmm(_grouped(query[:, rows], key), _gather(key, block).transpose(1, 2))
            scores = scores.view(len(query), count, -1).float().mul_(scale)
            scores[:, :, -count:].masked_fill_(_above_diagonal(count), -torch.inf)
            weights = _grouped(scores.softmax(-1).to(value.dtype), key)
            out[:, rows] = torch.bmm(weights, _gather(value, block)).view(len(query), count, -1)
            kept.append(weights)
        ctx.save_for_backward(query, key, value, out, *(kept if any(ctx.needs_input_grad) else ()))
        ctx.plan, ctx.scale = plan, scale
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        query, key, value, out, *kept = ctx.saved_tensors
        grad = gradients[0]
        grad_query = torch.empty_like(query, memory_format=torch.contiguous_format)
        grad_key = torch.zeros(key.shape, dtype=torch.float32)
        grad_value = torch.zeros(value.shape, dtype=torch.float32)
        # Σ_j w_ij ∂/∂w_ij, which the softmax subtracts from every ∂/∂w_ij
        inner = (grad.float() * out.float()).sum(-1, keepdim=True)
        for block, weights in zip(ctx.plan, kept, strict=True):
            rows, count = slice(block.first, block.last), block.last - block.first
            grad_rows, query_rows = _grouped(grad[:, rows], key), _grouped(query[:, rows], key)
            grad_weights = torch.bmm(grad_rows, _gather(value, block).transpose(1, 2)).float()
            grad_scores = grad_weights.sub_(_grouped(inner[:, rows], key)).mul_(weights).mul_(ctx.scale).to(key.dtype)
            grad_query[:, rows] = torch.bmm(grad_scores, _gather(key, block)).view(len(query), count, -1)
            _scatter(grad_value, torch.bmm(weights.transpose(1, 2), grad_rows), block)
            _scatter(grad_key, torch.bmm(grad_scores.transpose(1, 2), query_rows), block)
        return grad_query, grad_key.to(key.dtype), grad_value.to(value.dtype), None, None


@functools.lru_cache(maxsize=2 * ROWS)
def _above_diagonal(count: int) -> Tensor:
    return torch.ones(count, count, dtype=torch.bool).triu_(1)


def _grouped(heads: Tensor, key: Tensor) -> Tensor:
    """(K·G, R, X) as (K, G·R, X): query heads that share a key head become rows of one product."""
    return heads.reshape(len(key), -1, heads.shape[-1])


def _gather(key: Tensor, block: Block) -> Tensor:
    """The columns a block sees, (K, C, D)."""
    if len(block.columns) == 1:
        return key[:, block.columns[0][0] : block.columns[0][1]]
    return torch.cat([key[:, first:last] for first, last in block.columns], 1)


def _scatter(total: Tensor, part: Tensor, block: Block) -> None:
    """Add (K, C, D) to the columns it belongs to."""
    place = 0
    for first, last in block.columns:
        total[:, first:last] += part[:, place : place + last - first]
        place += last - first


def tree_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attention as ``transformers`` asks for it, for one packed sequence.

    :param query: (1, K·G, L, D); key and value (1, K, L, D)
    :param attention_mask: the ends of the packed tree, (1, 1, 1, L); None: plain causal attention
    :return: (1, L, K·G, D)
    :raises ModelError: a batch, dropout, or a model that changes scores otherwise
    """
    unusual = [name for name in ("softcap", "s_aux", "sliding_window") if options.get(name) is not None]
    if len(query) != 1 or dropout or unusual:
        raise ModelError(
            f"This model's attention ({', '.join(unusual) or 'batched or with dropout'}) has no tree form here. "
            "Set trainer.attention=sdpa."
        )
    length = query.shape[2]
    ends = (length,) * length if attention_mask is None else tuple(attention_mask.flatten().tolist())
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    out: Tensor = _TreeAttention.apply(query[0], key[0], value[0], blocks(ends), scale)  # type: ignore[no-untyped-call]
    return out.transpose(0, 1)[None].contiguous(), None
