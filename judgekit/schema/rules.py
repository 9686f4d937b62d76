"""The register of checks of combinations of values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from judgekit.errors import Problem
from judgekit.schema.config import RunConfig
from judgekit.schema.recipes import RecipeConfig

Recipe = TypeVar("Recipe", bound=RecipeConfig)
Check = Callable[[RunConfig], list[Problem]]

CHECKS: list[tuple[tuple[str, ...], Check]] = []
"""Every check with the keys it reads."""


def reads(*keys: str) -> Callable[[Check], Check]:
    """Register a check with the keys it reads."""

    def register(check: Check) -> Check:
        CHECKS.append((keys, check))
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

        CHECKS.append((keys, checked))
        return check

    return register
