"""Registers, and a package of one's own that adds to them without a change to judgekit."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from judgekit.bias.base import CONTROLS, Control, bias_config, switched_off
from judgekit.cli import main
from judgekit.errors import ConfigError, PluginError
from judgekit.evaluation.benchmarks import load_benchmark
from judgekit.evaluation.benchmarks.base import BENCHMARKS, BenchmarkConfig
from judgekit.losses.base import LOSSES, LossConfig
from judgekit.losses.dpo import DpoLoss
from judgekit.prompts.base import PROMPTS
from judgekit.recipes.base import RECIPES
from judgekit.registry import SECTIONS, Register, plugins
from judgekit.rows import ResponsePair
from judgekit.samplers.base import SAMPLERS
from judgekit.schema import nodes
from judgekit.schema.composition import Composer
from judgekit.schema.config import RunConfig
from judgekit.schema.fields import setting
from judgekit.schema.validation import build
from judgekit.stages.controls import RowControls
from judgekit.store import Workspace
from tests.plugins import SAMPLE, fresh, install, judgekit, planned

CHOSEN = ["prompt=terse", "recipe=self_taught", "loss=hinge", "sampler=canned", "benchmark=riddles"]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder of installed packages; registers forget what they add.

    The dataclass of ``bias`` is made already, so controls of such packages have no field here.
    """
    before = set(sys.modules)
    registers: tuple[Register[Any], ...] = (*SECTIONS.values(), BENCHMARKS, CONTROLS)
    for register in registers:
        len(register)
        monkeypatch.setattr(register, "_things", dict(register._things))
        monkeypatch.setattr(register, "_full", False)
        monkeypatch.setattr(register, "_closed", False)
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(SAMPLE)
    monkeypatch.syspath_prepend(folder)
    plugins.cache_clear()
    nodes.register.cache_clear()
    yield folder
    plugins.cache_clear()
    nodes.register.cache_clear()
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("judgekit_sample", "broken", "greedy"):
            del sys.modules[name]


def test_everything_is_there_by_its_name() -> None:
    assert list(LOSSES) == ["dpo", "ipo", "robust", "sft"] and list(SAMPLERS) == ["hf", "openai", "vllm"]
    assert list(PROMPTS) == [
        "additive", "autoj", "autoj_single", "critiquellm", "critiquellm_point", "evalplanner", "judgelm",
        "judgelm_single", "pairwise", "pandalm", "rating", "self_taught",
    ]  # fmt: skip
    assert {kind().name for register in SECTIONS.values() for kind in register.values()} == {
        name for register in SECTIONS.values() for name in register
    }
    assert {type(prompt().protocol).__module__ for prompt in PROMPTS.values()} == {
        prompt.__module__ for prompt in PROMPTS.values()
    }


def test_every_recipe_cites_its_paper() -> None:
    papers = {name: recipe.paper for name, recipe in RECIPES.items()}
    assert {name: paper.arxiv for name, paper in papers.items() if paper is not None} == {
        "critiquellm": "2311.18702", "evalplanner": "2501.18099", "judgelm": "2310.17631",
        "meta_rewarding": "2407.19594", "pandalm": "2306.05087", "self_rewarding": "2401.10020",
        "self_taught": "2408.02666",
    }  # fmt: skip
    for name, paper in papers.items():
        assert paper is not None and paper.title and paper.authors
        module = importlib.import_module(RECIPES[name].function.partition(":")[0])
        assert f"arXiv {paper.arxiv}" in (module.__doc__ or "")


