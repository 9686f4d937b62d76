"""Values that ``recipe=self_taught`` cannot work with."""

from __future__ import annotations

from judgekit.errors import Problem
from judgekit.prompts.base import WorkedProtocol
from judgekit.recipes.self_taught.config import SelfTaughtConfig
from judgekit.schema.config import RunConfig
from judgekit.schema.rules import of_recipe
from judgekit.schema.shared_checks import (
    betas,
    needs_pairs,
    too_few,
    validation_split,
    warm_stop,
)


@of_recipe(
    SelfTaughtConfig, "data.sources", "data.first_round", "data.validation", "data.held_out", "recipe.warm_start"
)
def _counts(config: RunConfig, recipe: SelfTaughtConfig) -> list[Problem]:
    return too_few(config, ("first_round", "validation", "held_out"), recipe.warm_start)


@of_recipe(SelfTaughtConfig, "recipe.warm_start", "prompt")
def _worked(config: RunConfig, recipe: SelfTaughtConfig) -> list[Problem]:
    if not recipe.warm_start.enabled or isinstance(config.prompt.protocol, WorkedProtocol):
        return []
    message = f"no program writes judgments for the protocol '{config.prompt.name}'"
    return [Problem("recipe.warm_start.enabled", message, "Use prompt=self_taught_brief, or no warm start")]


@of_recipe(SelfTaughtConfig, "loss.name", "recipe.judgments", "recipe.negative_temperature", "sampler.temperature")
def _no_contrast(config: RunConfig, recipe: SelfTaughtConfig) -> list[Problem]:
    if config.loss.name == "sft" or recipe.negative_temperature is not None:
        return []
    if recipe.judgments == 1:
        message = "one judgment of a prompt is never both correct and incorrect, so no preference pair can form"
        return [Problem("recipe.judgments", message, "Use at least 2, recipe.negative_temperature, or loss=sft")]
    if config.sampler.temperature == 0:
        message = "greedy judgments of one prompt are all the same, so no preference pair can form"
        return [Problem("sampler.temperature", message, "Use more than 0, recipe.negative_temperature, or loss=sft")]
    return []


@of_recipe(
    SelfTaughtConfig,
    "loss.name",
    "recipe.wrong_as_negative",
    "recipe.tie_as_negative",
    "recipe.invalid_as_negative",
)
def _no_negatives(config: RunConfig, recipe: SelfTaughtConfig) -> list[Problem]:
    allowed = recipe.wrong_as_negative or recipe.tie_as_negative or recipe.invalid_as_negative
    if config.loss.name == "sft" or allowed:
        return []
    message = "no kind of judgment may be a rejected one, so no preference pair can form"
    return [Problem("recipe.wrong_as_negative", message, "Use true, or loss=sft")]


@of_recipe(SelfTaughtConfig, "recipe.votes", "sampler.temperature")
def _same_votes(config: RunConfig, recipe: SelfTaughtConfig) -> list[Problem]:
    if not recipe.votes or config.sampler.temperature > 0:
        return []
    return [Problem("recipe.votes", "greedy judgments all vote alike", "Use 0, or raise sampler.temperature")]


@of_recipe(SelfTaughtConfig, "recipe.selection")
def _selection(config: RunConfig, recipe: SelfTaughtConfig) -> list[Problem]:
    rules, problems = recipe.selection, []
    if not rules.categories:
        problems.append(Problem("recipe.selection.categories", "there is none to choose among"))
    for name in sorted(set(rules.keep or ()) - set(rules.categories)):
        message = f"{name!r} is not one of the categories the classifier chooses among"
        problems.append(Problem("recipe.selection.keep", message, f"Valid: {', '.join(rules.categories)}"))
    if rules.complexity_min > rules.complexity_max:
        message = f"{rules.complexity_min} is over complexity_max ({rules.complexity_max}), so nothing is selected"
        problems.append(Problem("recipe.selection.complexity_min", message))
    return problems


of_recipe(SelfTaughtConfig, "recipe.validate", "data.validation")(validation_split)
of_recipe(SelfTaughtConfig, "recipe.warm_start", "data.validation")(warm_stop)
of_recipe(SelfTaughtConfig, "recipe.sft.betas", "recipe.dpo.betas", "recipe.warm_start.optim.betas")(betas)
of_recipe(SelfTaughtConfig, "data.sources")(needs_pairs)
