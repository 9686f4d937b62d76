"""Training stages: what decides their outcome is part of what they are kept under."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from judgekit.samplers.hf import HfConfig
from judgekit.schema.config import RunConfig
from judgekit.schema.models import ModelConfig
from judgekit.schema.optim import OptimConfig
from judgekit.stages.lab import Lab
from judgekit.stages.stage import Made
from judgekit.stages.training import ConsistentAccuracy, train_judge
from tests.training.tiny import make_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny") / "model")


def digest(tiny: Path, store: Path, *, validated: bool, **sampler: Any) -> str:
    config = RunConfig(name="planned", store=str(store), model=ModelConfig(name="tiny", path=str(tiny)))
    lab = Lab(replace(config, sampler=HfConfig(**sampler)), None)

    rows: Made[Any] = Made("r" * 64)
    validation = ConsistentAccuracy(Made("s" * 64)) if validated else None
    judge = train_judge(lab, "sft", "sft", rows, lab.seed, OptimConfig(), validation)
    return str(judge.origin.weights)


def test_how_checkpoints_are_judged_decides_which_one_is_chosen(tiny: Path, tmp_path: Path) -> None:
    ways: list[dict[str, Any]] = [{}, {"verdict": "constrained"}, {"judge_tokens": 7}]
    assert len({digest(tiny, tmp_path, validated=True, **way) for way in ways}) == 3
    assert len({digest(tiny, tmp_path, validated=False, **way) for way in ways}) == 1
    assert len({digest(tiny, tmp_path, validated=True, **way) for way in ({}, {"plan_tokens": 7})}) == 1