def test_a_package_adds_one_of_each(site: Path, tmp_path: Path) -> None:
    install(site, "judgekit_sample")
    rows = tmp_path / "riddles.jsonl"
    rows.write_text('{"riddle": "What has keys?", "right": "a piano", "wrong": "a door"}\n')
    config = Composer().job([*CHOSEN, f"benchmark.riddles.path={rows}", "loss.margin=0.5"]).config
    assert isinstance(config, RunConfig)
    assert [type(part).__name__ for part in (config.prompt, config.loss, config.sampler)] == [
        "TersePrompt", "HingeLoss", "CannedConfig",
    ]  # fmt: skip
    pairs = load_benchmark("riddles", config.benchmark["riddles"], []) or []
    assert [pair.response_a for pair in pairs] == ["a piano"]
    gap = torch.tensor([-1.0, 10.0])
    pairs_of = torch.zeros(2, 2)
    assert config.loss.pair_loss(gap, pairs_of).tolist() == pytest.approx([0.6, 0.0])  # type: ignore[arg-type]
    recipe = Composer().job(["recipe=direct"]).config
    assert isinstance(recipe, RunConfig)
    assert [type(part).__name__ for part in (recipe.recipe, recipe.prompt)] == ["DirectConfig", "TersePrompt"]
    assert "length_gap" in CONTROLS


def test_its_mistakes_are_told_like_others(site: Path) -> None:
    install(site, "judgekit_sample")
    with pytest.raises(ConfigError) as error:
        Composer().job([*CHOSEN, "prompt.question=Decide", "sampler.replies=[]", "loss.margins=1"])
    assert {problem.key for problem in error.value.problems} == {
        "prompt.question", "sampler.replies", "loss.margins",
    }  # fmt: skip
    with pytest.raises(ConfigError, match="no loss is named 'hinges'. Did you mean 'hinge'"):
        Composer().job([*CHOSEN, "loss.name=hinges"])


def test_checks_of_its_recipe_lie_beside_its_dataclass(site: Path) -> None:
    install(site, "judgekit_sample")
    with pytest.raises(ConfigError) as error:
        Composer().job(["recipe=direct", "prompt=rating", "recipe.share=0"])
    assert [str(problem) for problem in error.value.problems] == [
        "recipe.share (override recipe.share=0): 0.0 is out of range; allowed: more than 0 and at most 1",
        "prompt.name (override prompt=rating): recipe direct trains on verdicts alone, and the protocol 'rating' has "
        "none. Use prompt=terse or prompt=pairwise",
    ]


def test_its_control_is_a_field_that_changes_pairs_alone_when_it_is_on(site: Path, tmp_path: Path) -> None:
    install(site, "judgekit_sample")
    path, recipe = (site, SAMPLE), "recipe=self_taught"
    told = judgekit(tmp_path, "explain", "bias.length_gap", recipe, path=path).stdout
    assert "one response is over so many times as long" in told and "null" in told and "pairs" in told
    without, off = planned(tmp_path, recipe), planned(tmp_path, recipe, path=path)
    assert {name: stage["digest"] for name, stage in off.items()} == {
        name: stage["digest"] for name, stage in without.items()
    }
    on = planned(tmp_path, recipe, "bias.length_gap=1.5", path=path)
    assert [name for name, stage in on.items() if stage["digest"] == off[name]["digest"]] == ["instructions"]
    assert "bias.length_gap" in on["pairs"]["reads"]
    none = planned(tmp_path, recipe, "bias=none", path=path)
    assert none["pairs"]["digest"] == planned(tmp_path, recipe, "bias=none")["pairs"]["digest"]


def test_its_control_drops_rows_and_says_why(site: Path, tmp_path: Path) -> None:
    install(site, "judgekit_sample")
    assert switched_off()["length_gap"] is None
    rows = [ResponsePair(str(size), "Why?", "x" * size, "yyyy", "A") for size in (4, 8, 9)]
    workspace = Workspace(tmp_path)
    assert RowControls("pair_fault", {"length_gap": 2.0}).kept(rows, workspace) == rows[:2]
    assert workspace.counts()["dropped"] == {"one response much longer (bias.length_gap)": 1}
    assert RowControls("pair_fault", {"length_gap": None}).kept(rows, workspace) == rows


def test_its_recipe_is_valid_by_itself(site: Path, tmp_path: Path) -> None:
    install(site, "judgekit_sample")
    stages = planned(tmp_path, "recipe=direct", path=(site, SAMPLE))
    assert list(stages)[-4:] == [
        "verdicts/seed/starter", "demonstrations/direct", "train/direct", "verdicts/direct/starter",
    ]  # fmt: skip
    assert stages["demonstrations/direct"]["reads"] == ["bias.both_orders", "prompt", "recipe.share", "seed"]


