"""Kernels: what is switched off is so inside training and sampling alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from judgekit.kernels import no_cudnn_attention
from judgekit.losses.base import LossConfig
from judgekit.samplers.hf import HfConfig
from judgekit.sampling.base import Request, SamplingParams
from judgekit.sampling.hf import HfSampler
from judgekit.schema.models import ModelConfig
from judgekit.schema.optim import OptimConfig
from judgekit.schema.trainer import TrainerConfig
from judgekit.training.trainer import train
from judgekit.weights import Weights
from tests.training.tiny import make_model


def enabled() -> bool:
    return bool(torch.backends.cuda.cudnn_sdp_enabled())  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("before", [True, False])
def test_the_setting_comes_back(before: bool) -> None:
    held = enabled()
    torch.backends.cuda.enable_cudnn_sdp(before)
    try:
        with pytest.raises(KeyError), no_cudnn_attention():
            assert not enabled()
            raise KeyError
        assert enabled() is before
    finally:
        torch.backends.cuda.enable_cudnn_sdp(held)


def test_training_and_sampling_do_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from judgekit.rows import write_rows
    from tests.training.tiny import demonstrations

    assert enabled()
    base = make_model(tmp_path / "base")
    write_rows(tmp_path / "rows.jsonl", demonstrations(2))
    seen: list[bool] = []
    optim = OptimConfig(max_steps=1, batch_size=2)
    trainer = TrainerConfig(lora_rank=2, accelerator="cpu", max_tokens=400)

    def look(*_: Any) -> None:
        seen.append(enabled())

    train("sft", tmp_path / "rows.jsonl", Weights(base), tmp_path / "out", tmp_path / "work", optim, LossConfig(),
          trainer, 2, "sft", look)  # fmt: skip
    sampler = HfSampler(Weights(base), ModelConfig(name="tiny", dtype="float32", max_length=64), HfConfig())
    monkeypatch.setattr(sampler, "_write", lambda rows: look() or [])
    monkeypatch.setattr(sampler, "_load", lambda: None)
    with pytest.raises(ValueError):  # nothing was written
        sampler.run([Request("a", (2, 3), SamplingParams(0.0, 1.0, 4))], ((0, 0),))
    assert seen == [False, False] and enabled()
