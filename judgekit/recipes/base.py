"""What every ``recipe`` has, and their register."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from judgekit.papers import Paper
from judgekit.registry import Named, Sections

if TYPE_CHECKING:
    from judgekit.stages.lab import Lab
    from judgekit.stages.measuring import Outcome


@dataclass(frozen=True)
class RecipeConfig(Named):
    """``recipe``: one dataclass per recipe, in its paper's words.

    :cvar function: MODULE:FUNCTION that runs it in a ``Lab``; its module is imported when it runs
    :cvar paper: where it is published
    """

    function: ClassVar[str] = ""
    paper: ClassVar[Paper | None] = None

    def run(self, lab: Lab) -> Outcome:
        """Run it, or only plan its stages, as the lab does."""
        recipe: Callable[[Lab], Outcome] = pkgutil.resolve_name(self.function)
        return recipe(lab)


RECIPES = Sections("recipe", "judgekit.recipes", RecipeConfig)
