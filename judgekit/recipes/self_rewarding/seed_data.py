"""Stages of the seed data: held-out rankings, instruction tuning (IFT), evaluation tuning (EFT)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from judgekit.data.sources import load_rankings
from judgekit.data.splits import normalised
from judgekit.errors import StageError
from judgekit.prompts.noisy import answer_prompt
from judgekit.randomness import draw_bits
from judgekit.recipes.self_rewarding.config import RewardingConfig
from judgekit.recipes.self_rewarding.human_rankings import agreeing, by_group, first_ranked, resample_scores
from judgekit.recipes.self_rewarding.stages import PointJudging, judge_responses
from judgekit.rows import Demonstration, PointJudgment, Response, ResponsePair, ScoredResponse, write_rows
from judgekit.schema.data import SourceConfig
from judgekit.stages.data import PROMPT_TOKENS, planned_size
from judgekit.stages.lab import Lab
from judgekit.stages.models import Judge, Model
from judgekit.stages.stage import Digest, Made, Planned, Stage, file_inputs, read, unkeyed
from judgekit.stages.training import Validation, train_judge
from judgekit.store import Workspace


@dataclass(frozen=True, kw_only=True)
class Rankings(Stage):
    """The ranked responses behind D1's pairs and the held-out ones (``d1.jsonl``, ``held_out.jsonl``)."""

    label = "rankings"
    version = 2
    splits: Made[Any]
    files: tuple[Digest, ...]
    sources: dict[str, SourceConfig] = read("data.sources")
    limit: int | None = read("recipe.rankings")
    seed: int = read("seed")

    def build(self, workspace: Workspace) -> None:
        """Find them."""
        for split in ("d1", "held_out"):
            pairs = self.splits.rows(split, ResponsePair)
            found = [
                replace(row, subset=None)
                for name, source in self.sources.items()
                for row in load_rankings(source, [pair for pair in pairs if pair.subset == name])
            ]
            if split == "held_out" and self.limit is not None:
                order = sorted(by_group(found), key=lambda name: draw_bits(self.seed, name, "rankings"))
                names = set(order[: self.limit])
                found = [row for row in found if row.group in names]
            write_rows(workspace.path / f"{split}.jsonl", found)
            workspace.count(**{f"{split} groups": len(by_group(found)), f"{split} responses": len(found)})


def read_rankings(lab: Lab, splits: Made[Any]) -> Made[Rankings]:
    """The ranked responses behind the pairs."""
    ranked = [source.path for source in lab.config.data.sources.values() if source.kind == "oasst"]
    return lab.make(Rankings(splits=splits, files=file_inputs(*ranked)))


def tune_on_seed_data(
    lab: Lab, name: str, rankings: Made[Rankings], seed: Judge, validation: Validation | None
) -> Judge:
    """SFT of the seed on IFT and EFT data, as far as they are wanted; EFT judgments are written by the IFT model.

    :param name: of the model it makes
    """
    recipe = lab.recipe(RewardingConfig)
    wanted = recipe.seed_data
    parts: list[Made[Any]] = []
    writer = seed
    if wanted.ift:
        parts.append(lab.make(InstructionTuning(rankings=rankings)))
        if wanted.eft:
            writer = train_judge(lab, "ift", "sft", parts[0], seed, recipe.sft, validation)
    if wanted.eft:
        expected = planned_size(lab.config.data, "first_round")
        judgments = lab.make(SeedJudgments(rankings=rankings, model=lab.model(writer), expected=expected))
        parts.append(lab.make(EvaluationTuning(rankings=rankings, judgments=judgments)))
    if not parts:
        return seed
    rows = parts[0] if len(parts) == 1 else lab.make(JoinedDemonstrations(parts=tuple(parts)))
    return train_judge(lab, name, "sft", rows, seed, recipe.sft, validation)


@dataclass(frozen=True)
class Parts:
    """Which instructions of D1 are for IFT and which for EFT: the paper's EFT set shares none with its IFT set (§3.1).

    Otherwise the judge would score responses it was trained to give.
    """

    ift: bool = read("recipe.seed_data.ift")
    eft: bool = read("recipe.seed_data.eft")
    count: int | None = read("recipe.seed_data.ift_count")
    seed: int = read("seed")

    def find(self, rankings: Made[Rankings]) -> tuple[list[ScoredResponse], list[ScoredResponse]]:
        """The ranked responses for IFT, and those for EFT."""
        rows = rankings.rows("d1", ScoredResponse)
        texts = {normalised(row.instruction) for row in rows}
        share = (len(texts) + 1) // 2 if self.eft else len(texts)
        count = 0 if not self.ift else share if self.count is None else self.count
        chosen = set(sorted(texts, key=lambda text: draw_bits(self.seed, text, "ift"))[:count])
        inside = [normalised(row.instruction) in chosen for row in rows]
        return [row for row, held in zip(rows, inside, strict=True) if held], [
            row for row, held in zip(rows, inside, strict=True) if not held
        ]


