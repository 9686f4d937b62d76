"""Self-Taught Evaluators (arXiv 2408.02666): a judge made from its own judgments on pairs built to have a right answer.

Select instructions and build a worse response to each, once. Then iterate: the judge so far samples N judgments of
every pair, those that disagree with the construction are rejected, and the *seed* is fine-tuned on what is kept. As in
the released models, preference training on right against wrong judgments that the fine-tuned judge samples may follow
(``loss=dpo``).
"""

from __future__ import annotations

from typing import Any

from judgekit.recipes.self_taught.config import SelfTaughtConfig
from judgekit.recipes.self_taught.selection import select_instructions
from judgekit.recipes.self_taught.stages import Demonstrations, Negatives, Preferences
from judgekit.stages.data import make_splits, planned_size
from judgekit.stages.lab import Lab
from judgekit.stages.measuring import Measured, Outcome
from judgekit.stages.selecting import SampledJudgments
from judgekit.stages.training import ConsistentAccuracy, train_judge
from judgekit.stages.warm_start import WorkedJudgments, warm_judge


def self_taught(lab: Lab) -> Outcome:
    """The whole recipe."""
    recipe = lab.recipe(SelfTaughtConfig)
    start = recipe.warm_start
    choose = (lambda rows: select_instructions(lab, rows)) if recipe.selection.enabled else None
    warm = start.examples if start.enabled else 0
    splits = make_splits(lab, warm, start.categories, second_round=False, choose=choose)
    accuracy = ConsistentAccuracy(splits)
    validation = accuracy if recipe.validate else None
    measured, expected = Measured(lab, splits), planned_size(lab.config.data, "first_round")

    seed = measured.add(lab.seed)
    if start.enabled:
        worked = lab.make(WorkedJudgments(splits=splits))
        seed = measured.add(warm_judge(lab, worked, seed, start, accuracy))

    judge = seed
    for number in range(1, recipe.iterations + 1):
        name = f"iter{number}"
        drawn: dict[str, Any] = {
            "iteration": name,
            "splits": splits,
            "model": lab.model(judge),
            "count": recipe.judgments,
        }
        judgments = lab.make(SampledJudgments(**drawn, expected=expected))
        kept = lab.make(Demonstrations(iteration=name, splits=splits, judgments=judgments))
        trained = measured.add(train_judge(lab, name, "sft", kept, seed, recipe.sft, validation))
        if lab.config.loss.name != "sft" and (recipe.preference_rounds == "every" or number == recipe.iterations):
            # The release pairs judgments of the SFT model it starts DPO from, not of the judge before it.
            name = f"dpo{number}"
            drawn |= {"iteration": name, "model": lab.model(trained)}
            judgments = lab.make(SampledJudgments(**drawn, expected=expected))
            more = recipe.negative_temperature is not None
            negatives = lab.make(Negatives(**drawn, expected=expected)) if more else None
            pairs = lab.make(Preferences(iteration=name, splits=splits, judgments=judgments, negatives=negatives))
            trained = measured.add(train_judge(lab, name, "dpo", pairs, trained, recipe.dpo, validation))
        judge = trained
    if recipe.votes:
        measured.add(judge.voting(recipe.votes))
    return measured.outcome()
