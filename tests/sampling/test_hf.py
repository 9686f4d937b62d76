"""``sampler=hf`` on a tiny random model: against ``transformers.generate``, and alone against in company."""

from __future__ import annotations

import gc
import json
import shutil
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, MistralConfig, Qwen2Config

from judgekit.errors import ModelError
from judgekit.samplers.hf import HfConfig
from judgekit.sampling import decoding, hf
from judgekit.sampling.base import Generation, Request, SamplingParams
from judgekit.sampling.hf import HfSampler
from judgekit.sampling.streams import uniforms
from judgekit.schema.models import ModelConfig
from judgekit.weights import Weights
from tests.training.tiny import make_model

MODEL = ModelConfig(name="tiny", dtype="float32", max_length=512)
GREEDY = SamplingParams(temperature=0.0, top_p=1.0, max_new_tokens=24)
DRAWN = SamplingParams(temperature=1.0, top_p=0.95, max_new_tokens=24, seed=3)
TEXTS = ("Why is the sky blue?", "2", "Judge: " + "which is better, " * 6, "ab", "c", "Plan the evaluation.")
END = 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def sampler(folder: Path) -> HfSampler:
    return HfSampler(Weights(folder), MODEL, HfConfig(batch_size=16))


@pytest.fixture(scope="module")
def reference(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")


def ids_of(text: str) -> tuple[int, ...]:
    """The model's tokens are bytes; the first two ids are special."""
    return tuple(byte % 200 + 2 for byte in text.encode())


def requests_of(params: SamplingParams, samples: int = 1, texts: Sequence[str] = TEXTS) -> list[Request]:
    return [Request(f"r{i}", ids_of(text), params, tuple(range(samples))) for i, text in enumerate(texts)]


def sample(sampler: HfSampler, requests: Sequence[Request]) -> dict[tuple[str, int], Generation]:
    found = {}
    for batch in sampler.plan(requests):
        for (index, number), generation in zip(batch, sampler.run(requests, batch), strict=True):
            found[requests[index].id, number] = generation
    return found


def generate(model: Any, request: Request, penalty: float = 1.0) -> tuple[int, ...]:
    """What ``transformers`` writes greedily after one prompt, alone."""
    prompt = torch.tensor([request.prompt_ids])
    out = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        do_sample=False,
        repetition_penalty=penalty,
        max_new_tokens=request.params.max_new_tokens,
        eos_token_id=END,
        pad_token_id=END,
    )
    return tuple(out[0, prompt.shape[1] :].tolist())


# --- against transformers


@pytest.mark.parametrize("prefill_tokens", [4096, 40])
def test_greedy_equals_generate(
    sampler: HfSampler, reference: Any, monkeypatch: pytest.MonkeyPatch, prefill_tokens: int
) -> None:
    monkeypatch.setattr(hf, "PREFILL_TOKENS", prefill_tokens)
    requests = [
        replace(request, params=replace(GREEDY, max_new_tokens=4 * place + 1))
        for place, request in enumerate(requests_of(GREEDY))
    ]
    widths: list[int] = []
    step = decoding.decode_step

    def watched(model: Any, cache: Any, ids: torch.Tensor, *rest: Any) -> torch.Tensor:
        widths.append(len(ids))
        return step(model, cache, ids, *rest)

    monkeypatch.setattr(decoding, "decode_step", watched)
    found = sample(sampler, requests)
    for request in requests:
        assert found[request.id, 0].token_ids == generate(reference, request), request.id
        assert found[request.id, 0].prompt_tokens == len(request.prompt_ids)
    assert widths[0] == len(requests) and widths[-1] == 1  # the batch did shrink


