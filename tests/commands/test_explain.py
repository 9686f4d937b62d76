"""``judgekit explain``: meaning, range, default, value, origin."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import pytest
from rich.console import Console

from judgekit.cli import main
from judgekit.commands.explain import Readers, explain
from judgekit.errors import ConfigError
from judgekit.recipes.evalplanner.config import EvalPlannerConfig
from judgekit.schema.config import RunConfig
from judgekit.schema.keys import keys_of
from judgekit.schema.launchers import SlurmLauncherConfig


def said(*items: str, extra: Path | None = None, readers: Readers | None = None) -> str:
    """What is printed on a terminal of 80 columns."""
    out = io.StringIO()
    explain(items, Console(file=out, width=80), extra, readers)
    return out.getvalue()


def rows(*items: str, readers: Readers | None = None) -> dict[str, str]:
    """The rows of one field."""
    lines = [line.strip() for line in said(*items, readers=readers).splitlines() if line.startswith("  ")]
    return {name: text.strip() for name, _, text in (line.partition("  ") for line in lines) if text}


def test_a_field_has_all_its_rows() -> None:
    assert said("recipe.plans").splitlines()[:2] == ["recipe.plans", "  |P|: plans per instruction (§3)"]
    assert rows(
        "recipe.plans", "recipe.plans=3", readers=lambda _, key: {"recipe.plans": ["plans", "chains"]}[key]
    ) == {
        "type": "whole number, at least 1",
        "default": "5",
        "value": "3",
        "set by": "override recipe.plans=3",
        "paper": "EvalPlanner, arXiv 2501.18099, §3",
        "read by": "plans, chains",
    }


def test_a_mapping_in_a_file_is_a_value(tmp_path: Path) -> None:
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "mine.yaml").write_text("# Mine.\nmine:\n  columns: {response_a: first}\n")
    told = said("benchmark.mine.columns", "benchmark=[mine]", extra=tmp_path)
    assert "{response_a: first}" in told and "mine.yaml" in "".join(told.split())


@pytest.mark.parametrize(
    ("items", "value", "source"),
    [
        (["recipe.plans"], "5", "nothing: it is the default"),
        (["recipe.plans", "recipe=evalplanner"], "5", "nothing: it is the default"),
        (["recipe.dpo.lr"], "5.5e-08", "conf/recipe/evalplanner.yaml"),
        (["recipe.plans", "experiment=demo"], "2", "conf/experiment/demo.yaml"),
        (["trainer.lora_rank", "trainer=gpu"], "32", "conf/trainer/gpu.yaml"),
        (["trainer.lora_rank", "trainer=gpu", "trainer.lora_rank=8"], "8", "override trainer.lora_rank=8"),
        (["data.sources.maths.count"], "64", "conf/data/starter.yaml"),
        (["teacher.model.max_length", "model@teacher.model=qwen3_4b"], "40960", "conf/model/qwen3_4b.yaml"),
        (["judge.tokens", "judge=judgelm_7b"], "512", "conf/judge/judgelm_7b.yaml"),
        (["judge.path", "judge=outputs/demo"], "outputs/demo", "override judge.path=outputs/demo"),
        (["recipe.sft.betas=[0.5,0.6]"], "[0.5, 0.6]", "override recipe.sft.betas=[0.5,0.6]"),
        (
            ["benchmark.mine.columns", "+benchmark.mine.columns={a: b}"],
            "{a: b}",
            "override +benchmark.mine.columns={a: b}",
        ),
        (["data.sources.wildchat.path", "experiment=paper/self_taught"], "null", "nothing: it is the default"),
    ],
)
def test_what_set_a_value_is_named(items: list[str], value: str, source: str) -> None:
    found = rows(*items)
    assert (found["value"], found["set by"]) == (value, source)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("trainer.adapter", "one of lora, dora, qlora, full"),
        ("trainer.threads", "whole number, at least 1, or null"),
        ("recipe.sft.betas", "list of 2 values, each number"),
        ("recipe.validate", "true or false"),
        ("data.train_sources", "list of values, each text, or null"),
        ("data.sources.maths.columns", "names, each with text"),
        ("teacher.prompt", "section chosen by its group, or null"),
        ("sampler.temperature", "number, at least 0 and at most 2"),
    ],
)
def test_types_are_told_in_words(key: str, words: str) -> None:
    assert rows(key)["type"] == words


def test_a_group_is_one_table_of_all_its_fields_within_80_columns() -> None:
    told = said("recipe=evalplanner")
    names = [line.split()[0] for line in told.splitlines() if line.startswith(" ") and line.strip()]
    assert {field.name for field in dataclasses.fields(EvalPlannerConfig)} <= set(names)
    assert max(map(len, told.splitlines())) <= 80
    assert "EvalPlanner, arXiv 2501.18099" in told
    assert said("recipe") == told


@pytest.mark.parametrize(
    ("items", "wanted"),
    [
        (["model@judge.model=qwen3_4b"], ["judge.model", "Qwen/Qwen3-4B"]),
        (["benchmark=llmbar"], ["llmbar", "limit"]),
        (["experiment=demo"], ["experiment=demo", "recipe.plans", "loss.nll_weight"]),
        (["ablation=bias/all"], ["bias.both_orders", "bias.balance_labels"]),
        (["recipe.candidates", "recipe=pandalm"], ["plain", "tuned", "temperature"]),
    ],
)
def test_other_choices_have_a_table_too(items: list[str], wanted: list[str]) -> None:
    told = said(*items)
    assert all(text in told for text in wanted)
    assert max(map(len, told.splitlines())) <= 80


def test_an_overlay_shows_only_what_it_sets() -> None:
    assert "recipe.executions" not in said("experiment=paper/evalplanner")


def test_launchers_are_explained() -> None:
    told = said("hydra/launcher=slurm")
    assert all(field.name in told for field in dataclasses.fields(SlurmLauncherConfig) if field.name != "name")


@pytest.mark.parametrize(
    ("items", "hint"),
    [
        (["recipe.plan"], "Did you mean 'recipe.plans'?"),
        (["plans"], "Did you mean 'recipe.plans'?"),
        (["recpie.plans"], "Did you mean 'recipe.plans'?"),
        (["recpie.plnas"], "Did you mean 'recipe'?"),
        (["recipe.swap_rate"], "It is a field of recipe=judgelm"),
        (["prompt.margin"], "It is a field of prompt=judgelm"),
        (["recipe.sft.lrr"], "Did you mean 'recipe.sft.lr'?"),
        (["teacher.model.dtype"], "teacher.model is null here: choose one with model@teacher.model=NAME"),
        (["zzz"], "Valid: "),
        (["hydra/launcher=slrm"], "Did you mean 'slurm'?"),
        (["recipe.plans", "recipe=evalplaner"], "Did you mean 'evalplanner'?"),
        (["recipe.plans", "recipe.plans=x"], "'x' is not a whole number"),
        (["experiment=dem"], "Did you mean 'demo'?"),
    ],
)
def test_mistakes_name_the_nearest(items: list[str], hint: str) -> None:
    with pytest.raises(ConfigError) as error:
        said(*items)
    assert hint in str(error.value)


def test_all_wrong_keys_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        said("recipe.plan", "nme")
    assert [problem.key for problem in error.value.problems] == ["recipe.plan", "nme"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "mine.yaml").write_text("# Mine.\ndefaults: [/DpoLoss@_here_, _self_]\nbeta: 0.25\n")
    assert main(["explain", "loss.beta", "--config-dir", str(tmp_path), "loss=mine"]) == 0
    told = capsys.readouterr().out
    assert "0.25" in told and "more than 0" in told and "mine.yaml" in "".join(told.split())
    assert main(["explain", "recipe.plan"]) == 2
    assert "recipe.plans" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["explain"])
    assert stop.value.code == 2
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "explain" in capsys.readouterr().out


def test_every_key_is_documented() -> None:
    assert [key.path for key in keys_of(RunConfig()).values() if not key.limits.doc] == []


def test_what_does_nothing_to_results_says_so() -> None:
    assert rows("store")["results"].startswith("no effect: ")
    assert rows("trainer.devices")["results"].startswith("by rounding alone")
    assert "results" not in rows("recipe.plans")
