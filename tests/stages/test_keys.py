"""A stage's key holds all its code can see: a store that holds another run gives what an empty one gives."""

from __future__ import annotations

import ast
import inspect
import os
import pkgutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import judgekit.recipes
from judgekit.errors import JudgekitError
from judgekit.randomness import draw_bits, shuffled
from judgekit.recipes.base import RECIPES
from judgekit.schema.checks import cross_checks
from judgekit.schema.config import RunConfig
from judgekit.schema.fields import allowed
from judgekit.stages.lab import Lab
from judgekit.stages.stage import Stage, stage_kinds
from judgekit.tracking.recording import recorded
from tests.stages.world import RUNS, changed, config_of, leaves, others, speak, train_by_digest, value_of
from tests.training.tiny import make_model

DRAWN = 1
"""Draws of changes a recipe in the fast suite; the integration suite draws a few dozen."""
TOGETHER = 3
"""Fields changed in one draw."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny") / "model", max_position_embeddings=4096)


def planned(config: RunConfig) -> tuple[dict[str, str], set[str]]:
    """Digests by stage, and the fields that were looked at."""
    lab = Lab(config, None)
    config.recipe.run(lab)
    return {stage.name: stage.digest for stage in lab.planned}, lab.seen


def outcome(config: RunConfig, folder: Path) -> dict[str, Any]:
    """What a run leaves of every stage, or why it ended."""
    with recorded(config, folder) as record:
        lab = Lab(config, record, speak(config.recipe.name))
        try:
            config.recipe.run(lab)
        except JudgekitError as error:
            record.manifest["ended"] = str(error)
        found: dict[str, Any] = {"ended": record.manifest.pop("ended", None)}
        for stage in record.manifest["stages"]:
            files = sorted(Path(stage["path"]).rglob("*"))
            kept = {
                str(file.relative_to(stage["path"])): file.read_bytes()
                for file in files
                if file.is_file() and file.name != "stage.json"
            }
            found[stage["name"]] = (stage["digest"], stage["rows"], stage["dropped"], kept)
    return found


def decisive_fields(config: RunConfig) -> list[tuple[str, Any, Any]]:
    """Fields that are looked at and said to determine results."""
    seen = planned(config)[1]
    return [
        (key, hint, field)
        for key, hint, field in leaves(config)
        if allowed(field).unkeyed is None and not allowed(field).rounding and not allowed(field).path
        and any(f"{key}.".startswith(f"{place}.") for place in seen)
        and not key.endswith((".name", ".hub", ".path", ".kind", ".pairs"))
        and others(hint, field, value_of(config, key))
    ]  # fmt: skip


@pytest.mark.parametrize("recipe", RUNS)
def test_a_warm_store_gives_what_an_empty_one_gives(
    recipe: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare_stores(recipe, tiny, tmp_path, monkeypatch, DRAWN)


def compare_stores(
    recipe: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, draws: int, together: int = TOGETHER
) -> None:
    """Run drawn changes in a store that holds the unchanged run, and in empty ones."""
    train_by_digest(monkeypatch)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # most of the time otherwise, and no power is lost here
    config = config_of(recipe, tiny, tmp_path / "warm")
    before = outcome(config, tmp_path / "first")
    assert before["ended"] is None
    drawable = shuffled(decisive_fields(config), 7, recipe)
    for number in range(draws):
        picked = [drawable[(number * together + place) % len(drawable)] for place in range(together)]
        new, told = config, []
        for key, hint, field in picked:
            choices = others(hint, field, value_of(config, key))
            value = choices[draw_bits(recipe, number, key) % len(choices)]
            if cross_checks(changed(new, key, value)):
                continue  # such a run is refused
            new = changed(new, key, value)
            told.append(f"{key}={value}")
        warm = outcome(new, tmp_path / f"warm-{number}")
        fresh = outcome(replace(new, store=str(tmp_path / f"store-{number}")), tmp_path / f"fresh-{number}")
        assert warm.keys() == fresh.keys(), told
        for name in warm:
            assert warm[name] == fresh[name], (name, told)


@pytest.mark.parametrize("recipe", RUNS)
def test_every_field_is_in_a_key_or_says_why_not(recipe: str, tiny: Path, tmp_path: Path) -> None:
    config = config_of(recipe, tiny, tmp_path)
    plain, seen = planned(config)
    silent, loud = [], []
    for key, hint, field in leaves(config):
        limits = allowed(field)
        determines = limits.unkeyed is None and not limits.rounding
        looked_at = any(f"{key}.".startswith(f"{place}.") for place in seen)
        choices = others(hint, field, value_of(config, key))
        if (
            key.endswith(("recipe.name", "prompt.name", "sampler.name"))
            or not choices
            or "path" in key
            or key == "trainer.strict"
        ):
            continue
        moved = False
        for value in choices:
            try:
                moved = moved or planned(changed(config, key, value))[0] != plain
            except Exception:  # a value that cannot be planned is looked at
                moved = True
        if determines and looked_at and not moved:
            silent.append(key)
        if not determines and moved or not looked_at and moved:
            loud.append(key)
    assert not silent, "looked at, said to determine results, and in no key"
    assert not loud, "said to determine nothing, or never looked at, and in a key"


def load_recipes() -> None:
    """Import every recipe's code, and with it its stages."""
    for kind in RECIPES.values():
        pkgutil.resolve_name(kind.function)


def test_no_two_stages_share_a_name() -> None:
    load_recipes()
    labels = [kind.label for kind in stage_kinds()]
    assert len(labels) == len(set(labels)) > 40


def test_stages_see_nothing_but_their_fields() -> None:
    """A stage is a class at the top of its module whose code knows no lab and no whole configuration."""
    load_recipes()
    for kind in stage_kinds():
        assert "." not in kind.__qualname__, f"{kind.__qualname__} is made inside a function"
        for name, hint in inspect.get_annotations(kind).items():
            assert str(hint) not in ("Lab", "RunConfig", "EvalConfig"), (kind, name)
    for file in Path(judgekit.recipes.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and any(getattr(base, "id", "") in _BASES for base in node.bases):
                names = {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}
                assert "lab" not in names, f"{file}: {node.name}"


_BASES = {kind.__name__ for kind in stage_kinds()} | {Stage.__name__}
