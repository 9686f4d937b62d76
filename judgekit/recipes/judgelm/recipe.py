"""JudgeLM (arXiv 2310.17631): a judge distilled from a teacher's scores and reasons, one order and one epoch at a time.

The teacher reviews every pair twice, without and with a reference answer. The judge is fine-tuned on these reviews;
every epoch draws anew whether a row is swapped and whether its reference is shown, and the target follows both draws.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from judgekit.prompts.judgelm import JudgeLMPrompt
from judgekit.recipes.judgelm.config import JudgeLMConfig
from judgekit.recipes.judgelm.stages import (
    PLAIN,
    REFERENCED,
    Demonstrations,
    ReasonedReviews,
    ReleasedReviews,
    Reviewed,
    Reviews,
    ScoreLines,
    Seeds,
    Tasks,
)
from judgekit.stages.candidates import candidate_pairs
from judgekit.stages.data import make_splits, planned_size
from judgekit.stages.lab import Lab
from judgekit.stages.measuring import Measured, Outcome
from judgekit.stages.models import Judge
from judgekit.stages.stage import Made, file_inputs
from judgekit.stages.surface_cues import PairCues
from judgekit.stages.teaching import Teacher, find_teacher
from judgekit.stages.training import ConsistentAccuracy, train_judge
from judgekit.stages.warm_start import WorkedJudgments, warm_judge


def judgelm(lab: Lab) -> Outcome:
    """The whole recipe."""
    recipe, seed = lab.recipe(JudgeLMConfig), lab.seed
    reviewed: Made[Any]
    if recipe.reviews is not None:
        (digest,) = file_inputs(recipe.reviews)
        reviewed, judges = lab.make(ReleasedReviews(digest=digest, path=recipe.reviews)), [seed]
    else:
        reviewed, judges = review(lab, seed)

    measured = Measured(lab, reviewed)
    for judge in judges:
        measured.add(judge)
    rows = lab.make(Demonstrations(reviewed=reviewed))
    validation = ConsistentAccuracy(reviewed) if recipe.validate else None
    measured.add(train_judge(lab, "sft", "sft", rows, seed, recipe.sft, validation))
    return measured.outcome()


def review(lab: Lab, seed: Judge) -> tuple[Made[Reviewed], list[Judge]]:
    """Pairs with the teacher's reviews; and the judges there are: the seed, and what stands in for a teacher."""
    recipe = lab.recipe(JudgeLMConfig)
    start = recipe.warm_start
    splits = make_splits(lab, start.examples if start.enabled else 0, start.categories, second_round=False)
    tasks = make_tasks(lab, splits)
    judges = [seed]
    if start.enabled:
        worked = lab.make(WorkedJudgments(splits=splits))
        judges.append(warm_judge(lab, worked, seed, start, ConsistentAccuracy(splits)))
    teacher = find_teacher(lab, judges[-1])
    plain = teach_reviews(lab, teacher, PLAIN, tasks)
    lab.make(PairCues(data="teacher", rows=tasks, file="d1", judgments=plain))
    referenced = teach_reviews(lab, teacher, REFERENCED, tasks) if recipe.references != "none" else None
    return lab.make(Reviewed(tasks=tasks, plain=plain, referenced=referenced)), judges


def make_tasks(lab: Lab, splits: Made[Any]) -> Made[Any]:
    """The pairs of all splits (``SPLIT.jsonl``): answers of the candidates, where there are any, and references."""
    recipe = lab.recipe(JudgeLMConfig)
    answered = None
    if recipe.candidates:
        seeds = lab.make(Seeds(splits=splits))
        answered = candidate_pairs(lab, seeds, "seeds", seen_by_teacher(lab), recipe.candidates, None, 1)
    if answered is None and recipe.references != "teacher":
        return splits
    teacher = find_teacher(lab) if recipe.references == "teacher" else None
    return lab.make(Tasks(splits=splits, answered=answered, teacher=teacher, expected=seen_by_teacher(lab)))


def teach_reviews(lab: Lab, teacher: Teacher, kind: str, tasks: Made[Any]) -> Made[Any]:
    """The teacher's reviews of all pairs as they are, response_a first, usable ones only.

    Where its verdicts are constrained it first chooses among ``prompt.score_lines``, then goes on with its reasons.

    :param kind: ``plain`` shows no reference; ``reference`` takes the pairs that have one
    """
    own = teacher.prompt if isinstance(teacher.prompt, JudgeLMPrompt) else lab.prompt(JudgeLMPrompt)
    shown = replace(own, reference=True, fast=False)
    count = seen_by_teacher(lab)
    if not teacher.constrained or not shown.score_lines:
        return lab.make(Reviews(kind=kind, tasks=tasks, teacher=teacher, prompt=shown, expected=count))
    scores = lab.make(ScoreLines(kind=kind, tasks=tasks, teacher=teacher, prompt=shown, expected=count))
    return lab.make(
        ReasonedReviews(kind=kind, tasks=tasks, scores=scores, teacher=teacher, prompt=shown, expected=count)
    )


def seen_by_teacher(lab: Lab) -> int:
    """Pairs that the teacher sees, at most."""
    data = lab.config.data
    return planned_size(data, "first_round") + data.validation + data.held_out
