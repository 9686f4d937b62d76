"""Planning from a configuration alone: overrides that nothing reads are refused, and who reads a field is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from judgekit.cli import main
from judgekit.errors import ConfigError
from judgekit.planning import plan, readers, refuse_unread
from judgekit.schema.composition import Composer
from judgekit.schema.config import RunConfig


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer()


def refused(composer: Composer, *overrides: str, grid: bool = False) -> dict[str, str | None]:
    """Hints by key of what is refused."""
    jobs = composer.grid(overrides) if grid else [composer.job(overrides)]
    try:
        refuse_unread(jobs, composer)
    except ConfigError as error:
        return {problem.key: problem.hint for problem in error.problems}
    return {}


@pytest.mark.parametrize(
    ("overrides", "keys"),
    [
        (["experiment=demo", "bias.rho=0.2"], ["bias.rho"]),
        (["experiment=pandalm_demo", "loss.beta=0.2"], ["loss.beta"]),
        (["experiment=pandalm_demo", "loss=ipo"], ["loss"]),
        (["experiment=judgelm_demo", "bias.both_orders=false", "bias.balance_labels=true"], 2 * ["bias"]),
        (["experiment=meta_rewarding_demo", "bias.drop_conflicting=true"], ["bias.drop_conflicting"]),
        (["experiment=self_taught_demo", "recipe.dpo.lr=1e-6"], ["recipe.dpo.lr"]),
        (["experiment=self_taught_demo", "recipe.selection.tokens=9"], ["recipe.selection.tokens"]),
        (["experiment=demo", "teacher=openai"], ["teacher"]),
    ],
)
def test_a_knob_that_turns_nothing_is_refused(composer: Composer, overrides: list[str], keys: list[str]) -> None:
    found = refused(composer, *overrides)
    assert len(found) == len(keys) and all(key.startswith(name) for key, name in zip(found, keys, strict=True))


@pytest.mark.parametrize(
    "overrides",
    [
        [
            "experiment=demo",
            "trainer.threads=2",
            "logger=wandb",
            "sampler.batch_size=3",
            "name=mine",
            "trainer.devices=2",
        ],
        ["experiment=demo", "bias=none"],
        ["experiment=meta_rewarding_demo", "bias.rho=off", "recipe.meta.collapse.stop=true"],
        ["experiment=self_taught_demo", "loss=dpo", "recipe.dpo.lr=1e-6"],
        ["experiment=demo", "data.sources.maths=null", "benchmark.llmbar=null", "~benchmark.starter.limit"],
        ["recipe=pandalm", "recipe.candidates.plain.temperature=0.1", "prompt@teacher.prompt=pandalm_teacher"],
        ["experiment=demo", "ablation=bias/unbalanced"],
    ],
)
def test_what_is_read_or_changes_no_result_is_not(composer: Composer, overrides: list[str]) -> None:
    given = [override for override in overrides if not override.startswith("~")]
    assert refused(composer, *given) == {}


def test_a_grid_over_such_a_knob_is_refused_and_says_where_it_turns_something(composer: Composer) -> None:
    found = refused(composer, "experiment=demo", "bias.rho=0,0.2", grid=True)
    assert found == {"bias.rho": "Recipes that read it: meta_rewarding, self_rewarding"}


def test_recipes_that_read_no_value_of_a_chosen_group_are_not_proposed(composer: Composer) -> None:
    found = refused(composer, "experiment=pandalm_demo", "loss=ipo")  # judgelm reads loss.name alone
    assert found == {"loss": "Recipes that read it: evalplanner, meta_rewarding, self_rewarding, self_taught"}


def test_the_commands_refuse_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for command in (["check"], ["run", "-m"]):
        assert main([*command, "experiment=demo", "bias.rho=0.3", f"store={tmp_path}"]) == 2
        assert "bias.rho (override bias.rho=0.3): recipe evalplanner" in capsys.readouterr().err


def test_a_budget_for_thoughts_is_in_what_a_run_would_cost(composer: Composer) -> None:
    """Also where a teacher is asked."""
    for experiment, asking in (("demo", "chains/d1"), ("pandalm_demo", "teacher_judgments")):
        plain, thinking = (
            {stage.name: stage for stage in plan(composer.job([f"experiment={experiment}", *more]).config)}  # type: ignore[arg-type]
            for more in ([], ["sampler.thinking_tokens=100"])
        )
        assert plain[asking].generations == thinking[asking].generations > 0
        assert thinking[asking].tokens - plain[asking].tokens == 100 * plain[asking].generations
        assert plain["splits"].tokens == thinking["splits"].tokens == 0


def test_off_wins_over_the_schedule(composer: Composer) -> None:
    def pairs(*overrides: str) -> dict[str, str]:
        config = composer.job(["experiment=meta_rewarding_demo", *overrides]).config
        assert isinstance(config, RunConfig)
        return {stage.name: stage.digest for stage in plan(config)}

    scheduled, off = pairs(), pairs("bias.rho=off")
    unscheduled = pairs("recipe.schedule.m1.rho=null", "recipe.schedule.m2.rho=null")
    assert off == unscheduled and off["actor_pairs/m1"] != scheduled["actor_pairs/m1"]


def test_no_bias_control_is_all_of_them_off(composer: Composer) -> None:
    bias = composer.job(["bias=none", "recipe=meta_rewarding"]).config.bias  # type: ignore[union-attr]
    assert vars(bias) == {
        "both_orders": False, "drop_conflicting": False, "balance_labels": False,
        "max_response_chars": "off", "max_judgment_chars": "off", "rho": "off",
        "strip_thoughts": False,
    }  # fmt: skip


@pytest.mark.parametrize("value", ["on", "1.5", "[0.1]"])
def test_a_control_takes_its_values_or_off(composer: Composer, value: str) -> None:
    with pytest.raises(ConfigError, match=r"bias\.rho"):
        composer.job(["recipe=meta_rewarding", f"bias.rho={value}"])


def test_who_reads_a_field(composer: Composer) -> None:
    config = composer.job(["experiment=demo"]).config
    assert isinstance(config, RunConfig)
    assert readers(config, "recipe.plans") == ["chains/d1", "chains/d2"]
    assert readers(config, "recipe.rounds") == ["the recipe"]
    assert readers(config, "bias.rho") == []


def test_check_for_programs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["check", "experiment=demo", "--json", f"store={tmp_path}"]) == 0
    told = json.loads(capsys.readouterr().out)
    stages = {stage["name"]: stage for stage in told["stages"]}
    assert told["mistakes"] == [] and len(stages) == len(told["stages"]) > 15
    chains = stages["chains/d1"]
    assert set(chains) == {"name", "digest", "stored", "generations", "tokens", "reads"}
    assert {"recipe.plans", "recipe.executions", "sampler.temperature", "seed"} <= set(chains["reads"])
    assert "loss.beta" not in chains["reads"] and chains["stored"] is False and chains["generations"] > 0
    with pytest.raises(SystemExit) as stop:
        main(["check", "experiment=demo", "--json", "recipe.plan=3"])
    assert stop.value.code == 2
    told = json.loads(capsys.readouterr().out)
    assert told["stages"] == [] and told["mistakes"][0]["key"] == "recipe.plan"
    assert "recipe.plans" in told["mistakes"][0]["hint"]
