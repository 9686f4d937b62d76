"""Values that ``recipe=pandalm`` cannot work with."""

from __future__ import annotations

from judgekit.errors import Problem
from judgekit.prompts.pandalm import PandaLMPrompt
from judgekit.recipes.pandalm.config import PandaLMConfig
from judgekit.schema.config import RunConfig
from judgekit.schema.rules import of_recipe
from judgekit.schema.shared_checks import (
    candidate_models,
    too_few,
    validation_split,
    warm_stop,
    wrong_betas,
)


@of_recipe(PandaLMConfig, "data.sources", "data.held_out", "data.validation")
def _labelled_splits(config: RunConfig, recipe: PandaLMConfig) -> list[Problem]:
    bare = [name for name, source in config.data.sources.items() if source.pairs == "none"]
    splits = [name for name in ("held_out", "validation") if getattr(config.data, name)]
    message = f"data.{' and data.'.join(splits)} judge labelled pairs, and this source makes none"
    hint = "Set them to 0, or choose how its pairs are made"
    return [Problem(f"data.sources.{name}.pairs", message, hint) for name in bare if splits]


@of_recipe(PandaLMConfig, "data.sources", "data.first_round", "data.validation", "data.held_out", "recipe.warm_start")
def _pandalm_counts(config: RunConfig, recipe: PandaLMConfig) -> list[Problem]:
    return too_few(config, ("first_round", "validation", "held_out"), recipe.warm_start)


@of_recipe(PandaLMConfig, "recipe.candidates")
def _candidates(config: RunConfig, recipe: PandaLMConfig) -> list[Problem]:
    if len(recipe.candidates) > 1:
        return []
    message = f"{len(recipe.candidates)} of the two or more models whose responses are compared"
    return [Problem("recipe.candidates", message, "Add +recipe.candidates.NAME.model.path=FOLDER, for example")]


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
    return wrong_betas(stages)


of_recipe(PandaLMConfig, "recipe.validate", "data.validation")(validation_split)
of_recipe(PandaLMConfig, "recipe.warm_start", "data.validation")(warm_stop)
of_recipe(PandaLMConfig, "recipe.candidates")(candidate_models)
