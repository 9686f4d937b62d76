"""``recipe=self_rewarding``, and what it has in common with Meta-Rewarding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from judgekit.papers import Paper
from judgekit.recipes.base import RECIPES, RecipeConfig
from judgekit.schema.fields import setting
from judgekit.schema.optim import OptimConfig
from judgekit.schema.warm_start import WarmStartConfig


@dataclass(frozen=True)
class IterationConfig:
    """One iteration of preference training, named after the model it makes."""

    judge_pairs: bool = setting(False, "train on meta-judged pairs of judgments too (Meta-Rewarding)")
    rho: float | None = setting(
        None, "ρ of length control; bias.rho, where given, wins; null: best against worst without it", ge=0.0, le=1.0
    )
    max_response_chars: int | None = setting(
        None, "drop pairs whose chosen response is over so many characters; bias.max_response_chars wins", ge=1
    )
    max_judgment_chars: int | None = setting(
        None, "drop pairs whose chosen judgment is over so many characters; bias.max_judgment_chars wins", ge=1
    )


@dataclass(frozen=True)
class PromptsConfig:
    """Prompts that the actor answers."""

    source: Literal["data", "self_instruct"] = setting(
        "data", "D1's instructions, or new ones that the seed writes after their pattern (Self-Instruct)"
    )
    per_iteration: int | None = setting(
        None, "prompts of each iteration, other ones each time while there are; null: all, every time", ge=1
    )
    count: int = setting(20000, "self_instruct: new prompts wanted", ge=1)
    seed_examples: int = setting(6, "self_instruct: examples from D1 in each request", ge=1)
    new_examples: int = setting(2, "self_instruct: examples written earlier in each request, once there are", ge=0)
    round_size: int = setting(512, "self_instruct: requests sampled together, which see the same earlier prompts", ge=1)
    max_requests: int = setting(60000, "self_instruct: requests after which it stops, with as many as there are", ge=1)
    temperature: float = setting(0.6, "self_instruct: sampling temperature", ge=0.0, le=2.0)
    top_p: float = setting(0.9, "self_instruct: nucleus probability", gt=0.0, le=1.0)
    tokens: int = setting(256, "self_instruct: longest new prompt, tokens", ge=1)
    max_rouge: float = setting(
        0.7, "self_instruct: drop prompts with this ROUGE-L or more to an example, a held-out or an earlier one",
        gt=0.0, le=1.0,
    )  # fmt: skip
    min_words: int = setting(3, "self_instruct: drop shorter prompts, words", ge=1)
    max_words: int = setting(150, "self_instruct: drop longer prompts, words", ge=1)
    keywords: tuple[str, ...] = setting(
        ("image", "images", "picture", "pictures", "graph", "graphs", "file", "files", "map", "maps", "draw", "plot",
         "video", "audio", "music", "flowchart", "diagram"),
        "self_instruct: drop prompts with one of these words, which ask for more than text",
    )  # fmt: skip


@dataclass(frozen=True)
class SeedDataConfig:
    """SFT before the first iteration, on responses that people ranked."""

    ift: bool = setting(True, "instruction tuning: prompts with the response ranked first")
    ift_count: int | None = setting(
        None, "instructions of D1 that they are of; null: half of D1, or all of it where eft is false", ge=1
    )
    eft: bool = setting(
        True, "evaluation tuning: judgments that order ranked responses to D1's other instructions as people do"
    )
    eft_count: int | None = setting(None, "such judgments, at most; null: all that agree", ge=1)
    judgments: int = setting(1, "judgments of each ranked response, tried until their scores agree with people", ge=1)
    max_score_share: float = setting(
        1.0, "cut frequent scores until none holds more than this share of the judgments; 1: keep all", gt=0.0, le=1.0
    )


@dataclass(frozen=True)
class RewardingConfig(RecipeConfig):
    """What both recipes have.

    :cvar first_model: what SFT on the seed data makes
    :cvar meta_judges: judgments may be compared, and pairs of them trained on
    """

    first_model: ClassVar[str] = "m1"
    meta_judges: ClassVar[bool] = False

    responses: int = setting(4, "K: responses sampled per prompt", ge=2)
    judgments: int = setting(3, "N: judgments sampled per response", ge=1)
    min_valid: int = setting(1, "valid judgments a response needs to have a score, their mean", ge=1)
    keep_truncated: bool = setting(False, "use responses cut at their token limit too")
    schedule: dict[str, IterationConfig] = setting(
        {}, "iterations in order, each by the name of the model it makes; null takes one out"
    )
    reference: Literal["previous", "initial"] = setting(
        "previous", "reference model of DPO: the model an iteration starts from, or the one before the first"
    )
    prompts: PromptsConfig = setting(PromptsConfig, "prompts that the actor answers")
    seed_data: SeedDataConfig = setting(SeedDataConfig, "SFT on ranked responses before the first iteration")
    warm_start: WarmStartConfig = setting(WarmStartConfig, "optional SFT on worked judgments before everything")
    sft: OptimConfig = setting(OptimConfig, "SFT on the seed data")
    dpo: OptimConfig = setting(OptimConfig, "DPO of each iteration")
    rankings: int | None = setting(
        None, "held-out groups of ranked responses each model is measured on as a reward model; null: all", ge=0
    )
    validate: bool = setting(False, "choose checkpoints by judging the validation split; otherwise take the last")


@RECIPES.register
@dataclass(frozen=True)
class SelfRewardingConfig(RewardingConfig):
    """``recipe=self_rewarding`` (Self-Rewarding Language Models, arXiv 2401.10020)."""

    function: ClassVar[str] = "judgekit.recipes.self_rewarding.recipe:self_rewarding"
    paper: ClassVar[Paper] = Paper(
        "Self-Rewarding Language Models", "2401.10020",
        "Self-Rewarding Language Models", "Yuan, Weizhe and others",
    )  # fmt: skip
    name: Literal["self_rewarding"] = setting("self_rewarding", "recipe")
    schedule: dict[str, IterationConfig] = setting(
        {"m2": IterationConfig(), "m3": IterationConfig()},
        "iterations in order, each by the name of the model it makes; null takes one out",
    )
