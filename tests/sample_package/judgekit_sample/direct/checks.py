"""Values that ``recipe=direct`` cannot work with. judgekit finds this module beside the recipe's dataclass."""

from __future__ import annotations

from judgekit.errors import Problem
from judgekit.schema.checks import verdict_tokens
from judgekit.schema.config import RunConfig
from judgekit.schema.rules import of_recipe
from judgekit.schema.shared_checks import needs_pairs
from judgekit_sample.direct.config import DirectConfig


@of_recipe(DirectConfig, "prompt")
def _verdicts(config: RunConfig, recipe: DirectConfig) -> list[Problem]:
    if verdict_tokens(config.prompt):
        return []
    message = f"recipe {recipe.name} trains on verdicts alone, and the protocol '{config.prompt.name}' has none"
    return [Problem("prompt.name", message, "Use prompt=terse or prompt=pairwise")]


of_recipe(DirectConfig, "data.sources")(needs_pairs)
