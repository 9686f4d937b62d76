"""What a judge can be: a run, an adapter, a model, the hub or a server; each is found, described and asked."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from judgekit.errors import ConfigError, DataError, JudgekitError, ModelError
from judgekit.judges import find_judge, judge_config, open_judge, plain_name
from judgekit.prompts.evalplanner import EvalPlanner
from judgekit.prompts.pairwise import Pairwise
from judgekit.sampling.base import SamplingParams
from judgekit.sampling.text import TextRequest
from judgekit.schema.config import HfConfig, ModelConfig, OpenAIConfig
from judgekit.schema.judges import JudgeConfig
from judgekit.schema.prompts import EvalPlannerPrompt, PairwisePrompt
from judgekit.training.lora import make_trainable, save_trained
from judgekit.weights import Weights
from tests.sampling.scripted_server import ScriptedServer
from tests.training.tiny import make_model

HF = HfConfig(judge_tokens=8, batch_size=4)
COMMIT = "a" * 40


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("judges") / "tiny", max_position_embeddings=2048)


def description(model: Path, **values: Any) -> dict[str, Any]:
    """``judge.yaml`` as a run writes it."""
    return {
        "judge": "dpo1",
        "base_model": asdict(ModelConfig(name="tiny", path=str(model), dtype="float32", max_length=1024)),
        "adapter": False,
        "protocol": asdict(EvalPlannerPrompt(style="brief")),
        "decoding": {"temperature": 0.0, "max_new_tokens": 5, "verdict": "constrained"},
    } | values


def make_run(folder: Path, model: Path, **values: Any) -> Path:
    (folder / "judge").mkdir(parents=True)
    (folder / "judge" / "judge.yaml").write_text(yaml.safe_dump(description(model, **values)))
    return folder