HEAVY = "from judgekit.schema.config import RunConfig\n"
CONTROL = (
    "from judgekit.bias.base import CONTROLS, Control\nfrom judgekit.schema.fields import setting\n"
    "CONTROLS.add('greedy', Control(bool, setting(False, 'none'), off=False))\n"
)


@pytest.mark.parametrize("heavy", [HEAVY, "import judgekit.stages.data\n"], ids=["config", "stages"])
def test_a_plugin_that_imports_what_all_plugins_make_is_told_so(heavy: str, site: Path, tmp_path: Path) -> None:
    install(site, "greedy", heavy)
    done = judgekit(tmp_path, "check", path=(site,))
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "plugin 'mine' of the package greedy" in done.stderr and "neither judgekit.schema.config" in done.stderr


@pytest.mark.parametrize(
    "first", ["from judgekit.losses.base import LOSSES; list(LOSSES)", "import greedy"], ids=["register", "plugin"]
)
def test_a_control_that_comes_too_late_for_its_field_is_never_left_out(first: str, site: Path, tmp_path: Path) -> None:
    install(site, "greedy", HEAVY + CONTROL)
    done = fresh(tmp_path, "-c", first, path=(site,))
    assert done.returncode == 1 and "PluginError" in done.stderr
    assert "'greedy' in greedy, line 4 comes too late" in done.stderr and "MODULE:FUNCTION" in done.stderr
    with pytest.raises(PluginError, match="comes too late"):
        bias_config()
        CONTROLS.add("late", Control(bool, setting(False, "none"), off=False))


def test_a_plugin_that_fails_is_told_in_a_paragraph(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(site, "broken", "import nothing_like_it\n")
    assert main(["check"]) == 2
    told = capsys.readouterr().err
    assert "plugin 'mine' of the package broken cannot be imported: ModuleNotFoundError" in told
    assert "Traceback" not in told
    with pytest.raises(PluginError):
        list(PROMPTS)
    with pytest.raises(PluginError):
        list(PROMPTS)  # never absent in silence, however often it is asked for


def test_a_name_is_taken_once(site: Path) -> None:
    source = "from judgekit.losses.base import LOSSES\nfrom judgekit.losses.dpo import DpoLoss\n"
    source += "@LOSSES.register\nclass Mine(DpoLoss):\n    pass\n"
    install(site, "greedy", source)
    with pytest.raises(PluginError, match=r"'dpo': in judgekit\.losses\.dpo\.DpoLoss and in greedy\.Mine\. Rename"):
        list(LOSSES)


def test_things_of_a_file_replace_each_other_only_when_it_is_read_anew() -> None:
    register: Register[int] = Register("number", "judgekit.losses")
    for number in (1, 2):
        register.add("one", number)
    assert register["one"] == 2
    with pytest.raises(PluginError, match="Two things"):
        register.add("one", 3)


def test_a_section_that_another_version_wrote_is_read() -> None:
    assert LOSSES.read({"name": "dpo", "beta": 0.3, "gone": 1}) == DpoLoss(beta=0.3)
    with pytest.raises(KeyError):
        LOSSES.read({"name": "gone"})


def test_a_wrong_kind_of_benchmark_gets_the_nearest_name() -> None:
    problems = build(BenchmarkConfig, {"kind": "llmbra"}, "benchmark.x")[1]
    assert [str(problem) for problem in problems] == [
        "benchmark.x.kind: no kind of benchmark is named 'llmbra'. Did you mean 'llmbar'?"
    ]


@dataclass(frozen=True)
class WithMargin(LossConfig):
    """A loss with a field of its own."""

    name: Literal["with_margin"] = "with_margin"
    margin: float = 1.0


def test_a_stage_is_determined_by_all_fields_of_its_loss() -> None:
    loss = WithMargin()
    assert loss.settings("sft") == {"sft_average": "tokens"} == DpoLoss(beta=0.5).settings("sft")
    assert loss.settings("dpo") != replace(loss, margin=2.0).settings("dpo")
    assert set(loss.settings("dpo")) == {
        "name", "beta", "length_normalised", "nll_weight", "label_smoothing", "margin",
    }  # fmt: skip
