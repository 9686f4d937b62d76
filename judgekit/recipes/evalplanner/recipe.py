"""EvalPlanner (arXiv 2501.18099): a judge that plans an evaluation, executes the plan, and decides.

M0 -> SFT(D1) -> DPO(D1) -> resample with that model -> DPO(D2). A chain is a plan z, an execution e and a verdict y;
it is correct when y equals the label the response pair was built with.
"""

from __future__ import annotations

from judgekit.recipes.evalplanner.config import EvalPlannerConfig
from judgekit.recipes.evalplanner.stages import Chains, Demonstrations, Preferences, WorkedChains
from judgekit.stages.data import make_splits, planned_size
from judgekit.stages.lab import Lab
from judgekit.stages.measuring import Measured, Outcome
from judgekit.stages.training import ConsistentAccuracy, train_judge
from judgekit.stages.warm_start import warm_judge


def evalplanner(lab: Lab) -> Outcome:
    """The whole recipe."""
    recipe, data = lab.recipe(EvalPlannerConfig), lab.config.data
    start = recipe.warm_start
    splits = make_splits(lab, start.examples if start.enabled else 0, start.categories)
    accuracy = ConsistentAccuracy(splits)
    validation = accuracy if recipe.validate else None
    measured = Measured(lab, splits)

    judge = measured.add(lab.seed)
    if start.enabled:
        executed = "prompt" in (recipe.first_execution, recipe.second_execution)
        worked = lab.make(WorkedChains(splits=splits, plan_every=start.plan_every, executed=executed))
        judge = measured.add(warm_judge(lab, worked, judge, start, accuracy))

    chains = lab.make(
        Chains(
            split="d1", splits=splits, model=lab.model(judge), plan_mode=recipe.first_plans,
            execution_mode=recipe.first_execution, expected=planned_size(data, "first_round"),
        )
    )  # fmt: skip
    demonstrations = lab.make(Demonstrations(split="d1", splits=splits, chains=chains))
    judge = measured.add(train_judge(lab, "sft", "sft", demonstrations, judge, recipe.sft, validation))
    if lab.config.loss.name == "sft":
        return measured.outcome()

    preferences = lab.make(Preferences(split="d1", splits=splits, chains=chains))
    judge = measured.add(train_judge(lab, "dpo1", "dpo", preferences, judge, recipe.dpo, validation))
    if recipe.rounds > 1:
        chains = lab.make(
            Chains(
                split="d2", splits=splits, model=lab.model(judge), plan_mode=recipe.second_plans,
                execution_mode=recipe.second_execution, expected=planned_size(data, "second_round"),
            )
        )  # fmt: skip
        preferences = lab.make(Preferences(split="d2", splits=splits, chains=chains))
        measured.add(train_judge(lab, "dpo2", "dpo", preferences, judge, recipe.dpo, validation))
    return measured.outcome()
