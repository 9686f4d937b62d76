"""The register of checks of combinations of values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from judgekit.errors import Problem
from judgekit.recipes.base import RecipeConfig
from judgekit.schema.config import RunConfig
from judgekit.schema.evaluation import EvalConfig

Recipe = TypeVar("Recipe", bound=RecipeConfig)
AnyConfig = RunConfig | EvalConfig
"""What a command is configured by."""
Check = Callable[[RunConfig], list[Problem]]
EvalCheck = Callable[[EvalConfig], list[Problem]]
SharedCheck = Callable[[AnyConfig], list[Problem]]

CHECKS: list[tuple[type[AnyConfig] | tuple[type[AnyConfig], ...], tuple[str, ...], Callable[[Any], list[Problem]]]] = []
"""Every check with the configurations it is for and the keys it reads."""


def reads(*keys: str) -> Callable[[Check], Check]:
    """Register a check of runs with the keys it reads."""

    def register(check: Check) -> Check:
        CHECKS.append((RunConfig, keys, check))
        return check

    return register


def of_eval(*keys: str) -> Callable[[EvalCheck], EvalCheck]:
    """Register a check of evaluations."""

    def register(check: EvalCheck) -> EvalCheck:
        CHECKS.append((EvalConfig, keys, check))
        return check

    return register


def shared(*keys: str) -> Callable[[SharedCheck], SharedCheck]:
    """Register a check of sections that runs and evaluations have in common."""

    def register(check: SharedCheck) -> SharedCheck:
        CHECKS.append(((RunConfig, EvalConfig), keys, check))
        return check

    return register


def of_recipe(
    kind: type[Recipe], *keys: str
) -> Callable[[Callable[[RunConfig, Recipe], list[Problem]]], Callable[[RunConfig, Any], list[Problem]]]:
    """Register a check of one recipe; it is also given the recipe's section.

    A check that several recipes share is registered for each, one decorator over another.
    """

    def register(check: Callable[[RunConfig, Recipe], list[Problem]]) -> Callable[[RunConfig, Any], list[Problem]]:
        def checked(config: RunConfig) -> list[Problem]:
            return check(config, config.recipe) if isinstance(config.recipe, kind) else []

        CHECKS.append((RunConfig, keys, checked))
        return check

    return register
