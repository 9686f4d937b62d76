"""Attention over packed trees: which implementation, and its mask.

Row i may look at column j when ``j <= i < ends[j]``, that is at itself and its ancestors. Shapes: L tokens.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from transformers import AttentionInterface

from judgekit.training.tree_attention import NAME, tree_attention

Attention = Literal["sdpa", "flex_attention", "judgekit_tree"]

AttentionInterface.register(NAME, tree_attention)

FLEX_FROM = 2048
"""Tokens of a packed sequence from which FlexAttention is preferred: shorter masks cost less than compiling it."""


def choose_attention(setting: str, device: torch.device, max_tokens: int) -> Attention:
    """The implementation, under the name ``transformers`` gives it.

    ``auto`` takes the tree form on a CPU: it computes only what the mask shows, with matrix products. On a CUDA device
    it takes FlexAttention when packed sequences may reach ``FLEX_FROM`` tokens: it skips blocks of the mask that hold
    nothing and never stores L × L numbers. Elsewhere FlexAttention has no backward pass, and masked SDPA is taken.

    :param setting: ``trainer.attention``
    """
    if setting == "auto":
        long = device.type == "cuda" and max_tokens >= FLEX_FROM
        setting = "tree" if device.type == "cpu" else "flex" if long else "sdpa"
    names: dict[str, Attention] = {"flex": "flex_attention", "tree": NAME, "sdpa": "sdpa"}
    return names[setting]


def attention_mask(attention: str, ends_L: Tensor, dtype: torch.dtype) -> Any:
    """What an implementation takes: a ``BlockMask``, the ends (1, 1, 1, L), or a mask (1, 1, L, L)."""
    if attention == NAME:
        return ends_L[None, None, None]
    return block_mask(ends_L) if attention == "flex_attention" else tree_mask(ends_L, dtype)


def tree_mask(ends_L: Tensor, dtype: torch.dtype) -> Tensor:
    """Additive attention mask (1, 1, L, L): 0 where row i may look at column j, else −∞.

    Additive in the model's precision, because attention on a CPU would convert a boolean one again in every layer.
    """
    place_L = torch.arange(len(ends_L), device=ends_L.device)
    seen_LL = (place_L[None, :] <= place_L[:, None]) & (place_L[:, None] < ends_L[None, :])
    return torch.zeros(seen_LL.shape, dtype=dtype, device=ends_L.device).masked_fill_(~seen_LL, -torch.inf)[None, None]


def block_mask(ends_L: Tensor) -> Any:
    """The same mask as a FlexAttention ``BlockMask``."""
    from torch.nn.attention.flex_attention import create_block_mask

    def sees(batch: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
        return (column <= row) & (row < ends_L[column])

    length = len(ends_L)
    return create_block_mask(sees, None, None, length, length, device=ends_L.device)
