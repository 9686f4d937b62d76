"""Attention that computes only what a tree's mask shows equals masked attention, gradients included."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as functional
from torch import Tensor

from judgekit.errors import ModelError
from judgekit.training.attention import tree_mask
from judgekit.training.tree_attention import ROWS, blocks, tree_attention

HEADS, KEY_HEADS, SIZE = 6, 2, 8


def random_tree(size: int, seed: int) -> tuple[int, ...]:
    """Ends of a random depth-first tree, or forest."""
    draw = random.Random(seed)
    depths = [0]
    while len(depths) < size:
        depths.append(depths[-1] + 1 if draw.random() < 0.85 else draw.randint(0, depths[-1]))
    return tuple(next((j for j in range(i + 1, size) if depths[j] <= depths[i]), size) for i in range(size))


def run(ends: tuple[int, ...], dtype: torch.dtype, attend: Callable[[Tensor, Tensor, Tensor], Tensor]) -> list[Tensor]:
    """Output (1, L, heads, size) and gradients under one random draw."""
    torch.manual_seed(len(ends))
    tensors = [torch.randn(1, heads, len(ends), SIZE).to(dtype) for heads in (HEADS, KEY_HEADS, KEY_HEADS)]
    query, key, value = (tensor.requires_grad_() for tensor in tensors)
    out = attend(query, key, value)
    out.backward(torch.randn(out.shape).to(dtype))
    grads = [tensor.grad for tensor in (query, key, value)]
    assert all(grad is not None for grad in grads)
    return [out.detach(), *(grad for grad in grads if grad is not None)]


def masked(ends: tuple[int, ...], dtype: torch.dtype) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    mask = tree_mask(torch.tensor(ends), dtype)

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        key, value = (tensor.repeat_interleave(HEADS // KEY_HEADS, 1) for tensor in (key, value))
        return functional.scaled_dot_product_attention(query, key, value, mask, scale=0.3).transpose(1, 2)

    return attend


def in_tree_form(ends: tuple[int, ...]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    return lambda query, key, value: tree_attention(
        None, query, key, value, torch.tensor(ends)[None, None, None], scaling=0.3
    )[0]


@pytest.mark.parametrize("size", [1, 2, 7, 40, 90, 3 * ROWS + 5])
@pytest.mark.parametrize("seed", range(4))
def test_it_equals_masked_attention(size: int, seed: int) -> None:
    ends = random_tree(size, seed)
    found, expected = (run(ends, torch.float32, form) for form in (in_tree_form(ends), masked(ends, torch.float32)))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_in_bf16_it_is_as_exact_as_masked_attention() -> None:
    ends = random_tree(300, 1)
    exact = run(ends, torch.float32, masked(ends, torch.float32))
    errors = []
    for form in (in_tree_form(ends), masked(ends, torch.bfloat16)):
        found = run(ends, torch.bfloat16, form)
        errors.append([float((a.float() - b).norm() / b.norm()) for a, b in zip(found, exact, strict=True)])
    assert all(ours < 2 * theirs + 1e-3 for ours, theirs in zip(*errors, strict=True)), errors


@pytest.mark.parametrize("rows", [3, 16, 128])
def test_blocks_show_what_the_mask_shows(rows: int) -> None:
    for seed in range(8):
        ends = random_tree(60, seed)
        shown = torch.zeros(60, 60, dtype=torch.bool)
        for block in blocks(ends, rows):
            assert 0 < block.last - block.first <= rows and block.columns[-1][1] == block.last
            for row in range(block.first, block.last):
                for first, last in block.columns:
                    shown[row, first : min(last, row + 1)] = True
        assert torch.equal(shown, tree_mask(torch.tensor(ends), torch.float32)[0, 0] == 0)


def test_without_a_mask_it_is_causal() -> None:
    found = run((9,) * 9, torch.float32, lambda q, k, v: tree_attention(None, q, k, v, None, scaling=0.3)[0])
    for one, other in zip(found, run((9,) * 9, torch.float32, masked((9,) * 9, torch.float32)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_what_it_cannot_do_is_refused() -> None:
    one, two = torch.randn(1, 2, 4, SIZE), torch.randn(2, 2, 4, SIZE)
    with pytest.raises(ModelError, match="softcap.*trainer.attention=sdpa"):
        tree_attention(None, one, one, one, None, softcap=30.0)
    with pytest.raises(ModelError, match="batched or with dropout"):
        tree_attention(None, two, two, two, None)
