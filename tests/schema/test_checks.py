"""Impossible combinations, each alone and none in a sound configuration."""

from __future__ import annotations

from typing import Any

import pytest

from judgekit.prompts.evalplanner import EvalPlanner
from judgekit.recipes.base import RECIPES
from judgekit.schema.checks import cross_checks
from judgekit.schema.config import RunConfig
from judgekit.schema.rules import CHECKS
from judgekit.schema.validation import build

SOUND: dict[str, Any] = {
    "model": {"hub_id": "a/b", "revision": "0123abc"},
    "data": {"sources": {"formats": {"kind": "constraints", "pairs": "verified"}}},
    "benchmark": {"starter": {"kind": "starter"}},
}

NAMES = {"prompt": {"name": "evalplanner"}, "recipe": {"name": "evalplanner"}, "sampler": {"name": "hf"}}


def changed(changes: dict[str, Any]) -> RunConfig:
    """The sound configuration with dotted keys replaced."""
    values: dict[str, Any] = {name: dict(section) for name, section in SOUND.items()}
    for key, value in changes.items():
        *path, last = key.split(".")
        node = values
        for part in path:
            node = node.setdefault(part, dict(NAMES.get(part, {})))
        node[last] = value
    built, problems = build(RunConfig, values)
    assert problems == []
    return built


def test_a_sound_configuration_has_no_problem() -> None:
    assert cross_checks(changed({})) == []


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"name": "a/b"}, "name"),
        ({"name": ".."}, "name"),
        ({"model": {}}, "model"),
        ({"model": {"hub_id": "a/b"}}, "model.revision"),
        ({"model": {"hub_id": "a/b", "revision": "main"}}, "model.revision"),
        ({"model": {"wheel": "w==1", "wheel_file": "f"}}, "model.wheel_sha256"),
        ({"model": {"wheel": "w", "wheel_file": "f", "wheel_sha256": "0"}}, "model.wheel"),
        ({"data.sources": {}}, "data.sources"),
        ({"data.sources": {"x": {"kind": "jsonl", "pairs": "given"}}}, "data.sources.x.path"),
        ({"data.sources": {"x": {"kind": "hub", "pairs": "given"}}}, "data.sources.x.hub_id"),
        ({"data.sources": {"x": {"kind": "hub", "pairs": "given", "hub_id": "d/s"}}}, "data.sources.x.revision"),
        ({"data.sources": {"x": {"kind": "starter", "pairs": "verified"}}}, "data.sources.x.pairs"),
        ({"data.sources": {"x": {"kind": "maths", "count": 20}}}, "data"),
        ({"data.second_round": 0}, "recipe.rounds"),
        ({"data.train_sources": ["elsewhere"]}, "data.train_sources"),
        ({"data.first_round": None}, "data.first_round"),
        ({"data.per_source": {"elsewhere": {"validation": 1}}}, "data.per_source.elsewhere"),
        ({"data.per_source": {"formats": {"first_round": 65}}}, "data.first_round"),
        ({"data.per_source": {"formats": {"validation": 15}}}, "data.validation"),
        ({"data.train_sources": []}, "data.train_sources"),
        ({"recipe.learn": "verdict"}, "recipe.second_plans"),
        ({"recipe.executions": 1}, "recipe.executions"),
        ({"sampler.temperature": 0}, "sampler.temperature"),
        ({"data.validation": 0}, "recipe.validate"),
        ({"benchmark.x": {"kind": "roscoe", "path": "."}}, "benchmark.x.kind"),
        ({"benchmark.x": {"kind": "newsroom", "hub_id": "d/s", "revision": "0123abc"}}, "benchmark.x.kind"),
        ({"benchmark.x": {"kind": "llmbar", "hub_id": "d/s"}}, "benchmark.x.revision"),
        ({"benchmark.x": {"kind": "llmbar", "hub_id": "d/s", "revision": "main"}}, "benchmark.x.revision"),
        ({"benchmark.x": {"kind": "llmbar", "columns": {"label": "gold"}}}, "benchmark.x.columns"),
        ({"bias.drop_conflicting": True, "bias.both_orders": False}, "bias.drop_conflicting"),
        ({"recipe.dpo": {"betas": [0.9, 1.0]}}, "recipe.dpo.betas"),
        ({"sampler.judge_tokens": 8192}, "sampler.judge_tokens"),
        ({"sampler.execution_tokens": 8192}, "sampler.execution_tokens"),
        ({"sampler.batch_tokens": 1024, "sampler.execution_tokens": 8}, "sampler.judge_tokens"),
        ({"data.response_tokens": 8192}, "data.response_tokens"),
        ({"sampler.device": "gpu"}, "sampler.device"),
        ({"sampler.name": "vllm", "sampler.beams": 4}, "sampler.beams"),
        ({"teacher.beams": 4, "sampler.name": "vllm"}, "teacher.beams"),
        ({"teacher.repetition_penalty": 1.2, "teacher.sampler": {"name": "openai"}}, "teacher.repetition_penalty"),
        ({"trainer.lora_targets": " , "}, "trainer.lora_targets"),
        ({"trainer.attention": "flex", "trainer.accelerator": "cpu"}, "trainer.attention"),
        ({"trainer.attention": "tree", "trainer.accelerator": "gpu"}, "trainer.attention"),
        ({"trainer.adapter": "qlora", "trainer.strategy": "fsdp"}, "trainer.strategy"),
        ({"trainer.adapter": "qlora", "trainer.accelerator": "cpu"}, "trainer.adapter"),
        ({"loss.name": "ipo", "loss.label_smoothing": 0.1}, "loss.label_smoothing"),
        ({"loss.name": "robust"}, "loss.label_smoothing"),
        ({"data.held_out": 0}, "benchmark.starter.kind"),
    ],
)
def test_an_impossible_combination_is_found_alone(changes: dict[str, Any], key: str) -> None:
    assert [problem.key for problem in cross_checks(changed(changes))] == [key]


