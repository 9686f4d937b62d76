"""Batched decoding against plain transformers, plain attention and plain probability."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from transformers import AutoModelForCausalLM
from transformers.models.llama.modeling_llama import repeat_kv

from judgekit.sampling import decoding
from tests.training.tiny import make_model

PROMPTS = [tuple((7 * row + 3 * place) % 200 + 2 for place in range(length)) for row, length in enumerate((9, 5, 2, 1))]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = make_model(tmp_path_factory.mktemp("tiny"))
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation=decoding.ATTENTION)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same weights with the eager attention of transformers."""
    folder = make_model(tmp_path_factory.mktemp("plain"))
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")


@torch.inference_mode()
def logits_of(plain: Any, ids: tuple[int, ...]) -> torch.Tensor:
    """Logits after every token of one unpadded sequence, (T, V)."""
    logits: torch.Tensor = plain(torch.tensor([ids])).logits[0]
    return logits


# --- attention


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("queries", [1, 5])
@pytest.mark.parametrize("padded", [False, True])
def test_attention_equals_repeated_heads(kv_heads: int, queries: int, padded: bool) -> None:
    generator = torch.Generator().manual_seed(kv_heads)
    query = torch.randn((3, 4, queries, 8), generator=generator)
    key, value = torch.randn((2, 3, kv_heads, 5, 8), generator=generator).unbind()
    mask = torch.ones((queries, 5), dtype=torch.bool).tril(diagonal=5 - queries).expand(3, 1, -1, -1)
    if padded:
        valid = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1], [0, 0, 0, 0, 1]], dtype=torch.bool)
        mask = mask & valid[:, None, None, :] | torch.eye(5, dtype=torch.bool)[5 - queries :]
    found, _ = decoding.grouped_sdpa(torch.nn.Module(), query, key, value, mask if padded else None, scaling=0.3)
    keys, values = repeat_kv(key, 4 // kv_heads), repeat_kv(value, 4 // kv_heads)
    scores = (query @ keys.transpose(2, 3) * 0.3).masked_fill(~mask, float("-inf"))
    expected = (scores.softmax(dim=-1) @ values).transpose(1, 2)
    assert found.shape == (3, queries, 4, 8)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


# --- prompts and single steps


@pytest.mark.parametrize("chunk", [1, 10, 4096])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 0, 2, 1)])
def test_prefill_and_a_step_equal_unpadded_sequences(
    model: Any, plain: Any, chunk: int, order: tuple[int, ...]
) -> None:
    prompts = [PROMPTS[place] for place in order]
    ready = decoding.prefill_in_chunks(model, prompts, capacity=10, chunk_tokens=chunk)
    assert ready.lengths_U.tolist() == [len(prompt) for prompt in prompts]
    assert ready.valid_UL.sum(dim=1).tolist() == [len(prompt) for prompt in prompts]
    expected = torch.stack([logits_of(plain, prompt)[-1] for prompt in prompts])
    torch.testing.assert_close(ready.logits_UV, expected, rtol=1e-4, atol=1e-4)

    kept = torch.tensor([3, 1, 1])  # drop rows and repeat one
    ready.cache.select(kept)
    valid = torch.cat([ready.valid_UL[kept], torch.ones((3, 1), dtype=torch.bool)], dim=1)
    logits = decoding.decode_step(model, ready.cache, torch.tensor([11, 12, 13]), ready.lengths_U[kept], valid)
    texts = [(*prompts[row], token) for row, token in zip(kept.tolist(), (11, 12, 13), strict=True)]
    expected = torch.stack([logits_of(plain, text)[-1] for text in texts])
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def test_chunks_hold_every_prompt_once_within_the_limit() -> None:
    groups = decoding.in_chunks(PROMPTS, 10)
    assert [prompt for group in groups for prompt in group] == PROMPTS
    assert all(len(group) == 1 or max(map(len, group)) * len(group) <= 10 for group in groups)
    assert decoding.in_chunks(PROMPTS, 1) == [[prompt] for prompt in PROMPTS]