def test_the_end_token_ends_a_reply_and_is_not_part_of_its_text(
    sampler: HfSampler, tokenizer: Any, reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = requests_of(GREEDY)[0]
    reply = generate(reference, request)
    end = reply[6]
    monkeypatch.setattr(hf, "_end_tokens", lambda model, tokenizer: frozenset({end}))
    (found,) = sample(sampler, [request]).values()
    assert found.finish == "eos"
    assert found.token_ids == reply[: reply.index(end) + 1]
    assert found.text == tokenizer.decode(reply[: reply.index(end)])


def test_the_template_and_the_model_name_the_end_tokens(folder: Path, tokenizer: Any, reference: Any) -> None:
    assert hf._end_tokens(reference, tokenizer) == {END}
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.generation_config.eos_token_id = [7, 9]
    assert hf._end_tokens(model, tokenizer) == {END, 7, 9}


# --- beams and the repetition penalty

BEAMS = replace(GREEDY, beams=4, repetition_penalty=1.2)


def searched(model: Any, request: Request, ends: Sequence[int] = (END,)) -> tuple[int, ...]:
    """What ``transformers`` writes after one prompt, alone, with PandaLM's decoding."""
    prompt = torch.tensor([request.prompt_ids])
    out = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), do_sample=False, num_beams=4, repetition_penalty=1.2,
        early_stopping=True, max_new_tokens=request.params.max_new_tokens, eos_token_id=list(ends), pad_token_id=END,
    )  # fmt: skip
    return tuple(out[0, prompt.shape[1] :].tolist())


@pytest.mark.parametrize("often", [0, 1, 3])
def test_a_beam_search_equals_generate(
    sampler: HfSampler, reference: Any, monkeypatch: pytest.MonkeyPatch, often: int
) -> None:
    requests = [
        replace(request, params=replace(BEAMS, max_new_tokens=4 * place + 1))
        for place, request in enumerate(requests_of(BEAMS))
    ]
    written = [token for request in requests for token in searched(reference, request)]
    ends = sorted(set(written), key=written.count)[-often:] if often else [END]
    monkeypatch.setattr(hf, "_end_tokens", lambda model, tokenizer: frozenset(ends))
    found = sample(sampler, requests)
    for request in requests:
        assert found[request.id, 0].token_ids == searched(reference, request, ends), request.id
    assert {reply.finish for reply in found.values()} == {"length", "eos"}
    assert [len(batch) for batch in sampler.plan(requests)] == [4, 2]  # of 16 sequences at once


def test_a_wide_beam_search_finds_the_best_of_all_replies(sampler: HfSampler, reference: Any) -> None:
    """All replies of two tokens, and the end token alone, each by its mean log-probability."""
    prompt = list(ids_of("ab"))
    count = reference.config.vocab_size

    def logps(starts: list[list[int]]) -> torch.Tensor:
        with torch.no_grad():
            rows = reference(torch.tensor([prompt + start for start in starts])).logits[:, -1].log_softmax(-1)
        for row, start in zip(rows, starts, strict=True):
            row[list({*prompt, *start})] *= 1.2  # log-probabilities are negative
        return rows

    (first,), second = logps([[]]), logps([[token] for token in range(count)])
    means = (first[:, None] + second) / 2
    means[END] = -torch.inf  # nothing follows the end
    best = divmod(int(means.argmax()), count)
    assert first[END] < means.max()
    params = replace(BEAMS, beams=count, max_new_tokens=2)
    (reply,) = sampler.run([Request("r", tuple(prompt), params)], ((0, 0),))
    assert reply.token_ids == best
    assert best[0] != int(first.argmax())  # greedy decoding begins otherwise


def test_a_beam_ends_at_a_stop_string(sampler: HfSampler, tokenizer: Any) -> None:
    (request,) = requests_of(BEAMS, texts=TEXTS[:1])
    (whole,) = sampler.run([request], ((0, 0),))
    stop = tokenizer.decode(whole.token_ids[5:7])
    (reply,) = sampler.run([replace(request, params=replace(BEAMS, stop=(stop,)))], ((0, 0),))
    assert reply.finish == "stop" and stop not in reply.text
    assert tokenizer.decode(reply.token_ids).endswith(stop)


def test_a_penalised_greedy_reply_equals_generate(sampler: HfSampler, reference: Any) -> None:
    requests = [
        replace(request, params=replace(GREEDY, max_new_tokens=3 * place + 3, repetition_penalty=penalty))
        for penalty in (1.2, 1.0)
        for place, request in enumerate(requests_of(GREEDY))
    ]
    requests = [replace(request, id=f"{request.id}/{request.params.repetition_penalty}") for request in requests]
    found = sample(sampler, requests)
    for request in requests:
        expected = generate(reference, request, request.params.repetition_penalty)
        assert found[request.id, 0].token_ids == expected, request.id
    assert found["r5/1.2", 0].token_ids != found["r5/1.0", 0].token_ids


