"""Every file under ``conf/`` composes, validates and explains itself."""

from __future__ import annotations

import dataclasses
import re
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra_plugins.judgekit_launchers.launchers import settings
from omegaconf import OmegaConf

from judgekit.app import folder_name
from judgekit.errors import ConfigError
from judgekit.evaluation.benchmarks import PAIRS, SCORED
from judgekit.schema.composition import Composer, conf_dir
from judgekit.schema.config import POINTWISE, SAMPLERS, BenchmarkConfig, RunConfig, SourceConfig
from judgekit.schema.launchers import LAUNCHERS

CONF = conf_dir()
FILES = sorted(CONF.rglob("*.yaml"))
NEEDS_FILES = {"data=wildchat_math", "experiment=paper/evalplanner"}
"""Choices that only compose when the user says where a data set lies."""


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
    return found


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer()


@pytest.fixture(scope="module")
def data_paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("data")
    (folder / "wildchat.jsonl").touch()
    return [f"data.sources.wildchat.path={folder / 'wildchat.jsonl'}", f"data.sources.math.path={folder}"]


def test_the_groups_are_those_of_the_schema() -> None:
    folders = {path.name for path in CONF.iterdir() if path.is_dir()} - {"experiment", "hydra"}
    sections = {field.name for field in dataclasses.fields(RunConfig)} - {"name", "seed", "store"}
    assert folders == sections


@pytest.mark.parametrize("choice", [choice for choice in choices() if choice != "sampler=openai"])
def test_every_file_composes_and_validates(choice: str, composer: Composer, data_paths: list[str]) -> None:
    extra = data_paths if choice in NEEDS_FILES else []
    if choice == "data=wildchat_math":
        extra = [*extra, "benchmark=[llmbar]"]
    config = composer.job([choice, *extra]).config
    assert isinstance(config, RunConfig)


def test_a_server_cannot_sample_from_judges_that_are_trained(composer: Composer) -> None:
    with pytest.raises(ConfigError) as error:
        composer.job(["sampler=openai"])
    assert [problem.key for problem in error.value.problems] == ["sampler.name"]


def test_a_choice_that_needs_files_says_which(composer: Composer) -> None:
    with pytest.raises(ConfigError) as error:
        composer.job(["experiment=paper/evalplanner"])
    assert [problem.key for problem in error.value.problems] == [
        "data.sources.wildchat.path",
        "data.sources.math.path",
    ]


def leaves(node: Any, prefix: str = "") -> set[str]:
    """Dotted keys of all values of a container or dataclass."""
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        node = {field.name: getattr(node, field.name) for field in dataclasses.fields(node)}
    if not isinstance(node, dict) or not node:
        return {prefix}
    return {leaf for key, value in node.items() for leaf in leaves(value, f"{prefix}.{key}" if prefix else str(key))}


@pytest.mark.parametrize("choice", [choice for choice in choices() if not choice.startswith("experiment=")])
def test_every_field_can_be_overridden(choice: str, composer: Composer, data_paths: list[str]) -> None:
    """Hydra only changes what the YAML holds, so each group file writes out all of its fields."""
    cfg = composer.compose([choice, *(data_paths if choice in NEEDS_FILES else [])])
    container = OmegaConf.to_container(cfg)
    assert isinstance(container, dict)
    del container["hydra"]
    written = leaves(container)
    wanted = leaves(RunConfig(sampler=SAMPLERS[container["sampler"]["name"]]()))
    assert {leaf for leaf in wanted if not leaf.startswith("benchmark")} - {"data.sources"} <= written
    for source in container["data"]["sources"]:
        assert {f"data.sources.{source}.{field.name}" for field in dataclasses.fields(SourceConfig)} <= written


@pytest.mark.parametrize("file", sorted((CONF / "hydra" / "launcher").glob("*.yaml")), ids=lambda file: file.stem)
def test_launchers_write_out_every_field(file: Path) -> None:
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert values.pop("_target_").startswith("hydra_plugins.judgekit_launchers.")
    assert settings(file.stem, values) == LAUNCHERS[file.stem]()
    assert set(values) == {field.name for field in dataclasses.fields(LAUNCHERS[file.stem])} - {"name"}


@pytest.mark.parametrize("file", sorted((CONF / "benchmark").glob("*.yaml")), ids=lambda file: file.stem)
def test_benchmarks_write_out_every_field_and_may_lie_anywhere(file: Path) -> None:
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert list(values) == [file.stem]
    assert set(values[file.stem]) == {field.name for field in dataclasses.fields(BenchmarkConfig)}
    assert values[file.stem]["path"] is None and values[file.stem]["hub_id"] is None
    excluded = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))["hydra"]["job"]["config"]
    keys = excluded["override_dirname"]["exclude_keys"]
    assert file.stem == "starter" or f"benchmark.{file.stem}.path" in keys


def test_every_kind_of_benchmark_has_a_file() -> None:
    kinds = {
        values["kind"]
        for file in (CONF / "benchmark").glob("*.yaml")
        for values in yaml.safe_load(file.read_text(encoding="utf-8")).values()
    }
    assert kinds == set(get_args(get_type_hints(BenchmarkConfig)["kind"]))
    assert kinds == {"starter", "pairs", *PAIRS, *SCORED}
    assert set(POINTWISE) == set(SCORED) - set(PAIRS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(CONF)))
def test_a_comment_stands_above_every_field(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    if file.name == "config.yaml":
        lines = lines[: lines.index("hydra:")]
    group_file = file.parent != CONF and "experiment" not in file.parts
    bare = [
        line
        for above, line in pairwise(["", *lines])
        if re.match(r"\s*\w+:", line) and not above.lstrip().startswith("#") and (group_file or not line.endswith(":"))
    ]
    assert bare == []


@pytest.mark.parametrize("file", sorted((CONF / "model").glob("*.yaml")), ids=lambda file: file.stem)
def test_models_are_pinned_and_named_after_their_file(file: Path) -> None:
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert values["name"] == file.stem
    assert re.fullmatch(r"[0-9a-f]{40}", values["revision"])
    assert values["trust_remote_code"] is False


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
