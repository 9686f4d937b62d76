"""A judge made by SFT and DPO on real weights judges in vLLM as it does in training's own evaluation."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from judgekit.cli import main
from judgekit.evaluation.judging import judge_pairs
from judgekit.losses.dpo import DpoLoss
from judgekit.models import obtain
from judgekit.rows import ORDERS, write_rows
from judgekit.samplers.hf import HfConfig
from judgekit.samplers.vllm import VllmConfig
from judgekit.sampling.backends import hand_over
from judgekit.sampling.base import Sampler, SamplingParams
from judgekit.sampling.cache import GenerationCache
from judgekit.sampling.hf import HfSampler
from judgekit.sampling.text import TextSampler
from judgekit.sampling.vllm import VllmSampler
from judgekit.schema.models import ModelConfig
from judgekit.schema.optim import OptimConfig
from judgekit.schema.trainer import TrainerConfig
from judgekit.training.trainer import train
from judgekit.verdict_rows import VerdictRow
from judgekit.weights import Weights
from tests.helpers import seed_model
from tests.integration.small_judge import BATCH, PROTOCOL, STEPS, demonstrations, pairs, preferences

pytestmark = pytest.mark.integration

DPO_STEPS = 4
TRAINER = TrainerConfig(lora_rank=16, accelerator="cpu", max_tokens=1024)


@pytest.fixture(scope="module")
def model() -> ModelConfig:
    # Single precision: greedy replies are then the same whatever computes them.
    return seed_model(max_length=1024, dtype="float32")


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory, model: ModelConfig) -> Weights:
    """SFT, then DPO from it."""
    folder, base, losses = tmp_path_factory.mktemp("judge"), obtain(model), []

    def listen(step: int, values: dict[str, float]) -> None:
        losses.append(values["loss"])

    write_rows(folder / "sft.jsonl", demonstrations())
    write_rows(folder / "dpo.jsonl", preferences(BATCH * DPO_STEPS))
    optim = OptimConfig(lr=1e-3, epochs=1, batch_size=BATCH, max_steps=STEPS)
    train(
        "sft", folder / "sft.jsonl", Weights(base), folder / "sft", folder / "work", optim, DpoLoss(), TRAINER, 2,
        "sft", lambda step, values: None, dtype="float32",
    )  # fmt: skip
    optim = OptimConfig(lr=1e-4, epochs=1, batch_size=BATCH, max_steps=DPO_STEPS)
    train(
        "dpo", folder / "dpo.jsonl", Weights(base, folder / "sft"), folder / "dpo", folder / "more", optim,
        DpoLoss(), TRAINER, 2, "dpo", listen, dtype="float32",
    )  # fmt: skip
    # The reference is the SFT judge: before the first step nothing tells policy and reference apart.
    assert losses[0] == pytest.approx(math.log(2), rel=1e-6)
    return Weights(base, folder / "dpo")


def text_sampler(sampler: Sampler, weights: Weights, model: ModelConfig, folder: Path) -> TextSampler:
    tokenizer: Any = AutoTokenizer.from_pretrained(weights.base)
    return TextSampler(tokenizer, sampler, GenerationCache(folder, weights.digest), model.max_length)


def verdicts(asked: TextSampler) -> list[VerdictRow]:
    return judge_pairs(asked, PROTOCOL, pairs(100, 12), ORDERS, SamplingParams(0.0, 1.0, 128))


def weakened(judge: Weights, folder: Path) -> Weights:
    """A judge whose adapter counts for half, so that it writes other texts."""
    assert judge.adapter is not None
    shutil.copytree(judge.adapter, folder)
    path = folder / "adapter_model.safetensors"
    tensors = {name: tensor / 2 if "lora_B" in name else tensor for name, tensor in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})
    return Weights(judge.base, folder)


def test_the_judge_gives_vllm_the_verdicts_it_gave_in_training(
    judge: Weights, model: ModelConfig, tmp_path: Path
) -> None:
    held: TextSampler | None = None
    engines: set[int] = set()
    found: list[list[VerdictRow]] = []
    for weights in (judge, weakened(judge, tmp_path / "weakened")):
        own = text_sampler(HfSampler(weights, model, HfConfig(device="cpu")), weights, model, tmp_path / "hf")
        expected = verdicts(own)
        own.close()
        sampler = VllmSampler(weights, model, VllmConfig(max_sequences=32, cpu_memory=1.0))
        asked = text_sampler(sampler, weights, model, tmp_path / "vllm")
        if held is not None:
            hand_over(held, asked)
        held = asked
        found.append(verdicts(asked))
        assert found[-1] == expected
        engines.update(engine.process.pid for engine in sampler._engines)
    assert held is not None
    held.close()
    assert len(found[0]) == 24 and sum(row.verdict is not None for row in found[0]) > 20
    assert len({row.text for row in found[0]}) > 12
    assert len(engines) == 1 and found[0] != found[1]  # one engine served both, each with its own adapter


def test_the_command_judges_in_vllm(judge: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "pairs.jsonl", pairs(100, 4))
    command = ["judge", "pairs.jsonl", "--judge", str(judge.adapter), "-o", "v.jsonl", "--sampler", "vllm"]
    assert main([*command, "prompt=evalplanner_brief", "judge.tokens=128", "sampler.cpu_memory=1"]) == 0
    found = [json.loads(line) for line in Path("v.jsonl").read_text().splitlines()]
    assert len(found) == 8 and sum(row["verdict"] is not None for row in found) >= 6
