"""``recipe=critiquellm``, in its paper's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from judgekit.papers import Paper
from judgekit.recipes.base import RECIPES, RecipeConfig
from judgekit.schema.candidates import CandidateConfig
from judgekit.schema.fields import setting
from judgekit.schema.optim import OptimConfig


@dataclass(frozen=True)
class AugmentationConfig:
    """Optional first stage: the teacher writes new queries, and those that are new and balanced are used."""

    enabled: bool = setting(False, "write new queries")
    asks: int = setting(8, "times the teacher is asked for queries of each task type", ge=1)
    per_ask: int = setting(8, "queries asked for each time", ge=1)
    examples: int = setting(4, "seed queries shown each time, drawn at random", ge=1)
    rouge_limit: float = setting(
        0.7, "drop queries whose ROUGE-L with a seed query reaches this. Unknown; 0.7 as Self-Instruct", gt=0.0, le=1.0
    )
    self_bleu_limit: float = setting(
        0.5, "drop queries whose BLEU with those kept before reaches this. Unknown", gt=0.0, le=1.0
    )
    count: int = setting(1000, "new queries kept, balanced over task types and difficulties", ge=1)
    keep_seeds: bool = setting(True, "the seed queries are used too. Unknown")
    tokens: int = setting(1024, "longest list of new queries, tokens", ge=1)


@dataclass(frozen=True)
class StandInConfig:
    """Optional: a local teacher for lack of a better one, the seed after SFT on critiques a program writes."""

    enabled: bool = setting(False, "train the stand-in; it teaches where the teacher is the run's own seed")
    examples: int = setting(240, "instructions whose critiques a program writes", ge=1)
    rewrite_every: int = setting(
        8,
        "show rewriting and comparing for every n-th of them only, which is soon learned; judging an answer is not",
        ge=1,
    )
    optim: OptimConfig = setting(OptimConfig, "how it is trained")


@RECIPES.register
@dataclass(frozen=True)
class CritiqueLLMConfig(RecipeConfig):
    """``recipe=critiquellm`` (CritiqueLLM, arXiv 2311.18702)."""

    function: ClassVar[str] = "judgekit.recipes.critiquellm.recipe:critiquellm"
    paper: ClassVar[Paper] = Paper(
        "CritiqueLLM", "2311.18702",
        "CritiqueLLM: Towards an Informative Critique Generation Model for Evaluation of Large Language Model "
        "Generation", "Ke, Pei and others",
    )  # fmt: skip
    name: Literal["critiquellm"] = setting("critiquellm", "recipe")
    augmentation: AugmentationConfig = setting(AugmentationConfig, "optional queries the teacher writes")
    candidates: dict[str, CandidateConfig] = setting(
        {}, "models whose responses are critiqued, by name; none: the pairs that the data bring"
    )
    pairs_per_instruction: int | None = setting(
        1, "pairs of one instruction's responses, drawn at random; null: every two candidates. Unknown", ge=1
    )
    references: Literal["teacher", "worked"] = setting(
        "teacher",
        "reference answers of pairs that bring none: the teacher's answer, as GPT-4's in the paper (where people "
        "revise it); worked: written by program, for its own tasks",
    )
    reference_tokens: int = setting(1024, "longest reference answer the teacher writes, tokens", ge=1)
    cross_validate: bool = setting(
        True, "keep comparisons without a reference only where both paths agree; false: all of them (the ablation)"
    )
    swap: bool = setting(True, "train on every comparison in both orders, with the assistants' names exchanged")
    with_reference: bool = setting(True, "train on critiques that were written with a reference, and show it")
    without_reference: bool = setting(True, "train on critiques rewritten without their reference")
    pointwise: bool = setting(True, "train on critiques of single answers")
    pairwise: bool = setting(True, "train on comparisons")
    validate: bool = setting(
        True, "choose the checkpoint whose scores correlate best (Pearson) with the teacher's on the validation split"
    )
    validation_reference: bool = setting(True, "show references for that. Unknown")
    votes: int = setting(
        0, "self-consistency: judge benchmarks once more by majority over so many samples (the paper: 5); 0: greedy",
        ge=0,
    )  # fmt: skip
    stand_in: StandInConfig = setting(StandInConfig, "optional local teacher")
    sft: OptimConfig = setting(OptimConfig, "SFT of the judge")
