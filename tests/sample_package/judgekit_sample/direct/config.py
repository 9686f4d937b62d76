"""``recipe=direct``. This module is imported to register it: the recipe, its stages and checks are only named here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from judgekit.recipes.base import RECIPES, RecipeConfig
from judgekit.schema.fields import setting
from judgekit.schema.optim import OptimConfig


@RECIPES.register
@dataclass(frozen=True)
class DirectConfig(RecipeConfig):
    """``recipe=direct``."""

    function: ClassVar[str] = "judgekit_sample.direct.recipe:direct"
    name: Literal["direct"] = setting("direct", "recipe")
    share: float = setting(1.0, "share of the pairs that are trained on, drawn at random", gt=0.0, le=1.0)
    sft: OptimConfig = setting(OptimConfig, "SFT")
