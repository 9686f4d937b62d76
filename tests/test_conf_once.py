"""The configuration is written once: defaults in the dataclasses, in YAML what differs from them."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.types import RunMode
from omegaconf import OmegaConf

from judgekit.app import register_resolvers
from judgekit.cli import main
from judgekit.errors import ConfigError
from judgekit.planning import plan
from judgekit.registry import sections_of
from judgekit.schema.composition import Composer, conf_dir
from judgekit.schema.config import RunConfig
from judgekit.schema.evaluation import EvalConfig
from judgekit.schema.fields import allowed
from judgekit.schema.keys import keys_of
from judgekit.schema.nodes import kinds, section
from judgekit.schema.validation import build

CONF = conf_dir()
FILES = sorted(CONF.rglob("*.yaml"))
HINTS = typing.get_type_hints(RunConfig)
FAMILIES = {name: sorted(found) for name in HINTS if (found := sections_of(HINTS[name])) is not None}
"""Sections that are one of several dataclasses, with the names of these."""

NEEDED = {
    "ablation": "an ablation is laid over any configuration, so it also says what is the default of most",
}
"""Groups whose values may equal the defaults, and why."""


@pytest.fixture(scope="module")
def composers() -> dict[str, Composer]:
    register_resolvers()
    return {"config": Composer(), "eval": Composer(name="eval", kind=EvalConfig)}


@pytest.fixture(scope="module")
def composer(composers: dict[str, Composer]) -> Composer:
    return composers["config"]


def names(file: Path) -> str:
    return str(file.relative_to(CONF))


def values_of(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of a container."""
    if isinstance(node, dict) and node:
        for name, value in node.items():
            yield from values_of(value, f"{path}.{name}" if path else str(name))
    else:
        yield path, node


