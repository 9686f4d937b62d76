"""CritiqueLLM (arXiv 2311.18702): a judge of single answers and of pairs, with and without reference, from a teacher.

The teacher critiques single answers against a reference. Everything else is rewritten from that, by two paths:

1. point-ref -> P2P -> pair-ref -> R2RF -> pair-free
2. point-ref -> R2RF -> point-free -> P2P -> pair-free

Comparisons without a reference are kept where both paths agree. The judge is trained on all four kinds, and the
checkpoint is the one whose scores on the validation split correlate best with the teacher's.
"""

from __future__ import annotations

from typing import Any

from judgekit.recipes.critiquellm.augmentation import augment_queries
from judgekit.recipes.critiquellm.config import CritiqueLLMConfig
from judgekit.recipes.critiquellm.critiques import (
    AgreedComparisons,
    Comparisons,
    FreeComparisons,
    FreePoints,
    Points,
)
from judgekit.recipes.critiquellm.stages import CritiqueRows, PearsonWithTeacher, References, WorkedCritiques
from judgekit.stages.candidates import CandidatePairs, candidate_pairs
from judgekit.stages.data import make_splits, planned_size
from judgekit.stages.lab import Lab
from judgekit.stages.measuring import Measured, Outcome
from judgekit.stages.models import Judge
from judgekit.stages.stage import Made
from judgekit.stages.surface_cues import PairCues
from judgekit.stages.teaching import Teacher, find_teacher
from judgekit.stages.training import train_judge


def critiquellm(lab: Lab) -> Outcome:
    """The whole recipe."""
    recipe, data = lab.recipe(CritiqueLLMConfig), lab.config.data
    queries: list[Made[Any]] = []

    def choose(instructions: Made[Any]) -> Made[Any]:
        wanted = recipe.augmentation.enabled
        queries.append(augment_queries(lab, find_teacher(lab), instructions) if wanted else instructions)
        return queries[0]

    stand_in = recipe.stand_in
    splits = make_splits(lab, stand_in.examples if stand_in.enabled else 0, second_round=False, choose=choose)
    seed = lab.seed
    teacher = find_teacher(lab, train_stand_in(lab, splits, seed) if stand_in.enabled else None)
    pairs = add_references(lab, teacher, queries[0], splits)
    measured = Measured(lab, pairs)
    measured.add(seed)

    expected = planned_size(data, "first_round")
    asked: dict[str, Any] = {"teacher": teacher, "pairs": pairs, "expected": expected}
    both = asked | {"expected": 2 * expected}
    point_ref = lab.make(Points(split="d1", **both))
    pair_ref = lab.make(Comparisons(path="pair_ref", points=point_ref, referenced=True, **asked))
    lab.make(PairCues(data="teacher", rows=pairs, file="d1", judgments=pair_ref))
    first = lab.make(FreeComparisons(comparisons=pair_ref, **asked))
    point_free = lab.make(FreePoints(split="d1", points=point_ref, **both))
    second = lab.make(Comparisons(path="path2", points=point_free, referenced=False, **asked))
    pair_free = lab.make(AgreedComparisons(first=first, second=second))
    rows = lab.make(
        CritiqueRows(pairs=pairs, point_ref=point_ref, point_free=point_free, pair_ref=pair_ref, pair_free=pair_free)
    )

    validation = None
    if recipe.validate:
        gold = lab.make(Points(split="validation", **asked | {"expected": 2 * data.validation}))
        validation = PearsonWithTeacher(pairs, gold)
    judge = measured.add(train_judge(lab, "sft", "sft", rows, seed, recipe.sft, validation))
    if recipe.votes:
        measured.add(judge.voting(recipe.votes))
    return measured.outcome()


def add_references(lab: Lab, teacher: Teacher, queries: Made[Any], splits: Made[Any]) -> Made[References]:
    """The splits once more, with answers of the candidates, where there are any, and references."""
    recipe, data = lab.recipe(CritiqueLLMConfig), lab.config.data
    expected = planned_size(data, "first_round")
    sizes = {"d1": expected, "validation": data.validation if recipe.validate else 0}
    answered: dict[str, Made[CandidatePairs]] = {
        split: candidate_pairs(lab, splits, split, size, recipe.candidates, None, recipe.pairs_per_instruction)
        for split, size in sizes.items()
        if recipe.candidates and size
    }
    asks = recipe.references == "teacher"
    return lab.make(
        References(
            queries=queries, splits=splits, answered=answered, teacher=teacher if asks else None,
            expected=expected + data.validation,
        )
    )  # fmt: skip


def train_stand_in(lab: Lab, splits: Made[Any], seed: Judge) -> Judge:
    """The seed after SFT on critiques a program writes, on the teacher's own prompts."""
    worked = lab.make(WorkedCritiques(splits=splits))
    return train_judge(lab, "stand_in", "sft", worked, seed, lab.recipe(CritiqueLLMConfig).stand_in.optim)
