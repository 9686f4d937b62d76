"""Self-Rewarding Language Models (arXiv 2401.10020): a model that answers prompts, scores its answers, and learns.

M0 -> SFT on IFT and EFT seed data -> M1. Then iterate: the model answers new prompts K times, scores each answer with
the additive 5-point judge N times, and DPO on the best against the worst answer makes the next model (M2, M3).
"""

from __future__ import annotations

from typing import Any

from judgekit.recipes.self_rewarding.beginning import begin
from judgekit.recipes.self_rewarding.config import SelfRewardingConfig
from judgekit.recipes.self_rewarding.stages import Iteration, join_pairs, prompt_pool
from judgekit.stages.bias_report import BiasReport
from judgekit.stages.lab import Lab
from judgekit.stages.measuring import Outcome
from judgekit.stages.stage import Made
from judgekit.stages.training import train_judge


def self_rewarding(lab: Lab) -> Outcome:
    """The whole recipe."""
    recipe = lab.recipe(SelfRewardingConfig)
    start = begin(lab, "m1")
    prompts = prompt_pool(lab, start.splits)
    reports: dict[str, Made[Any]] = {}

    model = initial = start.model
    for number, (name, settings) in enumerate(recipe.schedule.items()):
        iteration = Iteration(lab, name, number, settings)
        responses = iteration.sample_responses(prompts, model)
        judgments = iteration.score_responses(responses, model)
        pairs = iteration.pair_responses(responses, judgments)
        first = next(iter(reports.values()), None)
        reports[name] = lab.make(
            BiasReport(iteration=name, responses=responses, judgments=judgments, pairs=pairs, first=first)
        )
        reference = initial if recipe.reference == "initial" else model
        rows = join_pairs(lab, name, [pairs])
        trained = train_judge(lab, name, "dpo", rows, model, recipe.dpo, start.validation, reference=reference)
        model = start.measured.add(trained)
    return start.measured.outcome(reports)
