"""Every file under ``conf/`` composes, validates and says only what differs."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra_plugins.judgekit_launchers.launchers import settings
from omegaconf import OmegaConf

from judgekit.app import folder_name
from judgekit.errors import ConfigError
from judgekit.evaluation.benchmarks.base import BENCHMARKS, BenchmarkConfig
from judgekit.prompts.base import PROMPTS
from judgekit.recipes.base import RECIPES
from judgekit.samplers.base import SAMPLERS
from judgekit.schema.composition import Composer, conf_dir
from judgekit.schema.config import RunConfig
from judgekit.schema.data import SourceConfig
from judgekit.schema.evaluation import EvalConfig
from judgekit.schema.judges import JudgeConfig
from judgekit.schema.launchers import LAUNCHERS
from judgekit.schema.models import ModelConfig

CONF = conf_dir()
FILES = sorted(CONF.rglob("*.yaml"))
OVERLAYS = {"experiment", "ablation"}
"""Groups of files that set values of any other group."""

NEEDS_FILES = {
    "data=wildchat_math": ("wildchat", "math"),
    "data=wildchat": ("wildchat",),
    "experiment=paper/evalplanner": ("wildchat", "math"),
    "experiment=paper/self_taught": ("wildchat",),
    "data=queries": ("queries",),
    "experiment=paper/critiquellm": ("queries",),
    "data=alpaca": ("alpaca",),
    "experiment=paper/pandalm": ("alpaca",),
    "data=oasst": ("oasst",),
    "experiment=paper/self_rewarding": ("oasst",),
    "experiment=paper/meta_rewarding": ("oasst",),
    "experiment=paper/meta_rewarding_baseline": ("oasst",),
}
"""Choices that only compose when the user says where their sources lie."""

NEEDS_CHOICES = {
    "data=wildchat_math": ["benchmark=[llmbar]"],
    "data=wildchat": ["benchmark=[llmbar]", "recipe=self_taught"],
    "prompt=judgelm": ["recipe=judgelm"],
    "prompt=judgelm_brief": ["recipe=judgelm"],
    "prompt=judgelm_plain": ["recipe=judgelm"],
    "prompt=judgelm_released": ["recipe=judgelm"],
    "experiment=paper/judgelm": ["model.revision=0123456", f"recipe.reviews='{__file__}'"],
    "prompt=critiquellm": ["recipe=critiquellm"],
    "prompt=critiquellm_brief": ["recipe=critiquellm"],
    "prompt=critiquellm_plain": ["recipe=critiquellm"],
    "data=oasst": ["benchmark=[llmbar]", "recipe=self_rewarding", "prompt=additive"],
    "prompt=additive": ["recipe=self_rewarding"],
    "prompt=additive_brief": ["recipe=self_rewarding"],
    "prompt=self_taught": ["recipe=self_taught"],
    "prompt=self_taught_brief": ["recipe=self_taught"],
    "prompt=pandalm": ["recipe=pandalm"],
    "prompt=pandalm_plain": ["recipe=pandalm"],
    "model=llama_7b": ["sampler.execution_tokens=512", "sampler.judge_tokens=512"],
    "data=queries": [
        "recipe=critiquellm",
        "prompt=critiquellm_plain",
        "benchmark=[alignbench]",
        "+recipe.candidates={hot: {temperature: 1.0}, cool: {temperature: 0.5}}",
    ],
    "data=alpaca": ["recipe=pandalm", "prompt=pandalm", "benchmark=[llmbar]"],
    "experiment=paper/pandalm": [
        f"recipe.candidates.{name}.model.revision={'0' * 40}"
        for name in ("bloom_7b", "cerebras_gpt_6_7b", "opt_6_7b", "pythia_6_9b")
    ],
}
"""Choices that do not go with the others' defaults, and what goes with them."""