def test_the_penalty_divides_what_is_positive_and_multiplies_what_is_negative() -> None:
    scores = torch.tensor([[3.0, -3.0, 6.0, -6.0], [3.0, -3.0, 6.0, -6.0]])
    seen = torch.tensor([[True, True, False, False], [False, False, True, True]])
    lower = decoding.penalised(scores, torch.tensor([1.5, 3.0]), seen)
    assert lower.tolist() == [[2.0, -4.5, 6.0, -6.0], [3.0, -3.0, 2.0, -18.0]]


# --- randomness


def test_a_sample_does_not_depend_on_its_company(sampler: HfSampler) -> None:
    together = sample(sampler, requests_of(DRAWN, samples=3))
    assert len({generation.text for generation in together.values()}) > len(TEXTS)
    backwards = list(reversed(requests_of(DRAWN, samples=3)))
    assert sample(sampler, backwards) == together
    others = [replace(request, id=f"other {request.id}", params=GREEDY) for request in requests_of(DRAWN, 2)]
    mixed = sample(sampler, [*others, *requests_of(DRAWN, samples=3, texts=TEXTS[:2])])
    assert {name: mixed[name] for name in mixed if name in together} == {
        name: generation for name, generation in together.items() if name[0] in ("r0", "r1")
    }
    for request in requests_of(DRAWN):
        alone = sample(sampler, [replace(request, samples=(2,))])
        assert alone[request.id, 2] == together[request.id, 2]


def test_seed_and_sample_index_choose_the_text(sampler: HfSampler) -> None:
    def texts(seed: int) -> list[str]:
        requests = requests_of(replace(DRAWN, seed=seed), samples=4, texts=TEXTS[:1])
        return [generation.text for generation in sample(sampler, requests).values()]

    assert texts(3) == texts(3)
    assert len(set(texts(3) + texts(4))) == 8


def test_streams_are_keyed_by_seed_prompt_and_sample_alone() -> None:
    request = Request("r", ids_of("one"), DRAWN)
    stream = uniforms(request, 0).tolist()
    assert len(stream) == DRAWN.max_new_tokens and all(0 <= number < 1 for number in stream)
    longer = replace(request, id="other", params=replace(DRAWN, max_new_tokens=40, top_p=0.5, temperature=0.1))
    assert uniforms(longer, 0).tolist()[:24] == stream
    others = [
        uniforms(request, 1),
        uniforms(replace(request, prompt_ids=ids_of("two")), 0),
        uniforms(replace(request, params=replace(DRAWN, seed=4)), 0),
    ]
    assert not any(set(stream) & set(other.tolist()) for other in others)


def test_greedy_samples_are_all_alike(sampler: HfSampler) -> None:
    assert len({generation.text for generation in sample(sampler, requests_of(GREEDY, 3, TEXTS[:1])).values()}) == 1


# --- how replies end


def force(monkeypatch: pytest.MonkeyPatch, tokenizer: Any, text: str) -> None:
    """Let the model write a given text, token by token."""
    tokens = iter(tokenizer.encode(text, add_special_tokens=False))
    monkeypatch.setattr(decoding, "choose_tokens", lambda logits, *_: torch.full((len(logits),), next(tokens)))


@pytest.mark.parametrize(
    ("written", "stop", "text"),
    [
        ("so it is\n[Final Verdict]\n[[A]] and more", ("[Final Verdict]",), "so it is\n"),
        ("one, two; three, four", (";", ","), "one"),
        ("x[Final x[Final Verdict]", ("[Final Verdict]",), "x[Final x"),
        ("überlegt 判断の終わりです続き", ("判断の終わりです",), "überlegt "),
        ("end", ("end",), ""),
        ("so [[A]]", ("A]]", "[[A]]"), "so "),  # one byte completes both
    ],
)
def test_stop_strings_end_a_reply_and_are_cut_off(
    sampler: HfSampler, tokenizer: Any, monkeypatch: pytest.MonkeyPatch, written: str, stop: tuple[str, ...], text: str
) -> None:
    force(monkeypatch, tokenizer, written)  # one token a byte: every stop string spans tokens
    request = Request("r", ids_of("a"), replace(GREEDY, max_new_tokens=80, stop=stop))
    (found,) = sample(sampler, [request]).values()
    assert (found.finish, found.text) == ("stop", text)
    through = min(written.index(mark) + len(mark) for mark in stop if mark in written)
    assert len(found.token_ids) == len(written[:through].encode())


