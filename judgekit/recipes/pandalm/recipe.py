"""PandaLM (arXiv 2306.05087): a small judge that learns a stronger model's verdicts, reasons and references.

Several models, tuned alike, answer the same instructions; a teacher compares every two of their responses in both
orders; pairs whose verdict changes with the order are dropped; the seed is fine-tuned on what is kept.
"""

from __future__ import annotations

from math import comb
from typing import Any

from judgekit.prompts.pandalm import PandaLMPrompt
from judgekit.recipes.pandalm.config import PandaLMConfig
from judgekit.recipes.pandalm.stages import Demonstrations, TeacherJudgments, WorkedReviews
from judgekit.stages.candidates import candidate_pairs
from judgekit.stages.data import make_splits, orders, planned_size
from judgekit.stages.lab import Lab
from judgekit.stages.measuring import Measured, Outcome
from judgekit.stages.models import Judge, Judging
from judgekit.stages.stage import Made, at
from judgekit.stages.surface_cues import PairCues
from judgekit.stages.teaching import find_teacher
from judgekit.stages.training import ConsistentAccuracy, train_judge


def pandalm(lab: Lab) -> Outcome:
    """The whole recipe."""
    recipe, count = lab.recipe(PandaLMConfig), planned_size(lab.config.data, "first_round")
    splits = make_splits(lab, warm_examples(recipe), recipe.warm_start.categories, second_round=False)
    validation = ConsistentAccuracy(splits) if recipe.validate else None
    measured = Measured(lab, splits)
    seed = measured.add(lab.seed)

    asked = teacher_prompt(lab)
    teacher = find_teacher(lab, warm_teacher(lab, splits, seed, asked) if recipe.warm_start.enabled else None)
    pairs = candidate_pairs(lab, splits, "d1", count, recipe.candidates, recipe.tuning, recipe.pairs_per_instruction)
    most = comb(len(recipe.candidates), 2)
    shown = orders(lab.config.bias.both_orders)
    judgments = lab.make(
        TeacherJudgments(
            compared=pairs, teacher=teacher, prompt=asked, orders=shown,
            expected=count * min(most, recipe.pairs_per_instruction or most),
        )
    )  # fmt: skip
    lab.make(PairCues(data="teacher", rows=pairs, judgments=judgments))
    lessons = lab.make(Demonstrations(compared=pairs, judgments=judgments, asked=asked, orders=shown))
    measured.add(train_judge(lab, "sft", "sft", lessons, seed, recipe.sft, validation))
    return measured.outcome()


def warm_examples(recipe: PandaLMConfig) -> int:
    """Instructions set apart for what needs labelled pairs: a stand-in teacher, candidates tuned without a file."""
    tuning = recipe.tuning
    return max(
        recipe.warm_start.examples if recipe.warm_start.enabled else 0,
        tuning.examples if tuning.enabled and tuning.path is None else 0,
    )


def teacher_prompt(lab: Lab) -> PandaLMPrompt:
    """How the teacher is asked."""
    prompt = lab.use(lab.config.teacher.prompt)
    return prompt if isinstance(prompt, PandaLMPrompt) else PandaLMPrompt(style="teacher")


def warm_teacher(lab: Lab, splits: Made[Any], seed: Judge, asked: PandaLMPrompt) -> Judge:
    """The seed after SFT on judgments a program writes in the teacher's format."""
    start = lab.recipe(PandaLMConfig).warm_start
    worked = lab.make(WorkedReviews(splits=splits, asked=asked, examples=at("recipe.warm_start.examples")))
    accuracy = ConsistentAccuracy(splits, Judging(prompt=asked))
    early = accuracy if start.stop_accuracy is not None else None
    return train_judge(lab, "teacher", "sft", worked, seed, start.optim, early, start.stop_accuracy)
