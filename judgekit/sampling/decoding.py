"""Batched decoding for decoder-only transformers: shared prompts computed once, finished rows leave the batch.

Shape legend: B rows, U distinct prompts, T query tokens, L cached tokens, H query heads, K key-value heads,
D head size, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin
from transformers.modeling_utils import AttentionInterface

ATTENTION = "judgekit_sdpa"


def grouped_sdpa(
    module: torch.nn.Module,
    query_BHTD: torch.Tensor,
    key_BKLD: torch.Tensor,
    value_BKLD: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Scaled dot-product attention that never repeats key-value heads in memory.

    While decoding (T = 1) the query heads of one key-value head become query rows of it, so that the cache is
    read once instead of once a query head.
    """
    batch, heads, length, size = query_BHTD.shape
    kv_heads = key_BKLD.shape[1]
    if length == 1 and heads != kv_heads:
        folded = query_BHTD.reshape(batch, kv_heads, heads // kv_heads, size)
        out = torch.nn.functional.scaled_dot_product_attention(
            folded, key_BKLD, value_BKLD, attn_mask=attention_mask, scale=scaling
        )
        return out.reshape(batch, 1, heads, size), None
    if query_BHTD.is_cuda and attention_mask is not None and heads != kv_heads:
        # With a mask no fused kernel for GPUs takes grouped heads; without one all scores would be written out.
        key_BKLD, value_BKLD = (held.repeat_interleave(heads // kv_heads, 1) for held in (key_BKLD, value_BKLD))
        kv_heads = heads
    out = torch.nn.functional.scaled_dot_product_attention(
        query_BHTD,
        key_BKLD,
        value_BKLD,
        attn_mask=attention_mask,
        dropout_p=dropout,
        scale=scaling,
        is_causal=attention_mask is None and length > 1,
        enable_gqa=heads != kv_heads,
    )
    return out.transpose(1, 2).contiguous(), None


AttentionInterface.register(ATTENTION, grouped_sdpa)


class BufferLayer(CacheLayerMixin):
    """Keys and values of one layer in a buffer allocated once; appending copies only the new tokens."""

    is_sliding = False
    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, capacity: int) -> None:
        """Hold at most ``capacity`` tokens a row."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.capacity = capacity
        self.length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocate for the shape of the first keys and values."""
        shape = (key_states.shape[0], key_states.shape[1], self.capacity, key_states.shape[3])
        self.keys = key_states.new_empty(shape)
        self.values = value_states.new_empty((*shape[:3], value_states.shape[3]))
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append (B, K, T, D) and return views of everything held (B, K, L, D)."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.length + key_states.shape[2]
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_seq_length(self) -> int:
        """Tokens held."""
        return self.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset a mask for ``query_length`` further tokens must have."""
        return self.length + query_length, 0

    def get_max_length(self) -> int:
        """Tokens that fit."""
        return self.capacity

    get_max_cache_shape = get_max_length

    def select(self, rows: torch.Tensor) -> None:
        """Keep (or repeat) the given rows of the batch."""
        for name in ("keys", "values"):
            held = getattr(self, name)
            chosen = held.new_empty((len(rows), *held.shape[1:]))
            torch.index_select(held[:, :, : self.length], 0, rows, out=chosen[:, :, : self.length])
            setattr(self, name, chosen)


class KeyValueBuffer(Cache):
    """A key-value cache of fixed capacity over all layers."""

    def __init__(self, layers: int, capacity: int) -> None:
        """Make ``layers`` buffers of ``capacity`` tokens."""
        self.buffers = [BufferLayer(capacity) for _ in range(layers)]
        super().__init__(layers=list(self.buffers))

    def select(self, rows: torch.Tensor) -> None:
        """Keep (or repeat) the given rows of the batch in every layer."""
        for layer in self.buffers:
            layer.select(rows)


@dataclass
class Prefilled:
    """Prompts in the cache, left-padded to one length L.

    :param logits_UV: logits after each prompt
    :param valid_UL: False at padding
    :param lengths_U: prompt tokens
    """

    cache: KeyValueBuffer
    logits_UV: torch.Tensor
    valid_UL: torch.Tensor
    lengths_U: torch.Tensor


@torch.inference_mode()
def prefill(model: Any, prompts: list[tuple[int, ...]], capacity: int) -> Prefilled:
    """Compute the cache of several prompts at once, left-padded.

    :param capacity: tokens a row that the cache must hold in the end
    """
    device = model.device
    longest = max(map(len, prompts))
    ids_UL = torch.zeros((len(prompts), longest), dtype=torch.long)
    valid_UL = torch.zeros((len(prompts), longest), dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        ids_UL[row, longest - len(prompt) :] = torch.tensor(prompt)
        valid_UL[row, longest - len(prompt) :] = True
    ids_UL, valid_UL = ids_UL.to(device), valid_UL.to(device)
    mask = None
    if not bool(valid_UL.all()):
        causal = torch.ones((longest, longest), dtype=torch.bool, device=device).tril()
        mask = causal & valid_UL[:, None, None, :]
        # A padding query attends to itself: a row without any key would give NaN.
        mask = mask | torch.eye(longest, dtype=torch.bool, device=device)
    cache = KeyValueBuffer(model.config.num_hidden_layers, capacity)
    positions = (valid_UL.cumsum(dim=1) - 1).clamp(min=0)
    logits = model(
        input_ids=ids_UL,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits[:, -1]
    return Prefilled(cache, logits, valid_UL, valid_UL.sum(dim=1))


def in_chunks(prompts: list[tuple[int, ...]], chunk_tokens: int) -> list[list[tuple[int, ...]]]:
    """Prompts in groups of at most ``chunk_tokens`` padded tokens, in their order; a longer prompt is one group."""
    groups: list[list[tuple[int, ...]]] = [[]]
    for prompt in prompts:
        width = max([len(prompt), *map(len, groups[-1])])
        if groups[-1] and width * (len(groups[-1]) + 1) > chunk_tokens:
            groups.append([])
        groups[-1].append(prompt)
    return groups


def prefill_in_chunks(model: Any, prompts: list[tuple[int, ...]], capacity: int, chunk_tokens: int) -> Prefilled:
    """``prefill`` in groups of at most ``chunk_tokens`` padded tokens, joined in the prompts' order.

    Prompts should come sorted by length: each group is padded to its own longest, then to the longest of all.
    """
    longest = max(map(len, prompts))
    groups = in_chunks(prompts, chunk_tokens)
    if len(groups) == 1:
        return prefill(model, prompts, capacity)
    joined: KeyValueBuffer | None = None
    parts: list[Prefilled] = []
    row = 0
    for group in groups:
        part = prefill(model, group, max(map(len, group)))
        joined = joined or _empty_like(part.cache, len(prompts), capacity)
        width = part.valid_UL.shape[1]
        for target, source in zip(joined.buffers, part.cache.buffers, strict=True):
            target.keys[row : row + len(group), :, longest - width : longest] = source.keys
            target.values[row : row + len(group), :, longest - width : longest] = source.values
            target.length = longest
        part.valid_UL = torch.nn.functional.pad(part.valid_UL, (longest - width, 0))
        row += len(group)
        part.cache = joined
        parts.append(part)
    assert joined is not None
    return Prefilled(
        joined,
        torch.cat([part.logits_UV for part in parts]),
        torch.cat([part.valid_UL for part in parts]),
        torch.cat([part.lengths_U for part in parts]),
    )


def _empty_like(cache: KeyValueBuffer, rows: int, capacity: int) -> KeyValueBuffer:
    """A zeroed buffer of the same layers for more rows (zeros: padding is read, then masked)."""
    made = KeyValueBuffer(len(cache.buffers), capacity)
    for target, source in zip(made.buffers, cache.buffers, strict=True):
        target.keys = source.keys.new_zeros((rows, source.keys.shape[1], capacity, source.keys.shape[3]))
        target.values = source.values.new_zeros((rows, source.values.shape[1], capacity, source.values.shape[3]))
        target.is_initialized = True
    return made


@torch.inference_mode()
def decode_step(
    model: Any, cache: KeyValueBuffer, ids_B: torch.Tensor, positions_B: torch.Tensor, valid_BL: torch.Tensor
) -> torch.Tensor:
    """Append one token to every row and return the logits after it, (B, V).

    :param valid_BL: which cached tokens exist, the new one included
    """
    mask = None if bool(valid_BL.all()) else valid_BL[:, None, None, :]
    logits: torch.Tensor = model(
        input_ids=ids_B[:, None],
        attention_mask=mask,
        position_ids=positions_B[:, None],
        past_key_values=cache,
        use_cache=True,
    ).logits[:, -1]
    return logits


def penalised(scores_BV: torch.Tensor, penalty_B: torch.Tensor, seen_BV: torch.Tensor) -> torch.Tensor:
    """Logits or log-probabilities of which those of tokens seen are divided by the penalty, negative ones multiplied.

    The repetition penalty of arXiv 1909.05858, §4.1, as ``transformers`` and vLLM read it.

    :param seen_BV: tokens of the prompt and of the reply so far
    """
    penalty_B1 = penalty_B[:, None]
    lower_BV = torch.where(scores_BV < 0, scores_BV * penalty_B1, scores_BV / penalty_B1)
    return torch.where(seen_BV, lower_BV, scores_BV)


NUCLEUS_CANDIDATES = 64


def choose_tokens(
    logits_BV: torch.Tensor, temperature_B: torch.Tensor, top_p_B: torch.Tensor, uniform_B: torch.Tensor
) -> torch.Tensor:
    """Next token of every row: the arg-max at temperature 0, otherwise nucleus sampling by inverse distribution.

    One uniform number a row decides, so that a sample depends on its own random stream only. The nucleus is
    looked for among the most probable candidates; rows where they hold less than ``top_p`` are sorted whole.

    :param uniform_B: numbers in [0, 1)
    :return: token ids (B,)
    """
    chosen = logits_BV.argmax(dim=-1)
    sampled = (temperature_B > 0).nonzero(as_tuple=True)[0]
    if len(sampled) == 0:
        return chosen
    scaled = logits_BV[sampled].float() / temperature_B[sampled, None]
    total = scaled.logsumexp(dim=-1, keepdim=True)
    top, ids = scaled.topk(min(NUCLEUS_CANDIDATES, scaled.shape[-1]), dim=-1)
    top_p, uniform = top_p_B[sampled, None], uniform_B[sampled, None]
    probs = (top - total).exp()
    picks = ids.gather(1, _inverse_cdf(probs, top_p, uniform))
    short = (probs.sum(dim=-1, keepdim=True) < top_p).squeeze(1).nonzero(as_tuple=True)[0]
    if len(short):
        ordered, order = scaled[short].sort(dim=-1, descending=True, stable=True)
        whole = (ordered - total[short]).exp()
        picks[short] = order.gather(1, _inverse_cdf(whole, top_p[short], uniform[short]))
    chosen[sampled] = picks.squeeze(1)
    return chosen


def _inverse_cdf(probs_BN: torch.Tensor, top_p_B1: torch.Tensor, uniform_B1: torch.Tensor) -> torch.Tensor:
    """Index (B, 1) drawn from descending probabilities cut to the smallest set that reaches ``top_p``."""
    cumulative = probs_BN.cumsum(dim=-1)
    kept = probs_BN * ((cumulative - probs_BN) < top_p_B1)
    cumulative = kept.cumsum(dim=-1)
    target = uniform_B1 * cumulative[:, -1:]
    index = torch.searchsorted(cumulative, target, right=True)
    # A sum computed in parallel may still grow by rounding where nothing is kept.
    return index.clamp(max=(kept > 0).sum(dim=-1, keepdim=True) - 1)
