"""``recipe=judgelm``, in its paper's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from judgekit.papers import Paper
from judgekit.recipes.base import RECIPES, RecipeConfig
from judgekit.schema.candidates import CandidateConfig
from judgekit.schema.fields import setting
from judgekit.schema.optim import OptimConfig
from judgekit.schema.warm_start import WarmStartConfig


@RECIPES.register
@dataclass(frozen=True)
class JudgeLMConfig(RecipeConfig):
    """``recipe=judgelm`` (JudgeLM, arXiv 2310.17631)."""

    function: ClassVar[str] = "judgekit.recipes.judgelm.recipe:judgelm"
    paper: ClassVar[Paper] = Paper(
        "JudgeLM", "2310.17631",
        "JudgeLM: Fine-tuned Large Language Models are Scalable Judges", "Zhu, Lianghui and others",
    )  # fmt: skip
    name: Literal["judgelm"] = setting("judgelm", "recipe")
    reviews: str | None = setting(
        None, "released training rows (judgelm_train_100k.jsonl) in place of data and teacher; null: ask the teacher",
        path=True,
    )  # fmt: skip
    candidates: dict[str, CandidateConfig] = setting(
        {}, "models whose responses are compared, by name, one random pair a seed; none: pairs as the data makes them"
    )
    references: Literal["given", "teacher", "none"] = setting(
        "given", "reference answers: those that rows bring, also written by the teacher where there is none, or unused"
    )
    reference_tokens: int = setting(512, "longest reference answer that the teacher writes, tokens", ge=1)
    swap_rate: float = setting(0.5, "swap augmentation: probability of showing response_b first", ge=0.0, le=1.0)
    swap_ordinals: bool = setting(
        True, 'also exchange "first assistant" and "second answer" in swapped reasons; the release does not'
    )
    reference_rate: float = setting(
        0.5, "reference support: probability of showing the reference; reference drop is the rest", ge=0.0, le=1.0
    )
    warm_start: WarmStartConfig = setting(
        WarmStartConfig, "optional SFT of the seed on worked reviews; what it makes teaches where no teacher is named"
    )
    sft: OptimConfig = setting(OptimConfig, "fine-tuning; each epoch draws swaps and references anew")
    validate: bool = setting(False, "choose checkpoints by judging the validation split; otherwise take the last")