def test_a_reply_without_end_is_cut_at_its_length(
    sampler: HfSampler, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    force(monkeypatch, tokenizer, "never ends")
    request = Request("r", ids_of("a"), replace(GREEDY, max_new_tokens=5, stop=("ends",)))
    (found,) = sample(sampler, [request]).values()
    assert (found.finish, found.text, len(found.token_ids)) == ("length", "never", 5)


# --- choices


@pytest.mark.parametrize("choices", [("A", "B"), ("[[A]]", "[[B]]", "C")])
@pytest.mark.parametrize("prefill_tokens", [4096, 40])
def test_choice_probabilities_are_those_of_the_tokens(
    sampler: HfSampler,
    tokenizer: Any,
    reference: Any,
    monkeypatch: pytest.MonkeyPatch,
    choices: tuple[str, ...],
    prefill_tokens: int,
) -> None:
    monkeypatch.setattr(hf, "PREFILL_TOKENS", prefill_tokens)
    requests = requests_of(replace(GREEDY, choices=choices))
    free = [replace(request, id=f"free {request.id}") for request in requests_of(GREEDY, texts=TEXTS[:2])]
    found = sample(sampler, [*requests, *free])
    for request in requests:
        result = found[request.id, 0]
        ids = [tokenizer.encode(choice, add_special_tokens=False) for choice in choices]
        # Step by step: a token's probability among the tokens that some choice with the same beginning has next.
        expected = []
        for own in ids:
            with torch.inference_mode():
                logits = reference(torch.tensor([[*request.prompt_ids, *own]])).logits[0].double()
            probability = 1.0
            for step, token in enumerate(own):
                allowed = sorted({other[step] for other in ids if other[:step] == own[:step]})
                shares = logits[len(request.prompt_ids) - 1 + step, allowed].softmax(dim=0)
                probability *= float(shares[allowed.index(token)])
            expected.append(probability)
        assert result.choice_probs is not None
        assert list(result.choice_probs) == list(choices)
        assert list(result.choice_probs.values()) == pytest.approx(expected, abs=1e-5)
        assert sum(result.choice_probs.values()) == pytest.approx(1.0, abs=1e-12)
        assert result.finish == "choice" and result.text == choices[expected.index(max(expected))]
        assert list(result.token_ids) == tokenizer.encode(result.text, add_special_tokens=False)
    assert {found[request.id, 0].finish for request in free} == {"length"}


# --- adapters and models


@pytest.fixture(scope="module")
def adapter(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = AutoModelForCausalLM.from_pretrained(folder)
    tuned = peft.get_peft_model(model, peft.LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"))
    generator = torch.Generator().manual_seed(4)
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.1, generator=generator)
    out = tmp_path_factory.mktemp("lora") / "adapter"
    tuned.save_pretrained(str(out))
    return out


def test_an_adapter_changes_replies_and_equals_merged_weights(folder: Path, adapter: Path, sampler: HfSampler) -> None:
    tuned = HfSampler(Weights(folder, adapter), MODEL, HfConfig())
    requests = requests_of(GREEDY)
    assert sample(tuned, requests) != sample(sampler, requests)

    merged: Any = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), adapter)
    merged = merged.merge_and_unload().eval()
    for request in requests:
        assert sample(tuned, [request])[request.id, 0].token_ids == generate(merged, request)
        ready = decoding.prefill(tuned._model, [request.prompt_ids], len(request.prompt_ids))
        with torch.inference_mode():
            expected = merged(torch.tensor([request.prompt_ids])).logits[:, -1]
        torch.testing.assert_close(ready.logits_UV, expected, rtol=1e-4, atol=1e-4)


