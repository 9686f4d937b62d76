"""Values that ``recipe=judgelm`` cannot work with."""

from __future__ import annotations

from judgekit.errors import Problem
from judgekit.prompts.judgelm import JudgeLMPrompt
from judgekit.recipes.judgelm.config import JudgeLMConfig
from judgekit.schema.config import RunConfig
from judgekit.schema.rules import of_recipe
from judgekit.schema.shared_checks import (
    candidate_models,
    too_few,
    validation_split,
    warm_stop,
    wrong_betas,
)


@of_recipe(
    JudgeLMConfig, "recipe.reviews", "data.sources", "data.first_round", "data.validation", "data.held_out",
    "recipe.warm_start",
)  # fmt: skip
def _judgelm_counts(config: RunConfig, recipe: JudgeLMConfig) -> list[Problem]:
    return [] if recipe.reviews else too_few(config, ("first_round", "validation", "held_out"), recipe.warm_start)


@of_recipe(JudgeLMConfig, "recipe.sft.betas", "recipe.warm_start.optim.betas")
def _judgelm_betas(config: RunConfig, recipe: JudgeLMConfig) -> list[Problem]:
    return wrong_betas({"sft": recipe.sft, "warm_start.optim": recipe.warm_start.optim})


@of_recipe(JudgeLMConfig, "prompt")
def _protocol(config: RunConfig, recipe: JudgeLMConfig) -> list[Problem]:
    if isinstance(config.prompt, JudgeLMPrompt):
        return []
    message = f"recipe {recipe.name} trains on scores of two answers, and the protocol '{config.prompt.name}' has none"
    return [Problem("prompt.name", message, "Use prompt=judgelm")]


@of_recipe(JudgeLMConfig, "prompt", "teacher")
def _chosen_scores(config: RunConfig, recipe: JudgeLMConfig) -> list[Problem]:
    prompt = config.teacher.prompt or config.prompt
    if config.teacher.verdict != "constrained" or (isinstance(prompt, JudgeLMPrompt) and prompt.score_lines):
        return []
    message = "the teacher's score lines are to be chosen, and its protocol names none"
    return [Problem("teacher.verdict", message, "Use teacher.verdict=free, or give prompt.score_lines")]


@of_recipe(JudgeLMConfig, "data.sources", "recipe.candidates", "recipe.reviews")
def _responses(config: RunConfig, recipe: JudgeLMConfig) -> list[Problem]:
    bare = [name for name, source in config.data.sources.items() if source.pairs == "none"]
    if not bare or recipe.candidates or recipe.reviews is not None:
        return []
    message = "nobody answers these instructions"
    return [Problem(f"data.sources.{name}.pairs", message, "Give recipe.candidates") for name in bare]


@of_recipe(JudgeLMConfig, "recipe.candidates")
def _lonely(config: RunConfig, recipe: JudgeLMConfig) -> list[Problem]:
    if len(recipe.candidates) != 1:
        return []
    return [Problem("recipe.candidates", "one model alone makes no pair", "Name two or more, or none")]


of_recipe(JudgeLMConfig, "recipe.validate", "data.validation")(validation_split)
of_recipe(JudgeLMConfig, "recipe.warm_start", "data.validation")(warm_stop)
of_recipe(JudgeLMConfig, "recipe.candidates")(candidate_models)
