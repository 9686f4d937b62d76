"""SFT on what the labels say: the judge that explains nothing, which others must beat."""

from __future__ import annotations

from judgekit.stages.data import make_splits
from judgekit.stages.lab import Lab
from judgekit.stages.measuring import Measured, Outcome
from judgekit.stages.training import train_judge
from judgekit_sample.direct.config import DirectConfig
from judgekit_sample.direct.stages import BareVerdicts


def direct(lab: Lab) -> Outcome:
    """The whole recipe."""
    recipe = lab.recipe(DirectConfig)
    splits = make_splits(lab, warm=0, second_round=False)
    measured = Measured(lab, splits)

    seed = measured.add(lab.seed)
    verdicts = lab.make(BareVerdicts(splits=splits))
    measured.add(train_judge(lab, "direct", "sft", verdicts, seed, recipe.sft))
    return measured.outcome()
