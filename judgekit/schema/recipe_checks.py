"""Combinations of a recipe's values that cannot work together."""

from __future__ import annotations

from judgekit.errors import Problem
from judgekit.schema.config import RunConfig
from judgekit.schema.prompts import EvalPlannerPrompt
from judgekit.schema.recipes import EvalPlannerConfig
from judgekit.schema.rules import of_recipe


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
    data, warm = config.data, recipe.warm_start
    parts = (data.first_round, data.second_round, data.validation, data.held_out, warm.examples if warm.enabled else 0)
    given = [source.count for source in data.sources.values()]
    counts = [count for count in given if count is not None]
    if not counts or len(counts) < len(given) or sum(parts) <= sum(counts):
        return []
    message = (
        f"first_round + second_round + validation + held_out + recipe.warm_start.examples = "
        f"{' + '.join(map(str, parts))} = {sum(parts)}, "
        f"but the sources give {sum(counts)} instructions"
    )
    return [Problem("data", message, "Ask for fewer, or raise data.sources.NAME.count")]


@of_recipe(EvalPlannerConfig, "prompt")
def _plans(config: RunConfig, recipe: EvalPlannerConfig) -> list[Problem]:
    if isinstance(config.prompt, EvalPlannerPrompt):
        return []
    message = f"recipe {recipe.name} asks for plans, and the protocol '{config.prompt.name}' has none"
    return [Problem("prompt.name", message, "Use prompt=evalplanner")]


@of_recipe(EvalPlannerConfig, "loss.name", "recipe.rounds", "data.second_round")
def _second_round(config: RunConfig, recipe: EvalPlannerConfig) -> list[Problem]:
    if config.loss.name == "sft" or recipe.rounds == 1 or config.data.second_round > 0:
        return []
    message = "round 2 needs instructions, and data.second_round is 0"
    return [Problem("recipe.rounds", message, "Use recipe.rounds=1 or raise data.second_round")]


@of_recipe(EvalPlannerConfig, "loss.name", "recipe.executions")
def _executions(config: RunConfig, recipe: EvalPlannerConfig) -> list[Problem]:
    if config.loss.name == "sft" or recipe.executions > 1:
        return []
    message = "one execution per plan and order is never both correct and incorrect, so no preference pair can form"
    return [Problem("recipe.executions", message, "Use at least 2, or loss=sft")]


@of_recipe(EvalPlannerConfig, "loss.name", "sampler.temperature")
def _greedy(config: RunConfig, recipe: EvalPlannerConfig) -> list[Problem]:
    if config.loss.name == "sft" or config.sampler.temperature > 0:
        return []
    message = "greedy executions of one plan are all the same, so no preference pair can form"
    return [Problem("sampler.temperature", message, "Use more than 0, or loss=sft")]


@of_recipe(EvalPlannerConfig, "recipe.validate", "data.validation")
def _validation_split(config: RunConfig, recipe: EvalPlannerConfig) -> list[Problem]:
    if not recipe.validate or config.data.validation > 0:
        return []
    message = "choosing checkpoints needs a validation split, and data.validation is 0"
    return [Problem("recipe.validate", message, "Use recipe.validate=false or raise data.validation")]


@of_recipe(EvalPlannerConfig, "recipe.warm_start", "data.validation")
def _warm_stop(config: RunConfig, recipe: EvalPlannerConfig) -> list[Problem]:
    warm = recipe.warm_start
    if not warm.enabled or warm.stop_accuracy is None or config.data.validation > 0:
        return []
    message = "stopping the warm start early needs a validation split, and data.validation is 0"
    return [Problem("recipe.warm_start.stop_accuracy", message, "Use null or raise data.validation")]


@of_recipe(EvalPlannerConfig, "recipe.sft.betas", "recipe.dpo.betas", "recipe.warm_start.optim.betas")
def _betas(config: RunConfig, recipe: EvalPlannerConfig) -> list[Problem]:
    stages = {"sft": recipe.sft, "dpo": recipe.dpo, "warm_start.optim": recipe.warm_start.optim}
    return [
        Problem(f"recipe.{name}.betas", f"Adam needs 0 <= β < 1, not {list(optim.betas)}")
        for name, optim in stages.items()
        if not all(0 <= beta < 1 for beta in optim.betas)
    ]
