"""What a run would do, from its configuration alone: its stages, and overrides that nothing reads.

A knob that turns nothing would report "no effect", which is a false result.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from judgekit.costs import PlannedStage
from judgekit.errors import ConfigError, Problem
from judgekit.recipes.base import RECIPES
from judgekit.schema.composition import Composer, Job
from judgekit.schema.config import RunConfig
from judgekit.schema.fields import allowed
from judgekit.schema.keys import keys_of
from judgekit.stages.lab import Lab

OVERLAYS = ("experiment", "ablation", "hydra")
"""Groups that set values of others."""


def plan(config: RunConfig) -> list[PlannedStage]:
    """The stages a run would go through, with upper bounds of what they sample and whether the store holds them."""
    lab = Lab(config, record=None)
    config.recipe.run(lab)
    return lab.planned


def fields_read(config: RunConfig) -> set[str]:
    """Dotted keys of the fields and sections that a run looks at."""
    lab = Lab(config, None)
    config.recipe.run(lab)
    return lab.seen


def readers(config: RunConfig, key: str) -> list[str]:
    """The stages of a run that read a field, in order; those alone whose fields come from it, not what builds on them.

    A field that only decides which stages there are is read by the recipe.
    """
    lab = Lab(config, None)
    config.recipe.run(lab)
    found = [stage.name for stage in lab.planned if _touches(key, stage.reads)]
    return found or (["the recipe"] if _touches(key, lab.seen) else [])


def _touches(key: str, places: Iterable[str]) -> bool:
    return any(_within(key, place) or _within(place, key) for place in places)


def refuse_unread(jobs: Iterable[Job], composer: Composer) -> None:
    """Refuse overrides of fields that the runs they are for do not read.

    :raises ConfigError: with all of them, each told once
    """
    problems: list[Problem] = []
    for job in jobs:
        assert isinstance(job.config, RunConfig)
        seen = fields_read(job.config)
        for text in job.overrides:
            key = _key(text)
            if key is None:
                continue
            others = [one for one in job.overrides if one != text]
            idle = [key] if _is_idle(job.config, key, seen) else _idle_choice(job.config, key, seen, others, composer)
            if idle:
                problems.append(_problem(job.config, key, idle, text, composer))
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))


def _key(text: str) -> str | None:
    """The place an override changes; None for one that takes something away or chooses an overlay."""
    name = text.partition("=")[0]
    if name.startswith("~"):
        return None
    key = name.lstrip("+").rpartition("@")[2].replace("/", ".")
    return None if key.partition(".")[0] in OVERLAYS else key


def _is_idle(config: RunConfig, key: str, seen: set[str]) -> bool:
    """Whether nothing at or below ``key`` is looked at, nor is any of it said to change no result."""
    if _touches(key, seen):
        return False
    value: Any = config
    field: dataclasses.Field[Any] | None = None
    for part in key.split("."):
        if isinstance(value, Mapping):
            if part not in value:
                return False  # taken out
            value = value[part]
        else:
            known = {one.name: one for one in dataclasses.fields(value)} if dataclasses.is_dataclass(value) else {}
            if part not in known:
                return False
            field, value = known[part], getattr(value, part)
    if dataclasses.is_dataclass(value):
        return not any(_effectless(one) for one in dataclasses.fields(value))
    return field is not None and not _effectless(field)


def _idle_choice(config: RunConfig, key: str, seen: set[str], others: Sequence[str], composer: Composer) -> list[str]:
    """Values that would change results, which the choice of a whole section changes; none where one is looked at.

    :param others: the overrides without that choice
    """
    values = keys_of(config)
    if key not in values or not values[key].is_section:
        return []
    try:
        before = keys_of(composer.job(others).config)
    except ConfigError:
        return []
    below = [one for one in values.values() if one.path.startswith(f"{key}.") and not one.is_section]
    changed = [one for one in below if one.path not in before or before[one.path].value != one.value]
    decisive = [one.path for one in changed if one.limits.unkeyed is None and not one.limits.rounding]
    return [] if any(_touches(path, seen) for path in decisive) else decisive


def _effectless(field: dataclasses.Field[Any]) -> bool:
    limits = allowed(field)
    return limits.unkeyed is not None or limits.rounding


def _within(key: str, place: str) -> bool:
    return f"{key}.".startswith(f"{place}.")


def _problem(config: RunConfig, key: str, idle: Sequence[str], text: str, composer: Composer) -> Problem:
    name = config.recipe.name
    known = [] if key.startswith("recipe.") else [one for one in RECIPES if one != name]
    others = _recipes_that_read(idle, composer, known)
    message = f"recipe {name}, as configured here, does not read it, so that it would change nothing"
    hint = f"Recipes that read it: {', '.join(others)}" if others else "Leave it out, or switch on what uses it"
    return Problem(key, message, hint, f"override {text}")


def _recipes_that_read(keys: Sequence[str], composer: Composer, names: Sequence[str]) -> list[str]:
    """Which of some recipes read one of some fields, each with what it brings by itself."""
    found = []
    for name in names:
        try:
            config = composer.job([f"recipe={name}"]).config
            assert isinstance(config, RunConfig)
            seen = fields_read(config)
        except ConfigError:
            continue
        if any(_touches(key, seen) for key in keys):
            found.append(name)
    return found
