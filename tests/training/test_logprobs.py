"""Packed log-probabilities and the fast LoRA layer against the plain way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from judgekit.errors import MissingExtraError, ModelError
from judgekit.schema.trainer import TrainerConfig
from judgekit.training.batches import Unit, encode_rows, pack
from judgekit.training.logprobs import check_head, completion_logps, head_logps, token_logps
from judgekit.training.lora import load_model, save_model, speed_up
from judgekit.weights import Weights
from tests.training.tiny import make_model, preferences

CPU = torch.device("cpu")


def units_of(folder: Path) -> list[Unit]:
    """The tiny preferences as units."""
    return encode_rows(preferences(), AutoTokenizer.from_pretrained(folder), 512, 512).units


def plain_logps(model: torch.nn.Module, unit: Unit, completion: tuple[int, ...]) -> Tensor:
    """One sequence at a time with the model's own causal mask."""
    ids = torch.tensor([unit.prompt + completion])
    logps = model(input_ids=ids).logits[0, :-1].float().log_softmax(-1)
    return logps.gather(1, ids[0, 1:, None])[len(unit.prompt) - 1 :, 0].sum()


def randomise(model: torch.nn.Module) -> torch.nn.Module:
    """Give B of a new adapter values, so that the adapter does something."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        for name, value in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(value, std=0.3)
    return model


@pytest.mark.parametrize("adapter", ["lora", "dora", "full"])
@pytest.mark.parametrize("budget", [160, 4096])
def test_packed_equals_plain_in_value_and_gradient(tmp_path: Path, adapter: Any, budget: int) -> None:
    start = Weights(make_model(tmp_path))
    model = randomise(load_model(start, TrainerConfig(adapter=adapter, lora_rank=4), "auto", 3))
    units = units_of(tmp_path)
    weights = {unit.index: torch.tensor([1.0 + unit.index, -0.5 * unit.index]) for unit in units}
    plain = {unit.index: torch.stack([plain_logps(model, unit, c) for c in unit.completions]) for unit in units}
    torch.stack([(weights[index] * value).sum() for index, value in plain.items()]).sum().backward()
    expected = {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}
    model.zero_grad()
    packs = pack(units, budget)
    for packed in packs:
        sums, lengths = completion_logps(token_logps(model, packed, CPU), packed)
        for unit, names in zip(packed.units, packed.completions, strict=True):
            torch.testing.assert_close(sums[list(names)], plain[unit.index].double(), rtol=1e-5, atol=1e-5)
            assert lengths[list(names)].tolist() == [len(completion) for completion in unit.completions]
        pairs = zip(packed.units, packed.completions, strict=True)
        torch.stack([(weights[unit.index] * sums[list(names)]).sum() for unit, names in pairs]).sum().backward()
    assert (len(packs) == 1) == (budget == 4096)
    for name, gradient in expected.items():
        found = dict(model.named_parameters())[name].grad
        assert found is not None and float((found - gradient).norm()) <= 1e-4 * float(gradient.norm())


def test_fast_lora_equals_peft(tmp_path: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(make_model(tmp_path))
    model = randomise(peft.get_peft_model(base, peft.LoraConfig(r=4, lora_alpha=8, target_modules="all-linear")))
    ids = torch.arange(30)[None]

    def run() -> tuple[Tensor, list[Tensor]]:
        model.zero_grad()
        logits = model(input_ids=ids).logits
        logits.square().mean().backward()
        return logits.detach(), [value.grad.clone() for value in model.parameters() if value.grad is not None]

    logits, gradients = run()
    assert speed_up(model) == 14
    fast_logits, fast_gradients = run()
    torch.testing.assert_close(fast_logits, logits)
    assert len(fast_gradients) == len(gradients) == 28
    for fast, slow in zip(fast_gradients, gradients, strict=True):
        torch.testing.assert_close(fast, slow)


def test_dropout_keeps_pefts_own_layer(tmp_path: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(make_model(tmp_path))
    settings = peft.LoraConfig(r=4, lora_dropout=0.1, target_modules="all-linear")
    assert speed_up(peft.get_peft_model(base, settings)) == 0


@pytest.mark.parametrize("frozen", [True, False])
def test_head_in_chunks_equals_log_softmax(frozen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("judgekit.training.logprobs.CHUNK_LOGITS", 16 * 50)
    torch.manual_seed(1)
    head = torch.nn.Linear(8, 50)
    head.requires_grad_(not frozen)
    hidden = torch.randn(40, 8, requires_grad=True)
    targets = torch.randint(0, 50, (40,))
    upstream = torch.randn(40)
    expected = head(hidden).log_softmax(-1).gather(1, targets[:, None])[:, 0]
    learned = [hidden] if frozen else [hidden, head.weight, head.bias]
    gradients = torch.autograd.grad((expected * upstream).sum(), learned)
    found = head_logps(hidden, head, targets)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad((found * upstream).sum(), learned), gradients)


def test_transformed_logits_are_refused(tmp_path: Path) -> None:
    model = load_model(Weights(make_model(tmp_path)), TrainerConfig(adapter="full"), "auto", 0)
    check_head(model, CPU)
    head = model.get_output_embeddings()
    forward = model.forward

    def capped(**inputs: Tensor) -> object:
        out = forward(**inputs)
        out.logits = out.logits / 3.0
        return out

    model.forward = capped
    assert head is model.get_output_embeddings()
    with pytest.raises(ModelError, match="transforms its logits"):
        check_head(model, CPU)


@pytest.mark.parametrize("adapter", ["lora", "dora"])
def test_saved_adapter_loads_with_plain_peft(tmp_path: Path, adapter: Any) -> None:
    start, trainer = Weights(make_model(tmp_path / "base")), TrainerConfig(adapter=adapter, lora_rank=4)
    model = randomise(load_model(start, trainer, "auto", 3))
    save_model(model, tmp_path / "adapter", start.base)
    plain = peft.AutoPeftModelForCausalLM.from_pretrained(tmp_path / "adapter")
    ids = torch.arange(20)[None]
    torch.testing.assert_close(plain(input_ids=ids).logits, model(input_ids=ids).logits)
    again = load_model(Weights(start.base, tmp_path / "adapter"), trainer, "auto", 3)
    save_model(again, tmp_path / "again", start.base)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "adapter" / name).read_bytes()
    for other in {"lora", "dora", "full"} - {adapter}:
        with pytest.raises(ModelError, match=f"trainer.adapter={'lora' if other == 'full' else adapter}"):
            load_model(Weights(start.base, tmp_path / "adapter"), replace(trainer, adapter=other), "auto", 3)


def test_four_bits_need_an_extra_and_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    start, trainer = Weights(make_model(tmp_path)), TrainerConfig(adapter="qlora")
    with pytest.raises(MissingExtraError, match=r"judgekit-lab\[qlora\]"):
        load_model(start, trainer, "auto", 3, torch.device("cuda"))
    with pytest.raises(ModelError, match="4 bits cannot be trained on cpu"):
        load_model(start, trainer, "auto", 3, CPU)
