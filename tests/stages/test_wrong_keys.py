"""Keys that were once wrong, each shown by what it did to results."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from judgekit.prompts.autoj import AutoJPrompt
from judgekit.rows import Preference, read_rows
from judgekit.schema.config import RunConfig
from judgekit.schema.data import SourceConfig
from judgekit.stages.lab import Lab
from judgekit.stages.models import Judging, Model, Origin
from judgekit.stages.stage import Digest, Stage, key_of
from judgekit.stages.watched import filled
from judgekit.tracking.recording import recorded
from judgekit.training.batches import encode_rows
from judgekit.verdict_rows import read_verdicts
from judgekit.weights import Weights
from tests.stages.test_keys import planned
from tests.stages.world import changed, config_of, speak, train_by_digest
from tests.training.tiny import make_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny") / "model", max_position_embeddings=4096)


def run(config: RunConfig, folder: Path) -> dict[str, dict[str, Any]]:
    """The stages of a run by name."""
    with recorded(config, folder) as record:
        config.recipe.run(Lab(config, record, speak(config.recipe.name)))
        return {stage["name"]: stage for stage in record.manifest["stages"]}


def test_a_longer_context_judges_what_was_too_long(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_by_digest(monkeypatch)
    config = config_of("self_taught", tiny, tmp_path / "store")
    short = changed(config, "model.max_length", 250)

    def reasons(config: RunConfig, folder: Path) -> set[str | None]:
        stage = run(config, folder)["verdicts/seed/starter"]
        return {row.reason for row in read_verdicts(Path(stage["path"]) / "verdicts.jsonl")}

    with pytest.raises(Exception, match="No demonstrations could be selected"):
        run(short, tmp_path / "short")
    store = tmp_path / "store" / "stages" / "verdicts" / "seed" / "starter"
    (first,) = (entry for entry in store.iterdir() if entry.is_dir())
    assert {row.reason for row in read_verdicts(first / "verdicts.jsonl")} == {"too long"}
    assert "too long" not in reasons(config, tmp_path / "long")


def test_nucleus_sampling_is_in_the_key_of_sampled_pairs(tiny: Path, tmp_path: Path) -> None:
    config = config_of("evalplanner", tiny, tmp_path)
    starter = SourceConfig(kind="starter", pairs="near_miss", count=4)
    config = replace(config, data=replace(config.data, sources=config.data.sources | {"starter": starter}))
    assert planned(config)[0]["pairs"] != planned(changed(config, "sampler.top_p", 0.5))[0]["pairs"]


def test_beams_and_the_penalty_are_in_the_keys_of_judgments_only_where_they_are_on(tiny: Path, tmp_path: Path) -> None:
    config = config_of("evalplanner", tiny, tmp_path)
    before = key_of(filled(Judged(), config, set())).config["judging"]
    assert sorted(before) == ["prompt", "tokens", "verdict"]
    for field, value in (("beams", 4), ("repetition_penalty", 1.2)):
        other = changed(config, f"sampler.{field}", value)
        assert key_of(filled(Judged(), other, set())).config["judging"] == before | {field: value}
        assert planned(config)[0]["verdicts/seed/starter"] != planned(other)[0]["verdicts/seed/starter"]


def test_whether_thoughts_are_judged_is_in_the_keys_of_pairs_and_verdicts_where_they_are_not(
    tiny: Path, tmp_path: Path
) -> None:
    config = config_of("evalplanner", tiny, tmp_path)
    other = changed(config, "bias.strip_thoughts", True)
    assert key_of(filled(Judged(), other, set())).config["judging"]["strip_thoughts"] is True
    for stage in ("pairs", "verdicts/seed/starter"):
        assert planned(config)[0][stage] != planned(other)[0][stage]


def test_a_template_that_is_edited_is_another_and_one_that_is_moved_is_the_same(tmp_path: Path) -> None:
    first, moved = tmp_path / "first.txt", tmp_path / "moved.txt"
    first.write_text("{prompt} {response} {response_another}")

    def key(file: Path) -> Any:
        judging = Judging(8, "free", 1, 1.0, False, AutoJPrompt(template=str(file)))
        return key_of(Judged(judging=judging)).config

    before = key(first)
    moved.write_text(first.read_text())
    assert key(moved) == before
    first.write_text("Compare: {prompt} {response} {response_another}")
    assert key(first) != before


def test_arguments_of_the_template_are_in_the_keys_of_all_that_renders_it(tiny: Path, tmp_path: Path) -> None:
    config = config_of("evalplanner", tiny, tmp_path)
    other = changed(config, "model.template", {"enable_thinking": False})
    (before, seen), (after, _) = planned(config), planned(other)
    assert "model.template" in seen
    same = {name for name in before if before[name] == after[name]}
    assert {"splits", "pairs", "benchmark/starter"} & same
    assert not {name for name in same if name.startswith(("verdicts/", "train/", "reference/"))}
    for one, held in ((config, None), (other, {"enable_thinking": False})):
        asked = Lab(one, None).model(Origin(Digest("w"), lambda: Weights(tiny)))
        assert key_of(Asked(model=asked)).config["model"].get("template") == held


@dataclass(frozen=True, kw_only=True)
class Asked(Stage):
    """A stage that asks a model."""

    label = "asked"
    model: Model


@dataclass(frozen=True, kw_only=True)
class Judged(Stage):
    """A stage of judgments, greedy and drawn."""

    label = "judged"
    judging: Judging = Judging()


def test_what_checkpoints_are_chosen_by_is_in_the_key_of_training(tiny: Path, tmp_path: Path) -> None:
    config = config_of("critiquellm", tiny, tmp_path)
    other = changed(config, "recipe.validation_reference", False)
    assert planned(config)[0]["train/sft"] != planned(other)[0]["train/sft"]
    unused = [changed(one, "recipe.validate", False) for one in (config, other)]
    assert planned(unused[0])[0] == planned(unused[1])[0]


@pytest.mark.parametrize("key", ["nodes", "devices", "gradient_checkpointing", "attention", "threads"])
def test_what_only_rounds_differently_redoes_nothing(tiny: Path, tmp_path: Path, key: str) -> None:
    config = config_of("evalplanner", tiny, tmp_path)
    value = {"nodes": 4, "devices": 8, "gradient_checkpointing": True, "attention": "sdpa", "threads": 3}[key]
    other = changed(config, f"trainer.{key}", value)
    assert planned(config)[0] == planned(other)[0]
    strict = [planned(changed(one, "trainer.strict", True))[0] for one in (config, other)]
    assert strict[0]["train/warm"] != strict[1]["train/warm"] and strict[0]["splits"] == strict[1]["splits"]


def test_the_record_of_a_training_says_where_it_ran(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_by_digest(monkeypatch)
    config = changed(config_of("self_rewarding", tiny, tmp_path / "store"), "trainer.threads", 3)
    stage = run(config, tmp_path / "out")["train/warm"]
    record = json.loads((Path(stage["path"]) / "stage.json").read_text())
    assert record["record"]["trainer.threads"] == 3 and "threads" not in record["config"]["trainer"]


def test_iterations_train_against_the_initial_model_where_asked(tiny: Path, tmp_path: Path) -> None:
    config = config_of("self_rewarding", tiny, tmp_path / "store")
    for key, value in {
        "recipe.reference": "initial", "recipe.warm_start.enabled": False, "loss.nll_weight": 0.0, "loss.beta": 0.5,
        "recipe.dpo.max_steps": 1, "recipe.dpo.batch_size": 64, "recipe.dpo.lr": 0.01, "trainer.max_tokens": 2048,
        "recipe.dpo.warmup_steps": 0, "recipe.dpo.checkpoint_every": 1,
    }.items():  # fmt: skip
        config = changed(config, key, value)
    found = run(config, tmp_path / "out")
    losses = {name: first_loss(found[f"train/{name}"], name) for name in ("m2", "m3")}
    assert losses["m2"] == pytest.approx(math.log(2), abs=1e-6), "the first iteration starts from its reference"
    rows = read_rows(Path(found["preferences/m3"]["path"]) / "rows.jsonl", Preference)
    policy = gaps(rows, Weights(tiny, Path(found["train/m2"]["path"]) / "judge"))
    initial = gaps(rows, Weights(tiny))
    by_hand = -torch.nn.functional.logsigmoid(0.5 * (policy - initial)).mean()
    assert losses["m3"] == pytest.approx(float(by_hand), abs=1e-5)
    assert abs(losses["m3"] - math.log(2)) > 1e-4

    kept = Path(found["reference/m3"]["path"]) / "logps.safetensors"
    told = json.loads((kept.parent / "stage.json").read_text())["files"]["logps.safetensors"]
    assert kept.stat().st_size == told["size"]
    from judgekit.store import file_digest

    assert file_digest(kept) == told["sha256"], "training only reads it"


def first_loss(stage: dict[str, Any], name: str) -> float:
    """The loss of the first step."""
    line = (Path(stage["path"]) / "series.jsonl").read_text().splitlines()[0]
    return float(json.loads(line)["values"][f"train/{name}/loss"])


def gaps(rows: list[Preference], weights: Weights) -> torch.Tensor:
    """Log π(chosen) − log π(rejected) by plain forward passes, one sequence at a time."""
    from peft import PeftModel

    model: Any = AutoModelForCausalLM.from_pretrained(weights.base, dtype=torch.float32)
    if weights.adapter is not None:
        model = PeftModel.from_pretrained(model, str(weights.adapter))
    tokenizer: Any = AutoTokenizer.from_pretrained(weights.base)
    found = []
    for unit in encode_rows(rows, tokenizer, 4096, 4096).units:
        sums = []
        for completion in unit.completions:
            ids = torch.tensor([[*unit.prompt, *completion]])
            with torch.no_grad():
                logps = model(input_ids=ids).logits.log_softmax(-1)[0, :-1]
            picked = logps.gather(1, ids[0, 1:, None])[:, 0]
            sums.append(picked[len(unit.prompt) - 1 :].sum())
        found.append(sums[0] - sums[1])
    return torch.stack(found)