SELF_TAUGHT = {"recipe.name": "self_taught"}
SFT = {"loss.name": "sft"}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"data.sources": {"x": {"kind": "maths", "count": 20}}}, "data"),
        ({"data.validation": 0}, "recipe.validate"),
        ({"recipe.judgments": 1}, "recipe.judgments"),
        ({"sampler.temperature": 0}, "sampler.temperature"),
        ({"sampler.temperature": 0, "recipe.votes": 3, **SFT}, "recipe.votes"),
        (
            {f"recipe.{kind}_as_negative": False for kind in ("wrong", "tie", "invalid")},
            "recipe.wrong_as_negative",
        ),
        ({"recipe.dpo": {"betas": [0.9, 1.0]}}, "recipe.dpo.betas"),
        ({"recipe.warm_start": {"stop_accuracy": 0.4, "enabled": True}, "data.validation": 0, "recipe.validate": False},
         "recipe.warm_start.stop_accuracy"),
        ({"recipe.selection": {"keep": ["poetry"]}}, "recipe.selection.keep"),
        ({"recipe.selection": {"categories": []}}, "recipe.selection.categories"),
        ({"recipe.selection": {"complexity_min": 4, "complexity_max": 3}}, "recipe.selection.complexity_min"),
    ],
)  # fmt: skip
def test_an_impossible_self_taught_run_is_found_alone(changes: dict[str, Any], key: str) -> None:
    assert [problem.key for problem in cross_checks(changed(SELF_TAUGHT | changes))] == [key]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"prompt.name": "self_taught", "recipe.warm_start": {"enabled": True}, "recipe.validate": False},
        {"data.second_round": 0},
        {"data.sources": {"x": {"kind": "maths", "count": 160}}, "data.second_round": 999},
        {"recipe.judgments": 1, "sampler.temperature": 0, **SFT},
        {"recipe.judgments": 1, "recipe.negative_temperature": 1.2},
        {"sampler.plan_tokens": 8192, "sampler.execution_tokens": 8192},
        {"recipe.selection": {"keep": ["reasoning", "coding"], "complexity_min": 3}},
    ],
)
def test_a_self_taught_run_that_can_work_is_left_alone(changes: dict[str, Any]) -> None:
    assert cross_checks(changed(SELF_TAUGHT | changes)) == []


