"""Values of the JudgeLM protocol and recipe that cannot work together."""

from __future__ import annotations

import re

from judgekit.errors import Problem
from judgekit.prompts.judgelm import JudgeLM
from judgekit.schema.config import RunConfig
from judgekit.schema.prompts import JudgeLMPrompt, JudgeLMSinglePrompt, PromptConfig
from judgekit.schema.recipes import JudgeLMConfig
from judgekit.schema.rules import AnyConfig, of_recipe, shared

SLOTS = ("number", "assistants", "low", "high", "turns", "reference")


@shared("prompt")
def _wording(config: AnyConfig) -> list[Problem]:
    prompt: PromptConfig | None = config.prompt
    if not isinstance(prompt, JudgeLMPrompt | JudgeLMSinglePrompt):
        return []
    problems = []
    for name in sorted(set(re.findall(r"\{(\w+)\}", prompt.request or "")) - set(SLOTS)):
        hint = f"Slots: {', '.join(SLOTS)}"
        problems.append(Problem("prompt.request", f"{{{name}}} stands for nothing", hint))
    if prompt.low >= prompt.high:
        message = f"a scale from {prompt.low:g} to {prompt.high:g} has no room"
        problems.append(Problem("prompt.high", message, "Give a best score above prompt.low"))
    return problems


@shared("prompt")
def _score_lines(config: AnyConfig) -> list[Problem]:
    prompt: PromptConfig | None = config.prompt
    if not isinstance(prompt, JudgeLMPrompt) or not prompt.score_lines:
        return []
    said = [JudgeLM(prompt).read(line, False).verdict for line in prompt.score_lines]
    if said in (["A", "B"], ["A", "B", "tie"]):
        return []
    message = f"{list(prompt.score_lines)} are no scores for the first answer, for the second and perhaps a tie"
    return [Problem("prompt.score_lines", message, "For example [9 4, 4 9]")]


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
