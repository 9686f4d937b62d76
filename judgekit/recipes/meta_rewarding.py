"""Meta-Rewarding Language Models (arXiv 2407.19594): an actor, its judge and its judge's judge in one model.

Seed -> SFT on EFT seed data. Then iterate: the *actor* answers prompts K times, the *judge* scores every answer N
times, and length control picks the actor's pairs. In iterations that train the judge too, the *meta-judge* compares
the judgments of one answer a prompt, and Elo picks the judge's pairs. DPO on both makes the next model (M1 to M4).
Without judge pairs this is the paper's baseline, Self-Rewarding with length control.
"""

from __future__ import annotations

from judgekit.recipes.lab import Handle, Lab, Outcome
from judgekit.recipes.meta_judging import collapsed, compare_judgments, pair_judgments, report_bias
from judgekit.recipes.rewarding import join_pairs, pair_responses, prompt_pool, sample_responses, score_responses
from judgekit.recipes.self_play import begin
from judgekit.recipes.training import train_judge
from judgekit.schema.rewarding import MetaRewardingConfig


def meta_rewarding(lab: Lab) -> Outcome:
    """The whole recipe."""
    recipe = lab.recipe(MetaRewardingConfig)
    start = begin(lab, "sft", with_meta_judge=recipe.meta.prompt)
    splits, protocol, validate = start.splits, start.protocol, start.validate
    prompts = prompt_pool(lab, splits)
    limits, stopped = recipe.meta.collapse, False
    reports: dict[str, Handle] = {}

    model = initial = start.model
    for number, (name, iteration) in enumerate(recipe.schedule.items()):
        responses = sample_responses(lab, name, number, prompts, model)
        judgments = score_responses(lab, name, responses, model, protocol)
        pairs = [pair_responses(lab, name, responses, judgments, iteration)]

        meta = iteration.judge_pairs and not stopped
        comparisons = compare_judgments(lab, name, responses, judgments, model) if meta else None
        first = next(iter(reports.values()), None)
        report = report_bias(lab, name, responses, judgments, pairs[0], protocol, comparisons, first)
        reports[name] = report
        if comparisons is not None:
            stopped = collapsed(lab, report, limits) and limits.stop
            if not stopped:
                pairs.append(pair_judgments(lab, name, responses, judgments, comparisons, protocol, iteration))

        reference = initial if recipe.reference == "initial" else model
        rows = join_pairs(lab, name, pairs)
        trained = train_judge(lab, name, "dpo", rows, model, recipe.dpo, validate, [splits], reference=reference)
        model = start.measured.add(trained)
    return start.measured.outcome(reports)
