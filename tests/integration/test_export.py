"""A trained adapter on the real seed model, merged: greedy replies stay the same."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
import yaml
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM, AutoTokenizer

from judgekit.data.sources import starter_instructions
from judgekit.export import export
from judgekit.losses.dpo import DpoLoss
from judgekit.models import obtain
from judgekit.rows import ResponsePair, write_rows
from judgekit.schema.config import RunConfig
from judgekit.schema.optim import OptimConfig
from judgekit.schema.trainer import TrainerConfig
from judgekit.training.trainer import train
from judgekit.weights import Weights
from tests.helpers import seed_model
from tests.integration.small_judge import PROTOCOL, STEPS, demonstrations

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves, with an adapter trained for a few steps."""
    folder = tmp_path_factory.mktemp("run")
    model = seed_model()
    write_rows(folder / "rows.jsonl", demonstrations())
    trainer = TrainerConfig(lora_rank=16, accelerator="cpu", max_tokens=1024)
    optim = OptimConfig(lr=1e-3, epochs=1, batch_size=4, max_steps=STEPS)
    train(
        "sft", folder / "rows.jsonl", Weights(obtain(model)), folder / "judge", folder / "work", optim, DpoLoss(),
        trainer, 2, "sft", lambda step, values: None,
    )  # fmt: skip
    base = obtain(model)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (folder / "judge" / name).write_bytes((base / name).read_bytes())
    config = asdict(replace(RunConfig(), model=model, prompt=PROTOCOL.config, trainer=trainer))
    (folder / "config.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(config))))
    judge = {"judge": "sft", "protocol": asdict(PROTOCOL.config), "decoding": {"max_new_tokens": 48, "verdict": "free"}}
    (folder / "judge" / "judge.yaml").write_text(yaml.safe_dump(judge))
    manifest = {
        "name": "seed", "run_id": "seed-0", "status": "finished", "finished": "2026-01-01", "command": "judgekit run",
        "seed": 2, "versions": {}, "judges": ["seed", "sft"], "benchmarks": {}, "stages": [],
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_the_merged_judge_replies_as_the_adapter_does(run_dir: Path, tmp_path: Path) -> None:
    adapter, model = export(run_dir, tmp_path, merged=True)
    tokenizer = AutoTokenizer.from_pretrained(model)
    unmerged = AutoPeftModelForCausalLM.from_pretrained(adapter, dtype=torch.float32).eval()
    merged = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    assert AutoModelForCausalLM.from_pretrained(model, dtype="auto").dtype == torch.bfloat16
    plans = set()
    for row in starter_instructions()[100:106]:
        pair = ResponsePair(row.id, row.text, f"About: {row.text}", f"About: {row.near_miss}", None)
        prompt = [dict(message) for message in PROTOCOL.judge_prompt(pair, "ab")]
        inputs = tokenizer.apply_chat_template(
            prompt, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        start = inputs["input_ids"].shape[1]
        replies = [
            tokenizer.decode(judge.generate(**inputs, do_sample=False, max_new_tokens=48)[0, start:])
            for judge in (unmerged, merged)
        ]
        assert replies[0] == replies[1]
        with torch.no_grad():
            difference = (unmerged(**inputs).logits - merged(**inputs).logits).abs().max()
        # The sum of weight and update is rounded to 8 bits; without the update logits differ by tens.
        assert float(difference) < 1.0
        plans.add(replies[0])
    assert len(plans) == 6 and all(plan.startswith("[Start of Evaluation Plan]") for plan in plans)
