"""All mistakes of all overrides at once, with their nearest valid names and their origin."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from judgekit.errors import ConfigError
from judgekit.evaluation.benchmarks import has_source
from judgekit.schema.composition import Composer, thin


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer()


def mistakes(composer: Composer, overrides: list[str], multirun: bool = False) -> list[str]:
    """The problems as a user reads them."""
    with pytest.raises(ConfigError) as error:
        (composer.grid if multirun else composer.job)(overrides)
    return [str(problem) for problem in error.value.problems]


def test_overrides_reach_the_dataclasses(composer: Composer) -> None:
    config = composer.job(["experiment=demo", "recipe.plans=3", "loss.beta=1e-1", "model=qwen3_4b", "name=x"]).config
    assert (config.recipe.plans, config.loss.beta, config.model.name, config.name) == (3, 0.1, "qwen3_4b", "x")


def test_arguments_of_a_template_need_no_plus(composer: Composer) -> None:
    overrides = ["experiment=demo", "model.template.enable_thinking=false", "+model.template.reasoning_effort=low"]
    assert composer.job(overrides).config.model.template == {"enable_thinking": False, "reasoning_effort": "low"}
    (found,) = mistakes(composer, ["model.template.enable_thinking=[1]"])
    assert found.startswith("model.template.enable_thinking (override model.template.enable_thinking=[1]): [1] is not")


def test_all_kinds_of_mistakes_are_told_at_once(composer: Composer, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    found = mistakes(
        composer,
        [
            "recipe.plan=3",
            "nme=x",
            "modle=x",
            "model=qwen3_06b",
            "experiment=paper/evalplaner",
            "foo=[1",
            "bar",
            "trainer.threads=1,2",
            "recipe.sft.betas.2=1",
            "recipe.plans.x=1",
            "recipe.executions=abc",
            "sampler.temperature=7",
            "sampler.verdict=constraind",
            f"benchmark.llmbar.path={missing}",
            "+extra=1",
            "data.held_out=500",
            "data.validation=0",
        ],
    )
    assert found == [
        "foo=[1: cannot be read as KEY=VALUE. Quote a value with special characters: foo=\"'[1'\"",
        "bar: not an override. Write KEY=VALUE",
        "recipe.plan (override recipe.plan=3): unknown key. Did you mean 'recipe.plans'?",
        "nme (override nme=x): unknown key. Did you mean 'name'?",
        "modle (override modle=x): unknown key. Did you mean 'model'?",
        "model (override model=qwen3_06b): 'qwen3_06b' is not one of its choices. Did you mean 'qwen3_0_6b'?",
        "experiment (override experiment=paper/evalplaner): 'paper/evalplaner' is not one of its choices. "
        "Did you mean 'paper/evalplanner'?",
        "trainer.threads (override trainer.threads=1,2): several values. Add -m to run a grid, "
        "or quote one value: trainer.threads=\"'…'\", or a list: trainer.threads=[…]",
        "recipe.sft.betas.2 (override recipe.sft.betas.2=1): a list of 2 values has no item '2'",
        "recipe.plans.x (override recipe.plans.x=1): 'recipe.plans' is a single value without keys",
        "recipe.executions (override recipe.executions=abc): 'abc' is not a whole number",
        "sampler.temperature (override sampler.temperature=7): 7.0 is out of range; allowed: at least 0 and at most 2",
        "sampler.verdict (override sampler.verdict=constraind): 'constraind' is not one of free, constrained. "
        "Did you mean 'constrained'?",
        f"benchmark.llmbar.path (override benchmark.llmbar.path={missing}): nothing is at '{missing}'",
        "extra (override +extra=1): unknown key. Valid: benchmark, bias, data, logger, loss, model, name, "
        "prompt, recipe, sampler, seed, store, teacher, trainer",
        "data: first_round + second_round + validation + held_out + recipe.warm_start.examples "
        "= 64 + 64 + 0 + 500 + 0 = 628, "
        "but the sources give 256 instructions. Ask for fewer, or raise data.sources.NAME.count",
        "recipe.validate: choosing checkpoints needs a validation split, and "
        "data.validation is 0. Use recipe.validate=false or raise data.validation",
    ]


def test_a_value_that_hydra_refuses_does_not_hide_the_others(composer: Composer) -> None:
    found = mistakes(composer, ["+recipe=evalplanner", "+experiment=demo", "hydra/launcher=slrum", "recipe.plans=0"])
    assert found == [
        "recipe (override +recipe=evalplanner): is chosen already. Leave out the +: recipe=…",
        "hydra/launcher (override hydra/launcher=slrum): 'slrum' is not one of its choices. Did you mean 'slurm'?",
        "configuration: Multiple values for experiment. To override a value use 'override experiment: demo'",
        "recipe.plans (override recipe.plans=0): 0 is out of range; allowed: at least 1",
    ]


def test_a_mistake_in_a_file_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    file = tmp_path / "experiment" / "mine.yaml"
    file.write_text("# @package _global_\nloss:\n  beta: -1\nrecipe:\n  plnas: 3\n")
    found = mistakes(Composer(extra=tmp_path), ["experiment=mine", "seed=1"])
    assert found == [
        f"recipe.plnas ({file}): unknown key. Did you mean 'recipe.plans'?",
        f"loss.beta ({file}): -1.0 is out of range; allowed: more than 0",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"seed: 1\nseed: 2\n", "found duplicate key seed"),
        (b"seed: [1\n", "expected ',' or ']'"),
        (b"name: \xff\n", "codec can't decode byte 0xff"),
        (b"- 1\n", "mine"),
        (b"defaults:\n  - override /model: nope\n", "model/nope"),
        (b"seed: ${nope}\n", "Interpolation key 'nope' not found"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_mistake_too(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_bytes(b"# @package _global_\n" + content)
    (found,) = mistakes(Composer(extra=tmp_path), ["experiment=mine"])
    assert said in found
    assert "\n" not in found


def test_a_grid_is_expanded_and_every_point_validated(composer: Composer) -> None:
    jobs = composer.grid(["experiment=demo", "recipe.plans=1,2", "seed=range(0,3)"])
    assert sorted((job.config.recipe.plans, job.config.seed) for job in jobs) == [
        (plans, seed) for plans in (1, 2) for seed in (0, 1, 2)
    ]
    found = mistakes(composer, ["recipe.plans=1,0", "loss=dpo,dop", "seed=a,b"], multirun=True)
    assert found == [
        "loss (override loss=dpo,dop): 'dop' is not one of its choices. Did you mean 'dpo'?",
        "seed (override seed=a): 'a' is not a whole number",
        "seed (override seed=b): 'b' is not a whole number",
        "recipe.plans (override recipe.plans=0): 0 is out of range; allowed: at least 1",
    ]


@pytest.mark.parametrize(
    "point",
    [
        ["experiment=demo", "recipe.plans=3", "seed=7", "loss=ipo", "loss.beta=0.2"],
        ["loss.beta=0.3", "experiment=demo", "seed=${recipe.plans}", "recipe.plans=2"],
        ["experiment=demo", "+benchmark.own.kind=pairs", "benchmark.own.kind=llmbar", "~benchmark.llmbar"],
        ["recipe=pandalm", "model.path='a b'", "data.sources={}", "hydra.job.chdir=false"],
    ],
)
def test_points_that_share_their_files_are_as_hydra_composes_them(composer: Composer, point: list[str]) -> None:
    for seed in ("", "seed=11", "seed=12"):
        lines = [*point, seed] if seed else point
        hydras = OmegaConf.to_container(composer.compose(lines))
        ours = OmegaConf.to_container(composer._compose_point(lines))
        assert isinstance(hydras, dict) and isinstance(ours, dict)
        assert {name: ours[name] for name in hydras if name != "hydra"} == (
            {name: hydras[name] for name in hydras if name != "hydra"}
        )


def test_sweeps_written_in_a_config_are_validated(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "grid.yaml").write_text(
        "# @package _global_\nhydra:\n  sweeper:\n    params:\n      recipe.plans: 1,x\n"
    )
    found = mistakes(Composer(extra=tmp_path), ["experiment=grid"], multirun=True)
    assert found == ["recipe.plans (override recipe.plans=x): 'x' is not a whole number"]


def test_a_large_grid_is_thinned_to_points_that_show_every_value() -> None:
    points = [[f"a={a}", f"b={b}"] for a in range(20) for b in range(20)]
    kept = thin(points, 64)
    assert len(kept) == 64
    assert {value for point in kept for value in point} == {value for point in points for value in point}
    assert all(point in points for point in kept)


def test_settings_of_a_benchmark_that_was_not_chosen_do_not_make_one() -> None:
    job = Composer().job(["experiment=demo", "benchmark=[starter]"])
    assert {name for name, benchmark in job.config.benchmark.items() if has_source(benchmark)} == {"starter"}
