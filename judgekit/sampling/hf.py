"""``sampler=hf``: text from a ``transformers`` model on one machine, without a serving engine.

The prompt of several samples is computed once; finished rows leave the batch; every sample draws from its own
random stream, so that it does not depend on what shares its batch beyond floating-point rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from judgekit.errors import ModelError
from judgekit.kernels import no_cudnn_attention
from judgekit.prompts.chat import decode_reply, end_of_turn
from judgekit.prompts.tokenizers import load_tokenizer
from judgekit.samplers.hf import HfConfig
from judgekit.sampling import decoding
from judgekit.sampling.base import Batch, Finish, Finished, Generation, Item, Request, SamplingParams
from judgekit.sampling.beams import Search
from judgekit.sampling.choices import Choices
from judgekit.sampling.streams import uniforms
from judgekit.schema.models import ModelConfig
from judgekit.weights import Weights

COMPACT_SHARE = 0.75
"""Rows are dropped from the cache once fewer than this share are still being written."""

PREFILL_TOKENS = 4096
"""Prompt tokens computed in one forward pass: keeps peak memory flat, costs no speed on CPU."""


@dataclass
class _Row:
    """One sample being written."""

    index: int
    request: Request
    uniforms: np.ndarray
    ids: list[int] = field(default_factory=list)
    text: str = ""
    finish: Finish | None = None

    def next_uniform(self) -> float:
        """The number that decides the next token; rows that ended wait with their last one."""
        return float(self.uniforms[min(len(self.ids), len(self.uniforms) - 1)])


class HfSampler:
    """A sampler over base weights with an optional LoRA adapter, which stays unmerged as in training."""

    def __init__(self, weights: Weights, model: ModelConfig, config: HfConfig) -> None:
        """Remember what to load; loading waits for the first batch, so that a full cache costs nothing."""
        self.weights, self.model_config, self.config = weights, model, config
        self._model: Any = None
        self._tokenizer: Any = None

    def plan(self, requests: Sequence[Request]) -> list[Batch]:
        """Batches by falling prompt length, so that little is padded; samples of one prompt stay together.

        They do not depend on the order of the requests.
        """
        order = sorted(
            range(len(requests)),
            key=lambda i: (
                -len(requests[i].prompt_ids), requests[i].params.max_new_tokens, requests[i].prompt_ids,
                requests[i].samples,
            ),
        )  # fmt: skip
        batches: list[Batch] = []
        held: list[Item] = []
        sequences = prompt = reply = 0  # of the batch: beams, and the longest, tokens
        items = [(index, sample) for index in order for sample in requests[index].samples]
        for index, sample in items:
            size, limit = len(requests[index].prompt_ids), requests[index].params.max_new_tokens
            width = max(prompt, size) + max(reply, limit)
            beams = requests[index].params.beams
            full = sequences + beams > self.config.batch_size or width * (sequences + beams) > self.config.batch_tokens
            if held and full:
                batches.append(tuple(held))
                held, sequences, prompt, reply = [], 0, 0, 0
            held.append((index, sample))
            sequences += beams
            prompt, reply = max(prompt, size), max(reply, limit)
        return [*batches, tuple(held)] if held else batches

    def stream(self, requests: Sequence[Request], batches: Iterator[Batch]) -> Iterator[Finished]:
        """Generate batch after batch."""
        for batch in batches:
            yield list(zip(batch, self.run(requests, batch), strict=True))

    def run(self, requests: Sequence[Request], batch: Batch) -> list[Generation]:
        """Generate one batch; results are in the batch's order.

        :raises ModelError: a prompt that does not fit the model's context
        """
        self._load()
        for index, _ in batch:
            request, limit = requests[index], self.model_config.max_length
            if len(request.prompt_ids) + request.params.max_new_tokens > limit:
                raise ModelError(
                    f"Prompt of {request.id} has {len(request.prompt_ids)} tokens; with "
                    f"{request.params.max_new_tokens} new ones it passes model.max_length={limit}."
                )
        rows = [
            _Row(place, requests[index], uniforms(requests[index], sample))
            for place, (index, sample) in enumerate(batch)
        ]
        choosing = [row for row in rows if row.request.params.choices]
        searching = [row for row in rows if row.request.params.beams > 1 and not row.request.params.choices]
        writing = [row for row in rows if row.request.params.beams == 1 and not row.request.params.choices]
        with no_cudnn_attention():
            done = {row.index: result for row, result in zip(choosing, self._choose(choosing), strict=True)}
            done |= {row.index: result for row, result in zip(writing, self._write(writing), strict=True)}
            for width in sorted({row.request.params.beams for row in searching}):
                alike = [row for row in searching if row.request.params.beams == width]
                done |= {row.index: result for row, result in zip(alike, self._search(alike, width), strict=True)}
        return [done[row.index] for row in rows]

    def close(self) -> None:
        """Give the model's memory back."""
        self._model = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _load(self) -> None:
        if self._model is None:
            self._tokenizer, self._model = load(self.weights, self.model_config, self.config.device)

    def _prefill(self, rows: Sequence[_Row], extra: int) -> tuple[Any, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Cache, logits (B, V), validity (B, L) and prompt lengths (B,) of the rows' prompts."""
        places: dict[tuple[int, ...], int] = {}
        for row in rows:
            places.setdefault(row.request.prompt_ids, len(places))
        prompts = list(places)
        capacity = max(map(len, prompts)) + extra
        ready = decoding.prefill_in_chunks(self._model, prompts, capacity, PREFILL_TOKENS)
        index = torch.tensor([places[row.request.prompt_ids] for row in rows], device=self._model.device)
        if len(rows) != len(prompts) or index.tolist() != list(range(len(prompts))):
            ready.cache.select(index)
        return ready.cache, ready.logits_UV[index], ready.valid_UL[index], ready.lengths_U[index]

    def _write(self, rows: list[_Row]) -> list[Generation]:
        """Free text: decode until every row has ended."""
        if not rows:
            return []
        cache, logits, valid, positions = self._prefill(rows, max(r.request.params.max_new_tokens for r in rows))
        device = self._model.device
        ends = _end_tokens(self._model, self._tokenizer)
        alive = list(rows)
        penalty, seen = self._repetition(rows, logits)
        while True:
            temperature = torch.tensor([row.request.params.temperature for row in alive], device=device)
            top_p = torch.tensor([row.request.params.top_p for row in alive], device=device)
            uniform = torch.tensor([row.next_uniform() for row in alive], device=device)
            if seen is not None:
                logits = decoding.penalised(logits.float(), penalty, seen)
            ids = decoding.choose_tokens(logits, temperature, top_p, uniform)
            for row, token in zip(alive, ids.tolist(), strict=True):
                if row.finish is None:
                    self._advance(row, token, ends)
            going = [place for place, row in enumerate(alive) if row.finish is None]
            if not going:
                break
            if len(going) < COMPACT_SHARE * len(alive):
                kept = torch.tensor(going, device=device)
                cache.select(kept)
                ids, positions, valid = ids[kept], positions[kept], valid[kept]
                if seen is not None:
                    penalty, seen = penalty[kept], seen[kept]
                alive = [alive[place] for place in going]
            if seen is not None:
                seen.scatter_(1, ids[:, None], True)
            valid = torch.cat([valid, valid.new_ones((len(alive), 1))], dim=1)
            logits = decoding.decode_step(self._model, cache, ids, positions, valid)
            positions = positions + 1
        return [
            Generation(row.text, tuple(row.ids), row.finish or "length", len(row.request.prompt_ids)) for row in rows
        ]

    def _repetition(self, rows: Sequence[_Row], logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Each row's penalty (B,) and, where any has one, which tokens its prompt holds (B, V)."""
        penalty = torch.tensor([row.request.params.repetition_penalty for row in rows], device=logits.device)
        if bool((penalty == 1).all()):
            return penalty, None
        seen = torch.zeros_like(logits, dtype=torch.bool)
        for place, row in enumerate(rows):
            seen[place, list(row.request.prompt_ids)] = True
        return penalty, seen

    def _search(self, rows: list[_Row], width: int) -> list[Generation]:
        """The best reply of a beam search after each row's prompt."""
        cache, logits, valid, positions = self._prefill(rows, max(row.request.params.max_new_tokens for row in rows))
        penalty, seen = self._repetition(rows, logits)
        ends, vocabulary, device = _end_tokens(self._model, self._tokenizer), logits.shape[-1], logits.device
        searches = [Search(width, partial(self._ending, row.request.params, ends)) for row in rows]
        alive, held = searches, 1  # rows of the cache that each search has
        scores = torch.zeros(len(rows), device=device)
        while True:
            logps = logits.float().log_softmax(dim=-1)
            if seen is not None:
                logps = decoding.penalised(logps, penalty, seen)
            totals = (logps + scores[:, None]).view(len(alive), held * vocabulary)
            # So many that enough go on even if all the best beams end.
            best, places = totals.topk(min(max(2, 1 + len(ends)) * width, totals.shape[1]))
            for search, sums, found in zip(alive, best.tolist(), places.tolist(), strict=True):
                search.step((total, *divmod(place, vocabulary)) for total, place in zip(sums, found, strict=True))
            going = [place for place, search in enumerate(alive) if not search.over]
            if not going:
                break
            beams = [(place * held, beam) for place in going for beam in alive[place].rows]
            parents = torch.tensor([first + beam.parent for first, beam in beams], device=device)
            ids = torch.tensor([beam.ids[-1] for _, beam in beams], device=device)
            scores = torch.tensor([beam.score for _, beam in beams], device=device)
            alive, held = [alive[place] for place in going], width
            cache.select(parents)
            valid, positions = valid[parents], positions[parents]
            if seen is not None:
                penalty, seen = penalty[parents], seen[parents].scatter_(1, ids[:, None], True)
            valid = torch.cat([valid, valid.new_ones((len(beams), 1))], dim=1)
            logits = decoding.decode_step(self._model, cache, ids, positions, valid)
            positions = positions + 1
        replies = [search.ended[0] for search in searches]
        return [
            Generation(reply.text, reply.ids, reply.finish, len(row.request.prompt_ids))
            for row, reply in zip(rows, replies, strict=True)
        ]

    def _advance(self, row: _Row, token: int, ends: frozenset[int]) -> None:
        """Append a token to a row and see whether the row has ended."""
        row.ids.append(token)
        if (ended := self._ending(row.request.params, ends, row.ids)) is not None:
            row.finish, row.text = ended

    def _ending(self, params: SamplingParams, ends: frozenset[int], ids: list[int]) -> tuple[Finish, str] | None:
        """Why a reply ends with its last token, and its text; None where it goes on."""
        if ids[-1] in ends:
            return "eos", self._decode(ids[:-1])
        if params.stop:
            # Only the tail can hold a new stop string: a token writes at least a byte, 4 more cover merges.
            width = max(len(stop.encode()) for stop in params.stop) + 4
            if any(stop in self._decode(ids[-width:]) for stop in params.stop):
                text = self._decode(ids)
                places = [text.find(stop) for stop in params.stop if stop in text]
                if places:
                    return "stop", text[: min(places)]
        return ("length", self._decode(ids)) if len(ids) >= params.max_new_tokens else None

    def _decode(self, ids: list[int]) -> str:
        return decode_reply(self._tokenizer, ids)

    def _choose(self, rows: list[_Row]) -> list[Generation]:
        """Constrained choice: the probability of every allowed text, and one drawn (or the likeliest) of them."""
        by_choices: dict[tuple[str, ...], list[_Row]] = {}
        for row in rows:
            by_choices.setdefault(row.request.params.choices, []).append(row)
        done: dict[int, Generation] = {}
        for choices, alike in by_choices.items():
            for row, generation in zip(alike, self._choose_among(choices, alike), strict=True):
                done[row.index] = generation
        return [done[row.index] for row in rows]

    def _choose_among(self, texts: tuple[str, ...], rows: list[_Row]) -> Iterator[Generation]:
        choices = Choices.of(texts, self._tokenizer)
        prompts = [row.request.prompt_ids for row in rows]
        scores: list[dict[tuple[int, ...], list[float]]] = [{} for _ in rows]
        for start, children in choices.branches.items():
            known: list[list[float]] = []
            for chunk in decoding.in_chunks([prompt + start for prompt in prompts], PREFILL_TOKENS):
                logits = decoding.prefill(self._model, chunk, max(map(len, chunk))).logits_UV
                known += logits[:, list(children)].double().tolist()
            for found, values in zip(scores, known, strict=True):
                found[start] = values
        for row, found in zip(rows, scores, strict=True):
            yield choices.decide(found, row.request, float(row.uniforms[0]))


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Tokens that end a reply: the chat template's end of turn and the model's own end tokens."""
    configured = model.generation_config.eos_token_id
    ends = configured if isinstance(configured, list) else [configured]
    return frozenset({end_of_turn(tokenizer), *(end for end in ends if end is not None)})


def device_of(setting: str) -> str:
    """The torch device a setting means."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if setting == "auto" else setting


def load(weights: Weights, config: ModelConfig, device: str = "auto") -> tuple[Any, Any]:
    """Tokenizer and model (eval mode) of some weights.

    :raises ModelError: a folder that does not load, or an architecture this sampler does not cover
    """
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    where = device_of(device)
    trust = config.trust_remote_code
    try:
        settings = AutoConfig.from_pretrained(weights.base, trust_remote_code=trust)
        _refuse_sliding(settings, weights, config.max_length)
        tokenizer = load_tokenizer(weights.base, trust, config.template)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            weights.base,
            dtype=getattr(torch, config.dtype),
            attn_implementation=decoding.ATTENTION,
            trust_remote_code=trust,
            use_safetensors=True,
            output_loading_info=True,
        )
        model, report = loaded
        if report["missing_keys"]:
            # transformers would go on with random numbers in their place.
            raise ModelError(f"{weights.base}: its safetensors files lack {min(report['missing_keys'])}.")
        if weights.adapter is not None:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, weights.adapter).base_model.model
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        # torch reports tensors of the wrong shape as RuntimeError.
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(f"{weights.adapter or weights.base} does not load: {reason}") from error
    return tokenizer, model.to(where).eval()


def _refuse_sliding(settings: Any, weights: Weights, max_length: int) -> None:
    """Raise where some layer sees less than the whole context: the cache and the masks hold all of it."""
    layers = getattr(settings, "layer_types", None)
    if layers is None:  # older families only name a window
        window = getattr(settings, "sliding_window", None)
        sliding = window is not None and window < max_length and getattr(settings, "use_sliding_window", True)
        layers = ["sliding_attention"] if sliding else ["full_attention"]
    if other := sorted(set(layers) - {"full_attention"}):
        raise ModelError(
            f"{weights.base}: sampler=hf covers models with full attention only, this has {', '.join(other)}."
        )
