"""Self-Taught's own stages: rejection sampling of judgments, and pairs of right and wrong ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from judgekit.prompts.base import PromptConfig, pair_protocol
from judgekit.recipes.self_taught.rejection_sampling import SelfTaughtRules, contrasts, demonstrations
from judgekit.rows import Judgment, ResponsePair
from judgekit.stages.controls import RowControls, row_controls
from judgekit.stages.models import Drawing
from judgekit.stages.selecting import SampledJudgments, write_training_rows
from judgekit.stages.stage import Made, Stage, at, read
from judgekit.store import Workspace


@dataclass(frozen=True, kw_only=True)
class Negatives(SampledJudgments):
    """N more judgments at another temperature, of which only incorrect ones are used."""

    label = "negatives/{iteration}"
    first: int = 100_000  # so that numbers tell them from the others
    drawing: Drawing = Drawing(temperature=at("recipe.negative_temperature"))


@dataclass(frozen=True, kw_only=True)
class Demonstrations(Stage):
    """Rejection sampling: one correct judgment of every prompt that has one, A and B balanced (``rows.jsonl``)."""

    label = "demonstrations/{iteration}"
    iteration: str
    splits: Made[Any]
    judgments: Made[SampledJudgments]
    per_order: bool = read("recipe.sft_per_order")
    majority_fraction: float | None = read("recipe.majority_fraction")
    balance_labels: bool = read("bias.balance_labels")
    drop_conflicting: bool = read("bias.drop_conflicting")
    max_chars: int | None = read("bias.max_judgment_chars")
    prompt: PromptConfig = read("prompt")
    controls: RowControls = row_controls("judgment_fault")
    seed: int = read("seed")

    def build(self, workspace: Workspace) -> None:
        """Select them."""
        pairs = self.splits.rows("d1", ResponsePair)
        rules = SelfTaughtRules(
            seed=self.seed, per_order=self.per_order, majority_fraction=self.majority_fraction,
            balance_labels=self.balance_labels, drop_conflicting=self.drop_conflicting, max_chars=self.max_chars,
        )  # fmt: skip
        judgments = self.controls.kept(self.judgments.rows("judgments", Judgment), workspace)
        found = demonstrations(pairs, judgments, rules)
        write_training_rows(
            workspace, "demonstrations", f"judgments of {self.iteration}", found.kept, found.dropped, pairs,
            pair_protocol(self.prompt), REMEDY,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Preferences(Stage):
    """Correct against incorrect judgments of the same prompt (``rows.jsonl``).

    :param negatives: further judgments, of which only incorrect ones are used
    """

    label = "preferences/{iteration}"
    iteration: str
    splits: Made[Any]
    judgments: Made[SampledJudgments]
    negatives: Made[Negatives] | None
    num_pairs: int | None = read("recipe.num_pairs")
    wrong_as_negative: bool = read("recipe.wrong_as_negative")
    tie_as_negative: bool = read("recipe.tie_as_negative")
    invalid_as_negative: bool = read("recipe.invalid_as_negative")
    balance_labels: bool = read("bias.balance_labels")
    drop_conflicting: bool = read("bias.drop_conflicting")
    max_chars: int | None = read("bias.max_judgment_chars")
    prompt: PromptConfig = read("prompt")
    controls: RowControls = row_controls("judgment_fault")
    seed: int = read("seed")

    def build(self, workspace: Workspace) -> None:
        """Select them."""
        pairs = self.splits.rows("d1", ResponsePair)
        rules = SelfTaughtRules(
            seed=self.seed, balance_labels=self.balance_labels, drop_conflicting=self.drop_conflicting,
            max_chars=self.max_chars, num_pairs=self.num_pairs, wrong_as_negative=self.wrong_as_negative,
            tie_as_negative=self.tie_as_negative, invalid_as_negative=self.invalid_as_negative,
        )  # fmt: skip
        further = self.negatives.rows("judgments", Judgment) if self.negatives is not None else ()
        judgments = self.controls.kept(self.judgments.rows("judgments", Judgment), workspace)
        found = contrasts(pairs, judgments, rules, self.controls.kept(further, workspace))
        write_training_rows(
            workspace, "preferences", f"judgments of {self.iteration}", found.kept, found.dropped, pairs,
            pair_protocol(self.prompt), REMEDY,
        )  # fmt: skip


REMEDY = (
    "A seed that never judges right needs recipe.warm_start.enabled=true, more recipe.judgments or a higher "
    "sampler.temperature."
)
