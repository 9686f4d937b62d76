"""LoRA in vLLM's worker on a CPU: what the operations it replaces compute, for one adapter."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from judgekit.sampling import vllm_lora

TOKENS, WIDTH, RANK = 7, 12, 4


def gathered(inputs: torch.Tensor, weights: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """Each token's own matrix times the token, as the operations are defined."""
    return torch.stack(
        [weights[index].reshape(weights.shape[-2:]) @ row for index, row in zip(indices, inputs, strict=True)]
    )


@pytest.fixture
def numbers() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize("shape", [(1, 1, RANK, WIDTH), (1, RANK, WIDTH)])
def test_shrink_is_each_tokens_product(numbers: torch.Generator, shape: tuple[int, ...]) -> None:
    inputs, weights = torch.randn(TOKENS, WIDTH, generator=numbers), torch.randn(shape, generator=numbers)
    indices, output = torch.zeros(TOKENS, dtype=torch.long), torch.full((TOKENS, RANK), 9.0)
    vllm_lora.shrink(inputs, weights, output, indices, 0.5)
    torch.testing.assert_close(output, 0.5 * gathered(inputs, weights, indices))


@pytest.mark.parametrize("add", [True, False])
@pytest.mark.parametrize("columns", [WIDTH - 2, WIDTH, WIDTH + 3])
def test_expand_is_each_tokens_product(numbers: torch.Generator, add: bool, columns: int) -> None:
    inputs, weights = torch.randn(TOKENS, RANK, generator=numbers), torch.randn(1, 1, WIDTH, RANK, generator=numbers)
    indices, before = torch.zeros(TOKENS, dtype=torch.long), torch.randn(TOKENS, columns, generator=numbers)
    output, width = before.clone(), min(columns, WIDTH)
    vllm_lora.expand(inputs, weights, output, indices, add)
    made = gathered(inputs, weights, indices)[:, :width]
    torch.testing.assert_close(output[:, :width], made + before[:, :width] if add else made)
    assert torch.equal(output[:, width:], before[:, width:])


@pytest.mark.parametrize("add", [True, False])
def test_a_slice_leaves_the_other_columns(numbers: torch.Generator, add: bool) -> None:
    inputs, weights = torch.randn(TOKENS, RANK, generator=numbers), torch.randn(1, 5, RANK, generator=numbers)
    indices, before = torch.zeros(TOKENS, dtype=torch.long), torch.randn(TOKENS, WIDTH, generator=numbers)
    output = before.clone()
    vllm_lora.expand_slice(inputs, weights, output, indices, 3, 5, add)
    made = gathered(inputs, weights, indices)
    torch.testing.assert_close(output[:, 3:8], made + before[:, 3:8] if add else made)
    assert torch.equal(output[:, :3], before[:, :3]) and torch.equal(output[:, 8:], before[:, 8:])


def test_a_second_slot_is_refused(numbers: torch.Generator) -> None:
    inputs, weights = torch.randn(TOKENS, WIDTH, generator=numbers), torch.randn(2, 1, RANK, WIDTH, generator=numbers)
    with pytest.raises(ValueError, match="2 slots"):
        vllm_lora.shrink(inputs, weights, torch.zeros(TOKENS, RANK), torch.ones(TOKENS, dtype=torch.long))


def test_vllms_names_are_replaced() -> None:
    module = SimpleNamespace(bgmv_shrink=None, bgmv_expand=None, bgmv_expand_slice=None)
    vllm_lora.install(module)
    assert module.bgmv_shrink is vllm_lora.shrink and module.bgmv_expand_slice is vllm_lora.expand_slice
