"""Values that the self-rewarding recipes cannot work with."""

from __future__ import annotations

from judgekit.errors import Problem
from judgekit.prompts.base import PairProtocol, WorkedPointProtocol
from judgekit.recipes.self_rewarding.config import RewardingConfig
from judgekit.schema.config import RunConfig
from judgekit.schema.rules import of_recipe
from judgekit.schema.shared_checks import (
    betas,
    too_few,
    validation_split,
    warm_stop,
)


@of_recipe(RewardingConfig, "data.sources", "data.first_round", "data.validation", "data.held_out", "recipe.warm_start")
def _counts(config: RunConfig, recipe: RewardingConfig) -> list[Problem]:
    return too_few(config, ("first_round", "validation", "held_out"), recipe.warm_start)


@of_recipe(RewardingConfig, "prompt")
def _scores(config: RunConfig, recipe: RewardingConfig) -> list[Problem]:
    if not isinstance(config.prompt.protocol, PairProtocol):
        return []
    message = f"recipe {recipe.name} scores single responses, and the protocol '{config.prompt.name}' compares two"
    return [Problem("prompt.name", message, "Use prompt=additive")]


@of_recipe(RewardingConfig, "recipe.warm_start", "prompt")
def _worked(config: RunConfig, recipe: RewardingConfig) -> list[Problem]:
    protocol = config.prompt.protocol
    if not recipe.warm_start.enabled or isinstance(protocol, PairProtocol | WorkedPointProtocol):
        return []
    message = f"no program writes judgments for the protocol '{config.prompt.name}'"
    return [Problem("recipe.warm_start.enabled", message, "Use prompt=additive_brief, or no warm start")]


@of_recipe(RewardingConfig, "loss.name")
def _loss(config: RunConfig, recipe: RewardingConfig) -> list[Problem]:
    if config.loss.name != "sft":
        return []
    message = f"every iteration of recipe {recipe.name} is preference training"
    return [Problem("loss.name", message, "Use loss=dpo or another preference loss")]


@of_recipe(RewardingConfig, "sampler.temperature")
def _greedy(config: RunConfig, recipe: RewardingConfig) -> list[Problem]:
    if config.sampler.temperature > 0:
        return []
    message = "greedy responses to one prompt are all the same, so no preference pair can form"
    return [Problem("sampler.temperature", message, "Use more than 0")]


@of_recipe(RewardingConfig, "recipe.min_valid", "recipe.judgments")
def _valid(config: RunConfig, recipe: RewardingConfig) -> list[Problem]:
    if recipe.min_valid <= recipe.judgments:
        return []
    message = f"of {recipe.judgments} judgments (recipe.judgments) no {recipe.min_valid} can be valid"
    return [Problem("recipe.min_valid", message, f"Use at most {recipe.judgments}")]


@of_recipe(RewardingConfig, "recipe.schedule", "recipe.judgments")
def _schedule(config: RunConfig, recipe: RewardingConfig) -> list[Problem]:
    if not recipe.schedule:
        return [Problem("recipe.schedule", "no iteration is left", "Keep at least one")]
    found = [
        Problem(f"recipe.schedule.{name}", f"'{name}' is the name of another model of this recipe", "Name it m1, m2 …")
        for name in recipe.schedule
        if name in ("seed", "warm", "ift", recipe.first_model)
    ]
    judging = [name for name, iteration in recipe.schedule.items() if iteration.judge_pairs]
    if judging and not recipe.meta_judges:
        message = "Self-Rewarding has no meta-judge to make pairs of judgments"
        found += [
            Problem(f"recipe.schedule.{name}.judge_pairs", message, "Use recipe=meta_rewarding") for name in judging
        ]
    elif judging and recipe.judgments < 2:
        message = "one judgment of a response can be compared with no other"
        found.append(Problem("recipe.judgments", message, "Use at least 2, or no judge_pairs in recipe.schedule"))
    return found


@of_recipe(RewardingConfig, "recipe.seed_data", "data.first_round")
def _seed_data(config: RunConfig, recipe: RewardingConfig) -> list[Problem]:
    wanted, most = recipe.seed_data, config.data.first_round
    if not (wanted.ift and wanted.eft) or wanted.ift_count is None or most is None or wanted.ift_count < most:
        return []
    message = f"instruction tuning takes all {most} instructions of D1, and evaluation tuning needs others"
    return [Problem("recipe.seed_data.ift_count", message, f"Use less than {most}, or raise data.first_round")]


@of_recipe(RewardingConfig, "recipe.prompts")
def _prompts(config: RunConfig, recipe: RewardingConfig) -> list[Problem]:
    prompts = recipe.prompts
    if prompts.source == "data" or prompts.max_requests >= prompts.count:
        return []
    message = f"{prompts.max_requests} requests cannot give {prompts.count} prompts (recipe.prompts.count)"
    return [Problem("recipe.prompts.max_requests", message, f"Use at least {prompts.count}")]


of_recipe(RewardingConfig, "recipe.validate", "data.validation")(validation_split)
of_recipe(RewardingConfig, "recipe.warm_start", "data.validation")(warm_stop)
of_recipe(RewardingConfig, "recipe.sft.betas", "recipe.dpo.betas", "recipe.warm_start.optim.betas")(betas)
