"""Recipes: one readable file per paper, and what runs or plans them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from judgekit.costs import PlannedStage

if TYPE_CHECKING:
    from judgekit.sampling.base import Sampler
    from judgekit.schema.config import RunConfig
    from judgekit.weights import Weights

__all__ = ["PlannedStage", "plan", "run_recipe"]


def plan(config: RunConfig) -> list[PlannedStage]:
    """The stages a run would go through, with upper bounds of what they sample and whether the store holds them."""
    from judgekit.stages.lab import Lab

    lab = Lab(config, record=None)
    config.recipe.run(lab)
    return lab.planned


def run_recipe(
    config: RunConfig, run_dir: Path, make_sampler: Callable[[Weights], Sampler] | None = None
) -> dict[str, float | int | None]:
    """Run a recipe in a folder, leaving the files of a run there.

    The same call resumes a run that was interrupted.

    :param make_sampler: back end for some weights; None: the configured one
    :return: the final numbers, as in ``metrics.json``
    """
    from judgekit.recipes.run import execute

    return execute(config, run_dir, make_sampler)