@dataclass(frozen=True, kw_only=True)
class InstructionTuning(Stage):
    """Prompts with the response ranked first (``rows.jsonl``)."""

    label = "demonstrations/ift"
    version = 2
    rankings: Made[Rankings]
    parts: Parts = Parts()

    def build(self, workspace: Workspace) -> None:
        """Take them."""
        taken, left = self.parts.find(self.rankings)
        if not self.parts.eft and left:
            workspace.drop("over recipe.seed_data.ift_count", len(by_group(left)))
        rows = first_ranked(taken, self.parts.seed)
        found = [Demonstration(row.id, answer_prompt(row.instruction), row.response) for row in rows]
        write_rows(workspace.path / "rows.jsonl", found)
        workspace.count(demonstrations=len(found))


@dataclass(frozen=True, kw_only=True)
class SeedJudgments(Stage):
    """Judgments of ranked responses to the instructions that IFT leaves (``judgments.jsonl``)."""

    label = "seed_judgments"
    version = 2
    rankings: Made[Rankings]
    model: Model
    parts: Parts = Parts()
    count: int = read("recipe.seed_data.judgments")
    judging: PointJudging = PointJudging()
    expected: int = unkeyed("for the plan", 0)

    def build(self, workspace: Workspace) -> None:
        """Ask the judge.

        :raises StageError: IFT leaves nothing
        """
        asked = [row.shown for row in self.parts.find(self.rankings)[1]]
        if not asked:
            raise StageError(
                "Instruction tuning takes all instructions of D1, and evaluation tuning needs others. Lower "
                "recipe.seed_data.ift_count, raise data.first_round, or use recipe.seed_data.eft=false."
            )
        found = judge_responses(self.model, asked, self.judging, self.count, workspace, "seed judgments")
        write_rows(workspace.path / "judgments.jsonl", found)

    @property
    def cost(self) -> Planned:
        """About four responses a prompt."""
        total = 4 * self.expected * self.count
        return Planned(total, total * (PROMPT_TOKENS + self.judging.tokens), "for four responses a prompt")


@dataclass(frozen=True, kw_only=True)
class EvaluationTuning(Stage):
    """Judgments of ranked responses that order them as people do (``rows.jsonl``)."""

    label = "demonstrations/eft"
    version = 2
    rankings: Made[Rankings]
    judgments: Made[SeedJudgments]
    parts: Parts = Parts()
    share: float = read("recipe.seed_data.max_score_share")
    count: int | None = read("recipe.seed_data.eft_count")
    judging: PointJudging = PointJudging()
    seed: int = read("seed")

    def build(self, workspace: Workspace) -> None:
        """Select them.

        :raises StageError: none agrees
        """
        ranked = self.parts.find(self.rankings)[1]
        kept, dropped = agreeing(ranked, self.judgments.rows("judgments", PointJudgment))
        for reason, count in dropped.items():
            workspace.drop(reason, count)
        left = resample_scores(kept, self.share, self.seed)
        if len(left) < len(kept):
            workspace.drop("judgment cut by recipe.seed_data.max_score_share", len(kept) - len(left))
        if self.count is not None and len(left) > self.count:
            workspace.drop("over recipe.seed_data.eft_count", len(left) - self.count)
            left = sorted(left, key=lambda row: draw_bits(self.seed, row.id, row.sample, "eft"))[: self.count]
        if not left:
            reasons = "; ".join(f"{count} x {reason}" for reason, count in dropped.items())
            raise StageError(
                f"No judgment of the seed data orders its responses as people do ({reasons}). Raise "
                "recipe.seed_data.judgments, use recipe.warm_start.enabled=true, or recipe.seed_data.eft=false."
            )
        shown: dict[str, Response] = {row.id: row.shown for row in ranked}
        ask = self.judging.ask_of
        found = [Demonstration(f"{row.id}/{row.sample}", ask(shown[row.id]), row.text) for row in left]
        write_rows(workspace.path / "rows.jsonl", found)
        scores = Counter(row.score for row in left if row.score is not None)
        workspace.count(demonstrations=len(found), **{f"score {one:g}": scores[one] for one in sorted(scores)})


@dataclass(frozen=True, kw_only=True)
class JoinedDemonstrations(Stage):
    """Several stages' demonstrations in one file (``rows.jsonl``)."""

    label = "demonstrations/seed_data"
    parts: tuple[Made[Any], ...]

    def build(self, workspace: Workspace) -> None:
        """Join them."""
        rows = [row for part in self.parts for row in part.rows("rows", Demonstration)]
        write_rows(workspace.path / "rows.jsonl", rows)
        workspace.count(demonstrations=len(rows))
