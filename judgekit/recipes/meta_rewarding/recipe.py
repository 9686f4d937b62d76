"""Meta-Rewarding Language Models (arXiv 2407.19594): an actor, its judge and its judge's judge in one model.

Seed -> SFT on EFT seed data. Then iterate: the *actor* answers prompts K times, the *judge* scores every answer N
times, and length control picks the actor's pairs. In iterations that train the judge too, the *meta-judge* compares
the judgments of one answer a prompt, and Elo picks the judge's pairs. DPO on both makes the next model (M1 to M4).
Without judge pairs this is the paper's baseline, Self-Rewarding with length control.
"""

from __future__ import annotations

from typing import Any

from judgekit.recipes.meta_rewarding.config import MetaRewardingConfig
from judgekit.recipes.meta_rewarding.stages import MetaBiasReport, collapsed, compare_judgments, pair_judgments
from judgekit.recipes.self_rewarding.beginning import begin
from judgekit.recipes.self_rewarding.stages import Iteration, join_pairs, prompt_pool
from judgekit.stages.bias_report import BiasReport
from judgekit.stages.lab import Lab
from judgekit.stages.measuring import Outcome
from judgekit.stages.stage import Made
from judgekit.stages.training import train_judge


def meta_rewarding(lab: Lab) -> Outcome:
    """The whole recipe."""
    recipe = lab.recipe(MetaRewardingConfig)
    start = begin(lab, "sft", with_meta_judge=recipe.meta.prompt)
    prompts = prompt_pool(lab, start.splits)
    stopped = False
    reports: dict[str, Made[Any]] = {}

    model = initial = start.model
    for number, (name, settings) in enumerate(recipe.schedule.items()):
        iteration = Iteration(lab, name, number, settings)
        responses = iteration.sample_responses(prompts, model)
        judgments = iteration.score_responses(responses, model)
        pairs: list[Made[Any]] = [iteration.pair_responses(responses, judgments)]

        meta = settings.judge_pairs and not stopped
        comparisons = compare_judgments(iteration, responses, judgments, model) if meta else None
        first = next(iter(reports.values()), None)
        held: dict[str, Any] = {"responses": responses, "judgments": judgments, "pairs": pairs[0], "first": first}
        if comparisons is None:
            reports[name] = lab.make(BiasReport(iteration=name, **held))
        else:
            reports[name] = report = lab.make(MetaBiasReport(iteration=name, comparisons=comparisons, **held))
            stopped = collapsed(lab, report, recipe.meta.collapse) and recipe.meta.collapse.stop
            if not stopped:
                pairs.append(pair_judgments(iteration, responses, judgments, comparisons))

        reference = initial if recipe.reference == "initial" else model
        rows = join_pairs(lab, name, pairs)
        trained = train_judge(lab, name, "dpo", rows, model, recipe.dpo, start.validation, reference=reference)
        model = start.measured.add(trained)
    return start.measured.outcome(reports)
