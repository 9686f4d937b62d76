"""Hostile text from a data file through a real tokenizer and model to metrics: nothing ends the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from judgekit.data.sources import read_pairs
from judgekit.evaluation.judging import judge_pairs
from judgekit.evaluation.verdict_metrics import score
from judgekit.prompts.evalplanner import EvalPlanner, EvalPlannerPrompt
from judgekit.rows import ORDERS, ResponsePair, read_rows, write_rows
from judgekit.samplers.hf import HfConfig
from judgekit.sampling.base import SamplingParams
from judgekit.sampling.cache import GenerationCache
from judgekit.sampling.hf import HfSampler
from judgekit.sampling.text import TextSampler
from judgekit.schema.models import ModelConfig
from judgekit.store import Store, Workspace
from judgekit.verdict_rows import read_verdicts, write_verdicts
from judgekit.weights import Weights
from tests.sampling.hostile import ENCODED, REFUSED
from tests.training.tiny import make_model


@pytest.mark.parametrize("constrained", [False, True])
@pytest.mark.parametrize("place", ["instruction", "response_a", "response_b"])
def test_every_row_is_judged_or_refused_for_a_reason(tmp_path: Path, constrained: bool, place: str) -> None:
    texts = ENCODED | {name: text for name, (text, _) in REFUSED.items()}
    plain = {"instruction": "q", "response_a": "a", "response_b": "b", "label": "A"}
    rows = [{"id": name} | plain | {place: text} for name, text in texts.items()]
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def judge_all(workspace: Workspace) -> None:
        write_rows(workspace.path / "pairs.jsonl", read_pairs(file))
        pairs = read_rows(workspace.path / "pairs.jsonl", ResponsePair)
        assert {pair.id: getattr(pair, place) for pair in pairs} == texts
        folder = make_model(tmp_path / "model", max_position_embeddings=2048)
        model = ModelConfig(name="tiny", dtype="float32", max_length=2048)
        sampler = HfSampler(Weights(folder), model, HfConfig(device="cpu"))
        cache = GenerationCache(tmp_path, "f" * 64)
        judge = TextSampler(AutoTokenizer.from_pretrained(folder), sampler, cache, model.max_length)
        protocol, params = EvalPlanner(EvalPlannerPrompt(style="brief")), SamplingParams(0.0, 1.0, 4)
        judged = judge_pairs(judge, protocol, pairs, ORDERS, params, constrained=constrained, workspace=workspace)
        write_verdicts(workspace.path / "verdicts.jsonl", judged)
        judge.close()

    stage = Store(tmp_path / "store").stage("judging", 1, {}, [], judge_all)
    pairs = read_rows(stage.file("pairs.jsonl"), ResponsePair)
    verdicts = read_verdicts(stage.file("verdicts.jsonl"))
    assert len(verdicts) == 2 * len(texts)
    # The tiny model writes noise: its replies have no verdict, or are cut before one.
    reasons = {row.id: row.reason for row in verdicts}
    assert {name: reasons[name] for name in REFUSED} == {name: reason for name, (_, reason) in REFUSED.items()}
    assert {reasons[name] for name in ENCODED} == {"truncated"}
    expected = {"too long": 4, "text holds a lone surrogate": 2}
    assert stage.info.dropped == expected
    scores = score(pairs, verdicts, resamples=10)
    assert scores.invalid_reasons == expected | {"truncated": 2 * len(ENCODED)}
    assert next(row.invalid for row in verdicts if row.id == "long").endswith("the limit is 2044 (model.max_length)")