def merged_before(composer: Composer, file: Path, overrides: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is configured already when Hydra comes to a file, and what the file adds."""
    path, loader = str(file.relative_to(CONF).with_suffix("")), composer.loader
    before = OmegaConf.create()
    for default in loader.compute_defaults_list(composer.name, overrides, RunMode.RUN).defaults:
        content = loader._load_single_config(default, loader.repository).config
        if default.config_path == path:
            return OmegaConf.to_container(before), OmegaConf.to_container(content)  # type: ignore[return-value]
        before.merge_with(content)
    raise AssertionError(f"{path} is not composed by {overrides}")


def choosing(file: Path) -> tuple[str, list[str]]:
    """The primary file and the overrides that compose a file."""
    group, *rest = file.relative_to(CONF).with_suffix("").parts
    if not rest:
        return (group if group == "eval" else "config"), []
    if group == "hydra":
        return "config", [f"hydra/{rest[0]}={rest[1]}"]
    return ("eval" if group == "judge" else "config"), [f"{group}={'/'.join(rest)}"]


@pytest.mark.parametrize("file", FILES, ids=names)
def test_no_value_says_what_is_so_already(file: Path, composers: dict[str, Composer]) -> None:
    group = file.relative_to(CONF).parts[0]
    if group in NEEDED:
        return
    name, overrides = choosing(file)
    composer = composers[name]
    before, content = merged_before(composer, file, overrides)
    known = dict(values_of(before))
    same = {key for key, value in values_of(content) if key in known and known[key] == value}
    if group == "experiment":
        # Whatever else is chosen beside it, an experiment sets what it says; only defaults go without saying.
        config, _ = composer.values(overrides)
        same &= {key for key, found in keys_of(config).items() if _plain(found.default) == known.get(key, ...)}
    assert same == set(), "leave these lines out: the dataclass or an earlier file says the same"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def test_a_redundant_line_is_found(tmp_path: Path) -> None:
    """The test above would see one."""
    for folder in ("loss", "experiment"):
        (tmp_path / folder).mkdir()
    (tmp_path / "loss" / "mine.yaml").write_text(
        "# Mine.\ndefaults: [/DpoLoss@_here_, _self_]\nbeta: 0.1\nnll_weight: 1.0\n"
    )
    composer = Composer(extra=tmp_path)
    before, content = merged_before(composer, CONF / "loss" / "mine.yaml", ["loss=mine"])
    known = dict(values_of(before))
    assert {key for key, value in values_of(content) if known[key] == value} == {"loss.beta"}


@pytest.mark.parametrize("file", FILES, ids=names)
def test_every_file_says_what_it_is(file: Path) -> None:
    first, second = [*file.read_text(encoding="utf-8").splitlines(), ""][:2]
    heading = second if first.startswith("# @package") else first
    assert re.match(r"# \S+.*", heading)


@pytest.mark.parametrize("file", FILES, ids=names)
def test_no_comment_repeats_the_documentation_of_a_field(file: Path) -> None:
    docs = {_words(allowed(field).doc) for kind in kinds() for field in dataclasses.fields(kind)} - {""}
    comments = [line.strip()[1:] for line in file.read_text(encoding="utf-8").splitlines() if line.strip()[:1] == "#"]
    assert [comment for comment in comments if _words(comment) in docs] == []


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def test_nodes_hold_the_defaults() -> None:
    for kind in kinds():
        built, problems = build(kind, yaml.safe_load(OmegaConf.to_yaml(OmegaConf.create(section(kind())))))
        assert built == kind() and problems == []


@pytest.mark.parametrize(("group", "name"), [(group, name) for group, found in FAMILIES.items() for name in found])
def test_every_dataclass_of_a_family_is_a_choice_of_its_name(group: str, name: str, composer: Composer) -> None:
    """``judgekit explain`` names choices so, and variants extend them."""
    assert composer.compose([f"{group}={name}"])[group].name == name


# What is not written out can be overridden all the same.


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["recipe.plans=3"], "recipe.plans"),
        (["trainer.threads=3"], "trainer.threads"),
        (["data.sources.maths.split=3"], "data.sources.maths.split"),
        (["benchmark.llmbar.limit=3"], "benchmark.llmbar.limit"),
        (["recipe=pandalm", "recipe.candidates.plain.top_p=3"], "recipe.candidates.plain.top_p"),
        (["recipe=self_rewarding", "recipe.schedule.m3.rho=3"], "recipe.schedule.m3.rho"),
        (["teacher=openai", "teacher.sampler.retries=3"], "teacher.sampler.retries"),
        (["model@teacher.model=qwen3_4b", "teacher.model.max_length=3"], "teacher.model.max_length"),
        (
            ["recipe=pandalm", "model@recipe.candidates.plain.model=qwen3_4b",
             "recipe.candidates.plain.model.max_length=3"], "recipe.candidates.plain.model.max_length",
        ),
        (["+data.sources.mine.kind=maths", "data.sources.mine.count=3"], "data.sources.mine.count"),
        (["+benchmark.mine={path: x}", "benchmark.mine.limit=3"], "benchmark.mine.limit"),
        (["experiment=adding", "data.sources.mine.count=3"], "data.sources.mine.count"),
        (["experiment=adding", "recipe.candidates.mine.temperature=3"], "recipe.candidates.mine.temperature"),
        (["experiment=adding", "recipe.candidates.mine.model.max_length=3"], "recipe.candidates.mine.model.max_length"),
        (["experiment=adding", "benchmark.mine.limit=3"], "benchmark.mine.limit"),
    ],
)  # fmt: skip
def test_what_is_not_written_out_can_be_overridden(overrides: list[str], key: str, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "adding.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /recipe: pandalm\n"
        "data: {sources: {mine: {kind: maths}}}\nbenchmark: {mine: {kind: pairs}}\n"
        "recipe: {candidates: {mine: {model: {name: x, path: /}}}}\n"
    )
    composer = Composer(extra=tmp_path)
    composer.check_overrides(overrides)
    assert OmegaConf.select(composer.compose(overrides), key) == 3


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("benchmark.lmbar.limit=3", "unknown key. Did you mean 'benchmark.llmbar'?"),
        ("benchmark.llmbar.limt=3", "unknown key. Did you mean 'benchmark.llmbar.limit'?"),
        ("data.sources.maths.cuont=3", "unknown key. Did you mean 'data.sources.maths.count'?"),
        ("+data.sources.maths.cuont=3", "unknown key. Did you mean 'data.sources.maths.count'?"),
        ("teacher.modle.dtype=x", "unknown key. Did you mean 'teacher.model'?"),
    ],
)
def test_but_not_what_there_is_not(override: str, said: str, composer: Composer) -> None:
    with pytest.raises(ConfigError) as error:
        composer.job([override])
    (problem,) = error.value.problems
    assert str(problem).endswith(said)


def test_hydra_shows_the_defaults_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--cfg", "job", "recipe=judgelm", "benchmark.llmbar.limit=7"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert (
        shown["recipe"]["swap_rate"] == 0.5
        and shown["benchmark"]["llmbar"] | {"limit": 7, "split": "test"} == (shown["benchmark"]["llmbar"])
    )
    assert main(["run", "--cfg", "job", "benchmark.lmbar.limit=7"]) == 2
    assert "Did you mean 'benchmark.llmbar'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("recipe.swap", {"recipe.swap_rate=", "recipe.swap_ordinals="}),
        ("benchmark.llmbar.li", {"benchmark.llmbar.limit="}),
        ("data.sources.maths.sp", {"data.sources.maths.split="}),
        ("recipe=self_t", {"recipe=self_taught"}),
        ("loss=dpo_", {"loss=dpo_nll", "loss=dpo_norm"}),
    ],
)
def test_completion_offers_what_is_not_written_out(
    typed: str, offered: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = f"judgekit run recipe=judgelm {typed}"
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    assert main(["-sc", "query=bash"]) == 0
    assert set(capsys.readouterr().out.split()) == offered


# A recipe brings its own protocol.


@pytest.mark.parametrize("name", FAMILIES["recipe"])
def test_a_recipe_alone_is_a_valid_run(name: str, composer: Composer, tmp_path: Path) -> None:
    config = composer.job([f"recipe={name}", f"store={tmp_path}"]).config
    assert isinstance(config, RunConfig)
    assert config.recipe.name == name
    assert plan(config)


@pytest.mark.parametrize(
    ("overrides", "recipe", "prompt"),
    [
        ([], "evalplanner", "evalplanner"),
        (["recipe=pandalm"], "pandalm", "pandalm"),
        (["recipe=pandalm", "prompt=pairwise"], "pandalm", "pairwise"),
        (["prompt=pairwise", "recipe=pandalm"], "pandalm", "pairwise"),
        (["experiment=recipe_alone"], "pandalm", "pandalm"),
        (["experiment=both"], "pandalm", "rating"),
        (["experiment=on_both"], "pandalm", "rating"),
        (["experiment=both", "prompt=pairwise"], "pandalm", "pairwise"),
        (["experiment=recipe_alone", "recipe=judgelm"], "judgelm", "judgelm"),
        (["recipe=mine"], "judgelm", "judgelm"),
        (["experiment=demo"], "evalplanner", "evalplanner"),
    ],
)
def test_a_protocol_that_is_named_wins(overrides: list[str], recipe: str, prompt: str, tmp_path: Path) -> None:
    for folder in ("experiment", "recipe"):
        (tmp_path / folder).mkdir()
    head = "# @package _global_\ndefaults:\n"
    (tmp_path / "experiment" / "recipe_alone.yaml").write_text(f"{head}  - override /recipe: pandalm\n")
    both = "  - override /prompt: rating\n  - override /recipe: pandalm\n"
    (tmp_path / "experiment" / "both.yaml").write_text(f"{head}{both}")
    (tmp_path / "experiment" / "on_both.yaml").write_text(f"{head}  - both\n  - _self_\n")
    (tmp_path / "recipe" / "mine.yaml").write_text("defaults: [judgelm]\nswap_rate: 0.1\n")
    cfg = Composer(extra=tmp_path).compose(overrides)
    assert (cfg.recipe.name, cfg.prompt.name) == (recipe, prompt)


def test_a_protocol_that_is_named_stays_checked(composer: Composer) -> None:
    with pytest.raises(ConfigError, match="Use prompt=judgelm"):
        composer.job(["recipe=judgelm", "prompt=pairwise"])


def test_a_grid_over_recipes_has_a_protocol_each(composer: Composer) -> None:
    jobs = composer.grid([f"recipe={','.join(FAMILIES['recipe'])}"])
    assert {job.config.recipe.name: job.config.prompt.name for job in jobs if isinstance(job.config, RunConfig)} == {
        name: {"self_rewarding": "additive", "meta_rewarding": "additive"}.get(name, name)
        for name in FAMILIES["recipe"]
    }