# --- choosing tokens


def nucleus(logits: torch.Tensor, temperature: float, top_p: float) -> np.ndarray[Any, Any]:
    """Probabilities after temperature and top-p, worked out token by token."""
    probs = torch.softmax(logits.double() / temperature, dim=-1).numpy()
    kept: np.ndarray[Any, Any] = np.zeros_like(probs)
    reached = 0.0
    for token in np.argsort(-probs, kind="stable"):
        if reached >= top_p:
            break
        kept[token] = probs[token]
        reached += probs[token]
    shares: np.ndarray[Any, Any] = kept / kept.sum()
    return shares


@pytest.mark.parametrize(
    ("scale", "temperature", "top_p", "wide"),
    [(2.0, 0.8, 0.9, False), (2.0, 0.5, 1.0, True), (0.5, 1.0, 0.95, True), (0.5, 1.5, 1.0, True)],
)
def test_drawn_tokens_follow_the_nucleus(scale: float, temperature: float, top_p: float, wide: bool) -> None:
    draws = 20_000
    logits = torch.randn(200, generator=torch.Generator().manual_seed(1)) * scale
    expected = nucleus(logits, temperature, top_p)
    assert (np.count_nonzero(expected) > decoding.NUCLEUS_CANDIDATES) == wide
    uniform = (torch.arange(draws) + 0.5) / draws
    rows = logits.expand(draws, -1)
    tokens = decoding.choose_tokens(rows, torch.full((draws,), temperature), torch.full((draws,), top_p), uniform)
    counts = np.bincount(tokens.numpy(), minlength=200)
    assert not counts[expected == 0].any()
    # An even grid of uniforms leaves only rounding: each count is off by less than two.
    assert np.abs(counts - draws * expected).max() < 2

    random = torch.rand(draws, generator=torch.Generator().manual_seed(3))
    tokens = decoding.choose_tokens(rows, torch.full((draws,), temperature), torch.full((draws,), top_p), random)
    counts = np.bincount(tokens.numpy(), minlength=200)
    frequent = draws * expected >= 5
    found, wanted = counts[frequent], draws * expected[frequent]
    rest = draws - found.sum(), draws - wanted.sum()
    if rest[1] > 5:
        found, wanted = np.append(found, rest[0]), np.append(wanted, rest[1])
    assert stats.chisquare(found, wanted * found.sum() / wanted.sum()).pvalue > 1e-3


def test_greedy_and_sampled_rows_do_not_mix() -> None:
    logits = torch.randn((4, 100), generator=torch.Generator().manual_seed(2))
    temperature, top_p = torch.tensor([0.0, 1.0, 0.0, 0.3]), torch.tensor([0.1, 0.9, 1.0, 1.0])
    uniform = torch.tensor([0.99, 0.7, 0.0, 0.2])
    together = decoding.choose_tokens(logits, temperature, top_p, uniform)
    assert together[[0, 2]].tolist() == logits[[0, 2]].argmax(dim=-1).tolist()
    for row in range(4):
        one = slice(row, row + 1)
        assert decoding.choose_tokens(logits[one], temperature[one], top_p[one], uniform[one]) == together[row]


def test_the_ends_of_the_unit_interval_choose_the_first_and_the_last_of_the_nucleus() -> None:
    logits = torch.tensor([[0.0, 3.0, 2.0, -50.0]]).expand(2, -1)
    ends = torch.tensor([0.0, 1.0 - 2.0**-24])
    tokens = decoding.choose_tokens(logits, torch.ones(2), torch.full((2,), 0.9), ends)
    assert tokens.tolist() == [1, 2]
    tokens = decoding.choose_tokens(logits, torch.ones(2), torch.full((2,), 1e-6), ends)
    assert tokens.tolist() == [1, 1]