def test_a_warm_start_needs_a_protocol_that_writes_worked_judgments(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = SELF_TAUGHT | {"recipe.warm_start": {"enabled": True}}
    assert cross_checks(changed(changes)) == []
    monkeypatch.delattr(EvalPlanner, "stitch")
    assert [problem.key for problem in cross_checks(changed(changes))] == ["recipe.warm_start.enabled"]


@pytest.mark.parametrize(
    "changes",
    [
        {"loss.name": "sft", "recipe.executions": 1, "data.second_round": 0, "sampler.temperature": 0},
        {"recipe.rounds": 1, "data.second_round": 0},
        {"data.second_round": None, "data.per_source": {"formats": {"first_round": 64, "second_round": 5}}},
        {"recipe.validate": False, "data.validation": 0},
        {"data.sources": {"x": {"kind": "maths", "count": 224}}},
        {"trainer.adapter": "full", "trainer.lora_targets": "", "trainer.strategy": "fsdp"},
        {"trainer.attention": "flex", "trainer.accelerator": "gpu"},
        {"loss.name": "robust", "loss.label_smoothing": 0.1},
        {"model": {"wheel": "w==1", "wheel_file": "f", "wheel_sha256": "0"}},
    ],
)
def test_what_can_work_is_left_alone(changes: dict[str, Any]) -> None:
    assert cross_checks(changed(changes)) == []


def test_constrained_decoding_needs_verdict_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cross_checks(changed({"sampler.verdict": "constrained"})) == []
    monkeypatch.setattr(EvalPlanner, "verdict_tokens", ())
    found = cross_checks(changed({"sampler.verdict": "constrained"}))
    assert [problem.key for problem in found] == ["sampler.verdict"]
    assert cross_checks(changed({})) == []


@pytest.mark.parametrize("wrong", ["data.sources", "data.sources.x.count", "data"])
def test_a_check_is_silent_about_values_already_found_wrong(wrong: str) -> None:
    assert cross_checks(changed({"data.sources": {"x": {"kind": "maths", "count": 20}}}), [wrong]) == []


def test_without_a_known_recipe_nothing_is_said_of_its_fields() -> None:
    assert cross_checks(changed({"recipe.executions": 1}), ["recipe.name"]) == []


def test_every_check_reads_keys_that_exist() -> None:
    """A misspelt key would let a check speak about values already found wrong."""
    configs = {RunConfig: [RunConfig(recipe=recipe()) for recipe in RECIPES.values()]}
    for kinds, keys, _ in CHECKS:
        for kind in kinds if isinstance(kinds, tuple) else (kinds,):
            assert any(all(_has(config, key) for key in keys) for config in configs.get(kind, [kind()])), keys


def _has(node: Any, key: str) -> bool:
    for part in key.split("."):
        if not hasattr(node, part):
            return False
        node = getattr(node, part)
    return True


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"dialect": "vllm", "verdict": "constrained"}, ["sampler.name"]),
        ({"verdict": "constrained"}, ["sampler.name", "sampler.verdict"]),
        ({"base_url": "https://me:word@host/v1", "shards": 2}, ["sampler.name", "sampler.base_url", "sampler.shards"]),
        ({"api_key_env": "sk-word"}, ["sampler.name", "sampler.api_key_env"]),
    ],
)
def test_a_server_cannot_be_trained_and_its_settings_are_checked_too(changes: dict[str, Any], keys: list[str]) -> None:
    problems = cross_checks(changed({"sampler": {"name": "openai", **changes}}))
    assert [problem.key for problem in problems] == keys
    assert not any("word" in str(problem).replace("password", "") for problem in problems)


def test_shards_do_not_share_a_teacher_behind_a_server() -> None:
    server = {"name": "openai", "base_url": "http://localhost:1/v1", "served_model": "m"}
    assert not cross_checks(changed({"teacher": {"sampler": server}}))
    (problem,) = cross_checks(changed({"teacher": {"sampler": server}, "sampler.shards": 2, "sampler.shard": 0}))
    assert problem.key == "sampler.shard" and "one process asks" in str(problem)


@pytest.mark.parametrize("name", ["max_loras", "worker_extension_cls", "max_model_len"])
def test_engine_arguments_that_judgekit_sets_are_not_options(name: str) -> None:
    (problem,) = cross_checks(changed({"sampler": {"name": "vllm", "options": {name: "2"}}}))
    assert problem.key == f"sampler.options.{name}"
