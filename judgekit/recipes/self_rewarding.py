"""Self-Rewarding Language Models (arXiv 2401.10020): a model that answers prompts, scores its answers, and learns.

M0 -> SFT on IFT and EFT seed data -> M1. Then iterate: the model answers new prompts K times, scores each answer with
the additive 5-point judge N times, and DPO on the best against the worst answer makes the next model (M2, M3).
"""

from __future__ import annotations

from judgekit.recipes.lab import Handle, Lab, Outcome
from judgekit.recipes.meta_judging import report_bias
from judgekit.recipes.rewarding import join_pairs, pair_responses, prompt_pool, sample_responses, score_responses
from judgekit.recipes.self_play import begin
from judgekit.recipes.training import train_judge
from judgekit.schema.rewarding import SelfRewardingConfig


def self_rewarding(lab: Lab) -> Outcome:
    """The whole recipe."""
    recipe = lab.recipe(SelfRewardingConfig)
    start = begin(lab, "m1")
    splits, protocol, validate = start.splits, start.protocol, start.validate
    prompts = prompt_pool(lab, splits)
    reports: dict[str, Handle] = {}

    model = initial = start.model
    for number, (name, iteration) in enumerate(recipe.schedule.items()):
        responses = sample_responses(lab, name, number, prompts, model)
        judgments = score_responses(lab, name, responses, model, protocol)
        pairs = pair_responses(lab, name, responses, judgments, iteration)
        first = next(iter(reports.values()), None)
        reports[name] = report_bias(lab, name, responses, judgments, pairs, protocol, first=first)
        reference = initial if recipe.reference == "initial" else model
        rows = join_pairs(lab, name, [pairs])
        trained = train_judge(lab, name, "dpo", rows, model, recipe.dpo, validate, [splits], reference=reference)
        model = start.measured.add(trained)
    return start.measured.outcome(reports)
