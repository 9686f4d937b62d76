"""Values that ``recipe=evalplanner`` cannot work with."""

from __future__ import annotations

from judgekit.errors import Problem
from judgekit.prompts.evalplanner import EvalPlannerPrompt
from judgekit.recipes.evalplanner.config import EvalPlannerConfig
from judgekit.schema.config import RunConfig
from judgekit.schema.rules import of_recipe
from judgekit.schema.shared_checks import (
    betas,
    needs_pairs,
    too_few,
    too_long,
    validation_split,
    warm_stop,
)


@of_recipe(
    EvalPlannerConfig,
    "data.sources",
    "data.first_round",
    "data.second_round",
    "data.validation",
    "data.held_out",
    "recipe.warm_start",
)
def _counts(config: RunConfig, recipe: EvalPlannerConfig) -> list[Problem]:
    return too_few(config, ("first_round", "second_round", "validation", "held_out"), recipe.warm_start)


@of_recipe(EvalPlannerConfig, "prompt")
def _plans(config: RunConfig, recipe: EvalPlannerConfig) -> list[Problem]:
    if isinstance(config.prompt, EvalPlannerPrompt):
        return []
    message = f"recipe {recipe.name} asks for plans, and the protocol '{config.prompt.name}' has none"
    return [Problem("prompt.name", message, "Use prompt=evalplanner")]


@of_recipe(EvalPlannerConfig, "sampler", "model.max_length")
def _chain_lengths(config: RunConfig, recipe: EvalPlannerConfig) -> list[Problem]:
    return too_long(config, "sampler.plan_tokens", "sampler.execution_tokens")


@of_recipe(EvalPlannerConfig, "loss.name", "recipe.rounds", "data.first_round", "data.second_round")
def _second_round(config: RunConfig, recipe: EvalPlannerConfig) -> list[Problem]:
    if config.loss.name == "sft" or recipe.rounds == 1:
        return []
    if config.data.first_round is None:
        message = "null gives D1 all instructions, and round 2 needs some"
        return [Problem("data.first_round", message, "Give D1 a size, or use recipe.rounds=1")]
    if config.data.second_round != 0:
        return []
    message = "round 2 needs instructions, and data.second_round is 0"
    return [Problem("recipe.rounds", message, "Use recipe.rounds=1 or raise data.second_round")]


@of_recipe(EvalPlannerConfig, "loss.name", "recipe.executions")
def _executions(config: RunConfig, recipe: EvalPlannerConfig) -> list[Problem]:
    if config.loss.name == "sft" or recipe.executions > 1:
        return []
    message = "one execution per plan and order is never both correct and incorrect, so no preference pair can form"
    return [Problem("recipe.executions", message, "Use at least 2, or loss=sft")]


@of_recipe(EvalPlannerConfig, "loss.name", "recipe.learn", "recipe.rounds", "recipe.second_plans")
def _bare_verdicts(config: RunConfig, recipe: EvalPlannerConfig) -> list[Problem]:
    if config.loss.name == "sft" or recipe.learn == "chain" or recipe.rounds == 1 or recipe.second_plans == "prompt":
        return []
    message = "a judge that learns verdicts alone writes no plans, which round 2 would take from its chains"
    return [Problem("recipe.second_plans", message, "Use recipe.second_plans=prompt or recipe.rounds=1")]


@of_recipe(EvalPlannerConfig, "loss.name", "sampler.temperature")
def _greedy(config: RunConfig, recipe: EvalPlannerConfig) -> list[Problem]:
    if config.loss.name == "sft" or config.sampler.temperature > 0:
        return []
    message = "greedy executions of one plan are all the same, so no preference pair can form"
    return [Problem("sampler.temperature", message, "Use more than 0, or loss=sft")]


of_recipe(EvalPlannerConfig, "recipe.validate", "data.validation")(validation_split)
of_recipe(EvalPlannerConfig, "recipe.warm_start", "data.validation")(warm_stop)
of_recipe(EvalPlannerConfig, "recipe.sft.betas", "recipe.dpo.betas", "recipe.warm_start.optim.betas")(betas)
of_recipe(EvalPlannerConfig, "data.sources")(needs_pairs)