def test_loading_waits_for_the_first_batch_and_closing_frees(folder: Path) -> None:
    lazy = HfSampler(Weights(folder), MODEL, HfConfig())
    requests = requests_of(DRAWN)
    lazy.plan(requests)
    assert lazy._model is None
    before = sample(lazy, requests)
    held = weakref.ref(lazy._model)
    lazy.close()
    gc.collect()
    assert held() is None
    assert sample(lazy, requests) == before


@pytest.mark.parametrize(
    "config",
    [
        Qwen2Config(use_sliding_window=True, sliding_window=64, max_window_layers=1),
        MistralConfig(sliding_window=64),
    ],
    ids=["layer types", "window alone"],
)
def test_sliding_windows_are_refused(tmp_path: Path, config: Any) -> None:
    config.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="full attention only, this has sliding_attention"):
        hf.load(Weights(tmp_path), MODEL)


def test_a_window_that_is_never_reached_or_not_used_is_no_reason_to_refuse() -> None:
    for config in (MistralConfig(sliding_window=512), MistralConfig(sliding_window=None), Qwen2Config()):
        hf._refuse_sliding(config, Weights(Path("model")), 512)


def test_weights_that_lack_a_tensor_or_are_broken_are_refused(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    tensors = load_file(broken / "model.safetensors")
    lost = tensors.pop("model.layers.1.mlp.up_proj.weight")
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lack model.layers.1.mlp.up_proj.weight"):
        hf.load(Weights(broken), MODEL)
    tensors["model.layers.1.mlp.up_proj.weight"] = lost[:4].clone()
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="does not load"):
        hf.load(Weights(broken), MODEL)
    (broken / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(ModelError, match="does not load"):
        hf.load(Weights(broken), MODEL)
    settings = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(settings | {"model_type": "unheard_of"}))
    with pytest.raises(ModelError, match="does not load"):
        hf.load(Weights(broken), MODEL)


# --- batches


@pytest.mark.parametrize(("batch_size", "batch_tokens"), [(1, 4096), (4, 4096), (64, 200), (64, 64)])
def test_the_plan_holds_every_sample_once_within_the_limits(folder: Path, batch_size: int, batch_tokens: int) -> None:
    config = HfConfig(batch_size=batch_size, batch_tokens=batch_tokens)
    planner = HfSampler(Weights(folder), MODEL, config)
    requests = requests_of(GREEDY, samples=3) + [
        Request("long", ids_of("w" * 90), replace(GREEDY, max_new_tokens=2), (0, 5)),
        Request("short", ids_of("s"), replace(GREEDY, max_new_tokens=90), (1,)),
        Request("nothing", ids_of("n"), GREEDY, ()),
    ]
    batches = planner.plan(requests)
    items = [item for batch in batches for item in batch]
    assert sorted(items) == sorted((i, s) for i, request in enumerate(requests) for s in request.samples)
    for batch in batches:
        prompt = max(len(requests[index].prompt_ids) for index, _ in batch)
        reply = max(requests[index].params.max_new_tokens for index, _ in batch)
        assert len(batch) == 1 or (len(batch) <= batch_size and len(batch) * (prompt + reply) <= batch_tokens)
    assert planner.plan(requests) == batches
    assert planner.plan([]) == []


def test_a_prompt_beyond_the_context_is_an_error_here(sampler: HfSampler) -> None:
    request = Request("long", ids_of("w" * 500), GREEDY)
    with pytest.raises(ModelError, match="long has 500 tokens; with 24 new ones it passes model.max_length=512"):
        sampler.run([request], ((0, 0),))


def test_markers_of_thoughts_that_are_special_tokens_stay_in_the_text(folder: Path) -> None:
    sampler, tokenizer = HfSampler(Weights(folder), MODEL, HfConfig()), AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["[THINK]", "[/THINK]", "[INST]"]})
    sampler._tokenizer = tokenizer
    ids = tokenizer.encode("[THINK]a[INST]b[/THINK]c, d<|im_end|>", add_special_tokens=False)
    assert sampler._ending(GREEDY, frozenset({END}), ids) == ("eos", "[THINK]ab[/THINK]c, d")
    stopping = replace(GREEDY, stop=(", ",))
    assert sampler._ending(stopping, frozenset({END}), ids[:-2]) == ("stop", "[THINK]ab[/THINK]c")
