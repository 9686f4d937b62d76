"""Combinations of a recipe's values that cannot work together."""

from __future__ import annotations

from collections.abc import Mapping

from judgekit.errors import Problem
from judgekit.prompts.base import WorkedProtocol
from judgekit.prompts.evalplanner import EvalPlannerPrompt
from judgekit.prompts.pandalm import PandaLMPrompt
from judgekit.schema.config import RunConfig
from judgekit.schema.critiquellm import CritiqueLLMConfig
from judgekit.schema.optim import OptimConfig
from judgekit.schema.recipes import (
    EvalPlannerConfig,
    JudgeLMConfig,
    PandaLMConfig,
    SelfTaughtConfig,
)
from judgekit.schema.rewarding import MetaRewardingConfig, SelfRewardingConfig
from judgekit.schema.rules import of_recipe
from judgekit.schema.warm_start import WarmStartConfig

Preferring = EvalPlannerConfig | MetaRewardingConfig | SelfRewardingConfig | SelfTaughtConfig
Validated = Preferring | JudgeLMConfig | PandaLMConfig
"""Recipes that can choose checkpoints on a validation split."""


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
    return _too_few(config, ("first_round", "second_round", "validation", "held_out"), recipe.warm_start)


def _too_few(config: RunConfig, splits: tuple[str, ...], warm: WarmStartConfig) -> list[Problem]:
    """Whether the sources give fewer instructions than a recipe's splits and warm start want."""
    parts = [*(getattr(config.data, split) for split in splits), warm.examples if warm.enabled else 0]
    given = [source.count for source in config.data.sources.values()]
    counts = [count for count in given if count is not None]
    if not counts or len(counts) < len(given) or sum(parts) <= sum(counts):
        return []
    message = (
        f"{' + '.join(splits)} + recipe.warm_start.examples = {' + '.join(map(str, parts))} = {sum(parts)}, "
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


@of_recipe(EvalPlannerConfig, "recipe.validate", "data.validation")
@of_recipe(JudgeLMConfig, "recipe.validate", "data.validation")
@of_recipe(PandaLMConfig, "recipe.validate", "data.validation")
@of_recipe(SelfTaughtConfig, "recipe.validate", "data.validation")
@of_recipe(SelfRewardingConfig, "recipe.validate", "data.validation")
@of_recipe(MetaRewardingConfig, "recipe.validate", "data.validation")
def _validation_split(config: RunConfig, recipe: Validated) -> list[Problem]:
    if not recipe.validate or config.data.validation > 0:
        return []
    message = "choosing checkpoints needs a validation split, and data.validation is 0"
    return [Problem("recipe.validate", message, "Use recipe.validate=false or raise data.validation")]


@of_recipe(EvalPlannerConfig, "recipe.warm_start", "data.validation")
@of_recipe(JudgeLMConfig, "recipe.warm_start", "data.validation")
@of_recipe(PandaLMConfig, "recipe.warm_start", "data.validation")
@of_recipe(SelfTaughtConfig, "recipe.warm_start", "data.validation")
@of_recipe(SelfRewardingConfig, "recipe.warm_start", "data.validation")
@of_recipe(MetaRewardingConfig, "recipe.warm_start", "data.validation")
def _warm_stop(config: RunConfig, recipe: Validated) -> list[Problem]:
    warm = recipe.warm_start
    if not warm.enabled or warm.stop_accuracy is None or config.data.validation > 0:
        return []
    message = "stopping the warm start early needs a validation split, and data.validation is 0"
    return [Problem("recipe.warm_start.stop_accuracy", message, "Use null or raise data.validation")]


@of_recipe(EvalPlannerConfig, "recipe.sft.betas", "recipe.dpo.betas", "recipe.warm_start.optim.betas")
@of_recipe(SelfTaughtConfig, "recipe.sft.betas", "recipe.dpo.betas", "recipe.warm_start.optim.betas")
@of_recipe(SelfRewardingConfig, "recipe.sft.betas", "recipe.dpo.betas", "recipe.warm_start.optim.betas")
@of_recipe(MetaRewardingConfig, "recipe.sft.betas", "recipe.dpo.betas", "recipe.warm_start.optim.betas")
def _betas(config: RunConfig, recipe: Preferring) -> list[Problem]:
    return _wrong_betas({"sft": recipe.sft, "dpo": recipe.dpo, "warm_start.optim": recipe.warm_start.optim})


def _wrong_betas(stages: Mapping[str, OptimConfig]) -> list[Problem]:
    return [
        Problem(f"recipe.{name}.betas", f"Adam needs 0 <= β < 1, not {list(optim.betas)}")
        for name, optim in stages.items()
        if not all(0 <= beta < 1 for beta in optim.betas)
    ]


@of_recipe(
    SelfTaughtConfig, "data.sources", "data.first_round", "data.validation", "data.held_out", "recipe.warm_start"
)
@of_recipe(
    SelfRewardingConfig, "data.sources", "data.first_round", "data.validation", "data.held_out", "recipe.warm_start"
)
@of_recipe(
    MetaRewardingConfig, "data.sources", "data.first_round", "data.validation", "data.held_out", "recipe.warm_start"
)
def _one_round_counts(
    config: RunConfig, recipe: SelfTaughtConfig | SelfRewardingConfig | MetaRewardingConfig
) -> list[Problem]:
    return _too_few(config, ("first_round", "validation", "held_out"), recipe.warm_start)


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


@of_recipe(EvalPlannerConfig, "data.sources")
@of_recipe(SelfTaughtConfig, "data.sources")
def _needs_pairs(config: RunConfig, recipe: EvalPlannerConfig | SelfTaughtConfig) -> list[Problem]:
    return [
        Problem(f"data.sources.{name}.pairs", f"recipe {recipe.name} trains on pairs, and this source makes none")
        for name, source in config.data.sources.items()
        if source.pairs == "none"
    ]


@of_recipe(PandaLMConfig, "data.sources", "data.held_out", "data.validation")
def _labelled_splits(config: RunConfig, recipe: PandaLMConfig) -> list[Problem]:
    bare = [name for name, source in config.data.sources.items() if source.pairs == "none"]
    splits = [name for name in ("held_out", "validation") if getattr(config.data, name)]
    message = f"data.{' and data.'.join(splits)} judge labelled pairs, and this source makes none"
    hint = "Set them to 0, or choose how its pairs are made"
    return [Problem(f"data.sources.{name}.pairs", message, hint) for name in bare if splits]


@of_recipe(PandaLMConfig, "data.sources", "data.first_round", "data.validation", "data.held_out", "recipe.warm_start")
def _pandalm_counts(config: RunConfig, recipe: PandaLMConfig) -> list[Problem]:
    return _too_few(config, ("first_round", "validation", "held_out"), recipe.warm_start)


@of_recipe(PandaLMConfig, "recipe.candidates")
def _candidates(config: RunConfig, recipe: PandaLMConfig) -> list[Problem]:
    if len(recipe.candidates) > 1:
        return []
    message = f"{len(recipe.candidates)} of the two or more models whose responses are compared"
    return [Problem("recipe.candidates", message, "Add +recipe.candidates.NAME.model.path=FOLDER, for example")]


@of_recipe(CritiqueLLMConfig, "recipe.candidates")
@of_recipe(JudgeLMConfig, "recipe.candidates")
@of_recipe(PandaLMConfig, "recipe.candidates")
def _candidate_models(config: RunConfig, recipe: CritiqueLLMConfig | JudgeLMConfig | PandaLMConfig) -> list[Problem]:
    return [
        Problem(f"recipe.candidates.{name}.model.revision", "not given, so the run could not be repeated",
                f"Add recipe.candidates.{name}.model.revision=COMMIT, or .model.path=FOLDER")
        for name, candidate in recipe.candidates.items()
        if (model := candidate.model) is not None and model.path is None and model.wheel is None
        and (model.hub_id is None or model.revision is None)
    ]  # fmt: skip


@of_recipe(PandaLMConfig, "prompt", "teacher")
def _panda_prompts(config: RunConfig, recipe: PandaLMConfig) -> list[Problem]:
    problems = []
    if not isinstance(config.prompt, PandaLMPrompt) or config.prompt.style != "judge":
        message = "the judge learns PandaLM's own format"
        problems.append(Problem("prompt.name", message, "Use prompt=pandalm or prompt=pandalm_plain"))
    asked = config.teacher.prompt
    if asked is not None and not isinstance(asked, PandaLMPrompt):
        message = f"the protocol '{asked.name}' gives no reason and reference, which the judge is to learn"
        problems.append(Problem("teacher.prompt", message, "Use prompt@teacher.prompt=pandalm_teacher, or null"))
    return problems


@of_recipe(PandaLMConfig, "recipe.sft.betas", "recipe.tuning.optim.betas", "recipe.warm_start.optim.betas")
def _panda_betas(config: RunConfig, recipe: PandaLMConfig) -> list[Problem]:
    stages = {"sft": recipe.sft, "tuning.optim": recipe.tuning.optim, "warm_start.optim": recipe.warm_start.optim}
    return _wrong_betas(stages)


@of_recipe(
    JudgeLMConfig, "recipe.reviews", "data.sources", "data.first_round", "data.validation", "data.held_out",
    "recipe.warm_start",
)  # fmt: skip
def _judgelm_counts(config: RunConfig, recipe: JudgeLMConfig) -> list[Problem]:
    return [] if recipe.reviews else _too_few(config, ("first_round", "validation", "held_out"), recipe.warm_start)


@of_recipe(JudgeLMConfig, "recipe.sft.betas", "recipe.warm_start.optim.betas")
def _judgelm_betas(config: RunConfig, recipe: JudgeLMConfig) -> list[Problem]:
    return _wrong_betas({"sft": recipe.sft, "warm_start.optim": recipe.warm_start.optim})