OF_EVALUATIONS = {
    "prompt=autoj", "prompt=autoj_released", "prompt=autoj_single", "prompt=critiquellm_point",
    "prompt=critiquellm_point_plain",
    "prompt=judgelm_single", "prompt=pairwise", "prompt=pandalm_teacher", "prompt=pandalm_teacher_brief",
    "prompt=rating",
}  # fmt: skip
"""Protocols without plans, for any judge or for teachers; the default recipe's judges plan."""


def choices() -> list[str]:
    """Every group choice as an override; those of the multi-select group as a list."""
    found = []
    for file in FILES:
        group, *rest = file.relative_to(CONF).with_suffix("").parts
        if group == "hydra":
            found.append(f"hydra/{rest[0]}={rest[1]}")
        elif rest:
            name = "/".join(rest)
            found.append(f"benchmark=[{name}]" if group == "benchmark" else f"{group}={name}")
    return [choice for choice in found if not choice.startswith("judge=") and choice not in OF_EVALUATIONS]


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer()


@pytest.fixture(scope="module")
def data_paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Paths of the sources that are not shipped, as overrides by source."""
    folder = tmp_path_factory.mktemp("data")
    file, trees = folder / "wildchat.jsonl", folder / "trees.jsonl"
    file.touch()
    trees.write_text('{"prompt": {"lang": "de"}}\n{"prompt": {"lang": "en"}}\n')
    paths = {"wildchat": file, "math": folder, "alpaca": file, "queries": file, "oasst": trees}
    return {name: f"data.sources.{name}.path={path}" for name, path in paths.items()}


def test_the_groups_are_those_of_the_schema() -> None:
    folders = {path.name for path in CONF.iterdir() if path.is_dir()} - OVERLAYS - {"hydra"}
    fields = {field.name for kind in (RunConfig, EvalConfig) for field in dataclasses.fields(kind)}
    values = {"name", "seed", "store", "benchmarks", "limit", "samples", "merge", "invalid_as", "resamples"}
    assert folders == fields - values


@pytest.fixture(scope="module")
def eval_composer() -> Composer:
    return Composer(name="eval", kind=EvalConfig)


@pytest.mark.parametrize("file", sorted((CONF / "judge").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_judge_composes_and_its_fields_can_be_overridden(file: Path, eval_composer: Composer) -> None:
    container = OmegaConf.to_container(eval_composer.compose([f"judge={file.stem}", "model@judge.model=smollm2_135m"]))
    assert isinstance(container, dict)
    del container["hydra"]
    wanted = leaves(EvalConfig(judge=JudgeConfig(model=ModelConfig())))
    assert wanted - {"prompt", "benchmark", "judge.prompt"} <= leaves(container)


@pytest.mark.parametrize("prompt", sorted((CONF / "prompt").glob("*.yaml")), ids=lambda file: file.stem)
def test_an_evaluation_composes_with_every_protocol(prompt: Path, eval_composer: Composer, tmp_path: Path) -> None:
    path = f"benchmark.llmbar.path={tmp_path}"
    overrides = ["model@judge.model=qwen3_4b", "benchmark=llmbar", path, f"prompt={prompt.stem}"]
    config = eval_composer.job(overrides).config
    assert isinstance(config, EvalConfig) and config.prompt is not None
    assert config.judge.model is not None and config.judge.model.name == "qwen3_4b"


@pytest.mark.parametrize("choice", [choice for choice in choices() if choice != "sampler=openai"])
def test_every_file_composes_and_validates(choice: str, composer: Composer, data_paths: dict[str, str]) -> None:
    extra = [*(data_paths[name] for name in NEEDS_FILES.get(choice, ())), *NEEDS_CHOICES.get(choice, [])]
    config = composer.job([choice, *extra]).config
    assert isinstance(config, RunConfig)


PUBLISHED = {
    "evalplanner": {
        "data.first_round": 5000, "data.second_round": None, "data.validation": 300,
        "data.sources.wildchat.count": None, "data.sources.math.count": None,
        "data.per_source.wildchat.first_round": 2500, "data.per_source.math.first_round": 2500,
        "data.per_source.wildchat.validation": 150, "data.per_source.math.validation": 150,
        "recipe.plans": 5, "recipe.executions": 4, "sampler.temperature": 0.8, "sampler.top_p": 0.95,
        "recipe.first_execution": "prompt", "recipe.second_plans": "chain", "recipe.rounds": 2,
        # Table 10; the loss and batches of DPO are the released Self-Taught Evaluator's
        "recipe.sft.lr": 1e-6, "recipe.sft.warmup_steps": 100, "recipe.dpo.lr": 5.5e-8, "recipe.dpo.warmup_steps": 0,
        "recipe.sft.epochs": 2, "recipe.dpo.epochs": 2, "recipe.sft.weight_decay": 0.1, "recipe.dpo.weight_decay": 0.1,
        "recipe.sft.max_steps": 1000, "recipe.dpo.max_steps": 1000, "recipe.sft.checkpoint_every": 100,
        "recipe.dpo.checkpoint_every": 100, "trainer.max_tokens": 8192, "sampler.judge_tokens": 2048,
        "recipe.validate": True, "recipe.dpo.batch_size": 32, "loss.beta": 0.1, "loss.nll_weight": 1.5,
    },
    "self_taught": {
        "data.first_round": None, "data.sources.wildchat.count": None, "model.name": "llama3_70b",
        "recipe.iterations": 5, "recipe.judgments": 15, "sampler.temperature": 0.7, "sampler.top_p": 0.9,
        "sampler.judge_tokens": 4096, "bias.balance_labels": True, "recipe.votes": 32,
        "recipe.sft.lr": 1e-6, "recipe.sft.final_lr_ratio": 0.2, "recipe.sft.warmup_steps": 100,
        "recipe.sft.epochs": 2, "recipe.sft.weight_decay": 0.1, "recipe.sft.clip_norm": None,
        "recipe.dpo.lr": 5.5e-8, "recipe.dpo.final_lr_ratio": 0.1, "recipe.dpo.warmup_steps": 0,
        "recipe.dpo.epochs": 5, "recipe.dpo.max_steps": 3000, "recipe.dpo.batch_size": 32,
        "recipe.dpo.clip_norm": 1.0, "recipe.dpo.checkpoint_every": 100, "recipe.num_pairs": 1,
        "trainer.max_tokens": 8192,
    },
    "pandalm": {
        "data.first_round": None, "recipe.pairs_per_instruction": None, "bias.drop_conflicting": True,
        "teacher.sampler.served_model": "gpt-3.5-turbo", "recipe.tuning.optim.epochs": 3,
        "recipe.tuning.optim.lr": 2e-5, "recipe.tuning.optim.batch_size": 128, "recipe.sft.epochs": 2,
        "recipe.sft.lr": 2e-5, "recipe.sft.batch_size": 128, "recipe.sft.weight_decay": 0.0,
        "trainer.max_tokens": 1024, "sampler.judge_tokens": 512, "model.name": "llama_7b",
        "recipe.tuning.enabled": True, "recipe.tuning.examples": 52002, "recipe.candidates.llama_7b.tuned": True,
        "recipe.candidates.bloom_7b.model.hub_id": "bigscience/bloom-7b1",
        "recipe.candidates.cerebras_gpt_6_7b.model.hub_id": "cerebras/Cerebras-GPT-6.7B",
        "recipe.candidates.opt_6_7b.model.hub_id": "facebook/opt-6.7b",
        "recipe.candidates.pythia_6_9b.model.hub_id": "EleutherAI/pythia-6.9b",
    },
    # Batches of one row on each of four GPUs, accumulated over 32 steps: every row counts the same
    "judgelm": {
        "loss.sft_average": "examples", "recipe.sft.batch_size": 128, "recipe.sft.lr": 2e-5, "recipe.sft.epochs": 3,
        "recipe.sft.warmup_steps": 70, "recipe.sft.final_lr_ratio": 0.0, "recipe.sft.weight_decay": 0.0,
        "recipe.swap_rate": 0.5, "recipe.reference_rate": 0.5, "model.hub_id": "lmsys/vicuna-7b-v1.3",
        "model.max_length": 2048, "recipe.validate": False,
    },
    # Checkpoints are selected among those of ten epochs
    "meta_rewarding": {
        "recipe.validate": True, "data.validation": 253, "recipe.dpo.epochs": 10, "recipe.dpo.lr": 5e-6,
        "data.sources.oasst.language": "en", "recipe.seed_data.ift": False, "data.first_round": None,
        "recipe.prompts.count": 20000, "recipe.prompts.per_iteration": 5000, "recipe.responses": 7,
        "recipe.judgments": 11, "sampler.temperature": 0.8, "sampler.top_p": 0.95, "recipe.dpo.batch_size": 32,
        "recipe.dpo.schedule": "cosine", "loss.beta": 0.1, "recipe.min_valid": 6, "recipe.seed_data.judgments": 4,
        "recipe.schedule.m1.rho": 0.0, "recipe.schedule.m2.rho": 0.32, "recipe.schedule.m3.rho": 0.32,
        "recipe.schedule.m4.rho": 0.4, "recipe.schedule.m1.judge_pairs": True, "recipe.schedule.m2.judge_pairs": True,
        "recipe.schedule.m3.judge_pairs": False, "recipe.schedule.m4.judge_pairs": False,
        "recipe.schedule.m1.max_response_chars": 2500, "recipe.schedule.m1.max_judgment_chars": 1100,
        "recipe.schedule.m2.max_judgment_chars": 1000, "model.name": "llama3_8b",
    },
    "self_rewarding": {
        "recipe.sft.dropout": 0.1, "recipe.dpo.dropout": 0.1, "recipe.validate": True, "data.validation": 253,
        "recipe.seed_data.ift_count": 3200, "recipe.seed_data.eft_count": 1630, "data.sources.oasst.language": "en",
        "recipe.prompts.seed_examples": 6, "recipe.prompts.new_examples": 2, "recipe.prompts.temperature": 0.6,
        "recipe.prompts.top_p": 0.9, "recipe.responses": 4, "recipe.judgments": 3, "sampler.temperature": 0.7,
        "sampler.top_p": 0.9, "recipe.sft.lr": 5.5e-6, "recipe.sft.final_lr_ratio": 0.2, "recipe.sft.batch_size": 16,
        "recipe.dpo.lr": 1e-6, "recipe.dpo.final_lr_ratio": 0.1, "recipe.dpo.batch_size": 16, "loss.beta": 0.1,
        "recipe.sft.checkpoint_every": 200, "recipe.dpo.checkpoint_every": 200,
    },
    "critiquellm": {
        "teacher.sampler.served_model": "gpt-4-1106-preview", "teacher.temperature": 0.0, "prompt.style": "zh",
        "prompt.parser": "release", "recipe.sft.lr": 6e-5, "recipe.sft.epochs": 5, "recipe.sft.batch_size": 64,
        "recipe.sft.weight_decay": 0.1, "recipe.sft.warmup_steps": 280, "trainer.max_tokens": 8192,
        "recipe.votes": 5, "sampler.temperature": 0.9, "sampler.top_p": 0.9, "sampler.judge_tokens": 1024,
        "recipe.pairs_per_instruction": 1, "recipe.cross_validate": True, "recipe.swap": True,
    },
}  # fmt: skip
"""Values of the papers and their releases."""


@pytest.mark.parametrize("recipe", PUBLISHED)
def test_the_papers_set_ups_have_the_papers_values(recipe: str, composer: Composer, data_paths: dict[str, str]) -> None:
    choice = f"experiment=paper/{recipe}"
    extra = [*(data_paths[name] for name in NEEDS_FILES.get(choice, ())), *NEEDS_CHOICES.get(choice, [])]
    config = composer.job([choice, *extra]).config

    def held(key: str) -> Any:
        value: Any = config
        for part in key.split("."):
            value = value[part] if isinstance(value, dict) else getattr(value, part)
        return value

    assert {key: held(key) for key in PUBLISHED[recipe]} == PUBLISHED[recipe]


def test_a_server_cannot_sample_from_judges_that_are_trained(composer: Composer) -> None:
    with pytest.raises(ConfigError) as error:
        composer.job(["sampler=openai"])
    assert [problem.key for problem in error.value.problems] == ["sampler.name"]


def test_trees_in_another_language_are_refused_before_anything_runs(composer: Composer, tmp_path: Path) -> None:
    path = tmp_path / "trees.jsonl"
    path.write_text('{"prompt": {"lang": "de"}}\n' * 3 + '{"prompt": {"lang": "es"}}\n')
    overrides = ["experiment=paper/meta_rewarding", f"data.sources.oasst.path={path}"]
    with pytest.raises(ConfigError, match=r"has no tree in 'en' \(3 in de, 1 in es\)") as error:
        composer.job(overrides)
    assert [problem.key for problem in error.value.problems] == ["data.sources.oasst.language"]
    for language in ("es", "null"):
        assert composer.job([*overrides, f"data.sources.oasst.language={language}"])
    path.write_text('{"prompt": {"text": "Why?"}}\n')
    with pytest.raises(ConfigError, match="line 1, field 'prompt': names no language"):
        composer.job(overrides)
    with pytest.raises(ConfigError, match="rows of a starter source name no language"):
        composer.job(["data.sources.starter.language=en"])


@pytest.mark.parametrize("recipe", ["evalplanner", "meta_rewarding", "pandalm", "self_rewarding", "self_taught"])
def test_a_choice_that_needs_files_says_which(composer: Composer, recipe: str) -> None:
    choice = f"experiment=paper/{recipe}"
    with pytest.raises(ConfigError) as error:
        composer.job([choice])
    missing = [override.partition("=")[0] for override in NEEDS_CHOICES.get(choice, ())]
    files = [f"data.sources.{name}.path" for name in NEEDS_FILES[choice]]
    assert sorted(problem.key for problem in error.value.problems) == sorted([*missing, *files])


def leaves(node: Any, prefix: str = "") -> set[str]:
    """Dotted keys of all values of a container or dataclass."""
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        node = {field.name: getattr(node, field.name) for field in dataclasses.fields(node)}
    if not isinstance(node, dict) or not node:
        return {prefix}
    return {leaf for key, value in node.items() for leaf in leaves(value, f"{prefix}.{key}" if prefix else str(key))}


@pytest.mark.parametrize("choice", [choice for choice in choices() if not choice.startswith("experiment=")])
def test_every_field_can_be_overridden(choice: str, composer: Composer, data_paths: dict[str, str]) -> None:
    """Hydra only changes what it composes, so the defaults have to be there too."""
    cfg = composer.compose([choice, *(data_paths[name] for name in NEEDS_FILES.get(choice, ()))])
    container = OmegaConf.to_container(cfg)
    assert isinstance(container, dict)
    del container["hydra"]
    written = leaves(container)
    sampler, prompt, recipe = (
        family[container[section]["name"]]()
        for section, family in (("sampler", SAMPLERS), ("prompt", PROMPTS), ("recipe", RECIPES))
    )
    wanted = leaves(RunConfig(sampler=sampler, prompt=prompt, recipe=recipe))
    chosen = {
        "data.sources",
        "data.per_source",
        "teacher.sampler",
        "teacher.model",
        "teacher.prompt",
        "recipe.candidates",
    }  # sections once something is
    assert {leaf for leaf in wanted if not leaf.startswith("benchmark")} - chosen <= written
    for source in container["data"]["sources"]:
        assert {f"data.sources.{source}.{field.name}" for field in dataclasses.fields(SourceConfig)} <= written


@pytest.mark.parametrize("name", sorted(LAUNCHERS))
def test_launchers_have_every_field_at_its_default(name: str, composer: Composer) -> None:
    values = OmegaConf.to_container(composer.compose([f"hydra/launcher={name}"]).hydra.launcher)
    assert isinstance(values, dict)
    assert values.pop("_target_").startswith("hydra_plugins.judgekit_launchers.")
    assert settings(name, values) == LAUNCHERS[name]()
    assert set(values) == {field.name for field in dataclasses.fields(LAUNCHERS[name])}


@pytest.mark.parametrize("file", sorted((CONF / "experiment" / "sweep").glob("*.yaml")), ids=lambda file: file.stem)
def test_grids_have_seeds_and_name_choices_that_there_are(file: Path) -> None:
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    params = values["hydra"]["sweeper"]["params"]
    assert params.pop("seed") == "1,2,3" and params
    names = params.get("ablation", "").split(",") if "ablation" in params else []
    assert all((CONF / "ablation" / f"{name}.yaml").is_file() for name in names)
    assert len(names) == len(set(names)) and values["name"] == f"sweep-{file.stem.replace('_', '-')}"


@pytest.mark.parametrize("name", [file.stem for file in sorted((CONF / "benchmark").glob("*.yaml"))])
def test_benchmarks_have_every_field_and_may_lie_anywhere(name: str, composer: Composer) -> None:
    cfg = composer.compose([f"benchmark=[{name}]"])
    values = cfg.benchmark
    assert list(values) == [name]
    assert set(values[name]) == {field.name for field in dataclasses.fields(BenchmarkConfig)}
    assert values[name].path is None and values[name].hub_id is None
    assert name == "starter" or f"benchmark.{name}.path" in cfg.hydra.job.config.override_dirname.exclude_keys


def test_every_kind_of_benchmark_has_a_file(composer: Composer) -> None:
    names = ",".join(file.stem for file in (CONF / "benchmark").glob("*.yaml"))
    kinds = {benchmark.kind for benchmark in composer.compose([f"benchmark=[{names}]"]).benchmark.values()}
    assert kinds == set(BENCHMARKS)


@pytest.mark.parametrize("name", [file.stem for file in sorted((CONF / "model").glob("*.yaml"))])
def test_models_are_pinned_and_named_after_their_file(name: str, composer: Composer) -> None:
    values = composer.compose([f"model={name}"]).model
    assert values.name == name
    assert re.fullmatch(r"[0-9a-f]{40}", values.revision)
    assert values.trust_remote_code is False


def test_each_experiment_names_its_own_run(composer: Composer) -> None:
    """Their folders are named after them alone."""
    experiments = [choice for choice in choices() if choice.startswith("experiment=")]
    names = [composer.compose([choice])["name"] for choice in experiments]
    assert len(set(names)) == len(names)
    assert "run" not in names


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ("", "demo"),
        ("loss.beta=0.2", "demo--loss.beta_0.2"),
        ("loss.beta=0.2,model=qwen3_4b", "demo--loss.beta_0.2--model_qwen3_4b"),
        ("recipe.plans=1,2,seed=3", "demo--recipe.plans_1-2--seed_3-3cf05552"),
        ("model.path=/a/b c", "demo--model.path_-a-b-c-8b0a4518"),
        ("recipe.sft.betas=[0.9,0.95]", "demo--recipe.sft.betas_-0.9-0.95-b610e589"),
    ],
)
def test_folders_are_named_after_the_overrides(overrides: str, expected: str) -> None:
    assert folder_name("demo", overrides) == expected


def test_folder_names_are_short_and_differ_when_the_overrides_do() -> None:
    long = [f"data.sources.maths.path=/{'x' * 200}{index}" for index in range(3)]
    odd = ["a=1/2", "a=1-2", "a=1 2", "a='1/2'", "a=[1,2]", "a=1,2"]
    names = [folder_name("demo", text) for text in long + odd]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 100
    for name in names:
        assert OverridesParser.create().parse_overrides([f"judge=outputs/{name}"])[0].value() == f"outputs/{name}"
