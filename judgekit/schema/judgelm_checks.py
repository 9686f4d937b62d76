"""Values that ``recipe=judgelm`` cannot work with."""

from __future__ import annotations

from judgekit.errors import Problem
from judgekit.prompts.judgelm import JudgeLMPrompt
from judgekit.schema.config import RunConfig
from judgekit.schema.recipes import JudgeLMConfig
from judgekit.schema.rules import of_recipe


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
