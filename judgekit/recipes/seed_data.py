"""Stages of the seed data: held-out rankings, instruction tuning (IFT), evaluation tuning (EFT)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace

from judgekit.data.sources import load_rankings
from judgekit.errors import StageError
from judgekit.preferences.human_rankings import agreeing, by_group, first_ranked, resample_scores
from judgekit.prompts.base import PointProtocol
from judgekit.prompts.noisy import answer_prompt
from judgekit.randomness import draw_bits
from judgekit.recipes.lab import Handle, Judge, Lab
from judgekit.recipes.rewarding import judge_responses, judging_settings
from judgekit.recipes.stages import PROMPT_TOKENS
from judgekit.recipes.training import train_judge
from judgekit.rows import Demonstration, PointJudgment, Response, ResponsePair, ScoredResponse, read_rows, write_rows
from judgekit.schema.rewarding import RewardingConfig
from judgekit.store import Artifact, Workspace
from judgekit.weights import Weights

Validate = Callable[[Weights], float] | None


def read_rankings(lab: Lab, splits: Handle) -> Handle:
    """The ranked responses behind D1's pairs and the held-out ones (``d1.jsonl``, ``held_out.jsonl``)."""
    sources = lab.config.data.sources
    limit = lab.recipe(RewardingConfig).rankings
    paths = lab.file_inputs(*(source.path for source in sources.values() if source.kind == "oasst"))

    def build(workspace: Workspace) -> None:
        assert isinstance(splits, Artifact)
        for split in ("d1", "held_out"):
            pairs = read_rows(splits.file(f"{split}.jsonl"), ResponsePair)
            found = [
                replace(row, subset=None)
                for name, source in sources.items()
                for row in load_rankings(source, [pair for pair in pairs if pair.subset == name])
            ]
            if split == "held_out" and limit is not None:
                names = sorted(by_group(found), key=lambda name: draw_bits(lab.config.seed, name, "rankings"))[:limit]
                found = [row for row in found if row.group in set(names)]
            write_rows(workspace.path / f"{split}.jsonl", found)
            workspace.count(**{f"{split} groups": len(by_group(found)), f"{split} responses": len(found)})

    kinds = {name: source.kind for name, source in sources.items()}
    return lab.stage("rankings", 1, {"kinds": kinds, "limit": limit, "seed": lab.config.seed}, [splits, *paths], build)


def tune_on_seed_data(
    lab: Lab, name: str, rankings: Handle, splits: Handle, seed: Judge, protocol: PointProtocol, validate: Validate
) -> Judge:
    """SFT of the seed on IFT and EFT data, as far as they are wanted; EFT judgments are written by the IFT model.

    :param name: of the model it makes
    """
    recipe = lab.recipe(RewardingConfig)
    wanted = recipe.seed_data
    parts: list[Handle] = []
    writer = seed
    if wanted.ift:
        parts.append(_instruction_tuning(lab, rankings))
        if wanted.eft:
            writer = train_judge(lab, "ift", "sft", parts[0], seed, recipe.sft, validate, [splits])
    if wanted.eft:
        parts.append(_evaluation_tuning(lab, rankings, writer, protocol))
    if not parts:
        return seed
    return train_judge(lab, name, "sft", _joined(lab, parts), seed, recipe.sft, validate, [splits])


def _instruction_tuning(lab: Lab, rankings: Handle) -> Handle:
    count, seed = lab.recipe(RewardingConfig).seed_data.ift_count, lab.config.seed

    def build(workspace: Workspace) -> None:
        rows = first_ranked(_ranked(rankings), seed)
        if count is not None and len(rows) > count:
            workspace.drop("over recipe.seed_data.ift_count", len(rows) - count)
            rows = sorted(rows, key=lambda row: draw_bits(seed, row.group, "ift"))[:count]
        found = [Demonstration(row.id, answer_prompt(row.instruction), row.response) for row in rows]
        write_rows(workspace.path / "rows.jsonl", found)
        workspace.count(demonstrations=len(found))

    return lab.stage("demonstrations/ift", 1, {"count": count, "seed": seed}, [rankings], build)


def _evaluation_tuning(lab: Lab, rankings: Handle, writer: Judge, protocol: PointProtocol) -> Handle:
    """Judgments of ranked responses that order them as people do."""
    wanted, seed = lab.recipe(RewardingConfig).seed_data, lab.config.seed

    def judge(workspace: Workspace) -> None:
        asked = [row.shown for row in _ranked(rankings)]
        found = judge_responses(lab, asked, writer, protocol, wanted.judgments, workspace, "seed judgments")
        write_rows(workspace.path / "judgments.jsonl", found)

    total = 4 * lab.config.data.first_round * wanted.judgments
    judgments = lab.stage(
        "judgments/eft", 1, judging_settings(lab, wanted.judgments), [rankings, lab.source(writer)], judge,
        generations=total, tokens=total * (PROMPT_TOKENS + lab.config.sampler.judge_tokens),
        note="for four responses a prompt",
    )  # fmt: skip

    def select(workspace: Workspace) -> None:
        assert isinstance(judgments, Artifact)
        ranked = _ranked(rankings)
        kept, dropped = agreeing(ranked, read_rows(judgments.file("judgments.jsonl"), PointJudgment))
        for reason, count in dropped.items():
            workspace.drop(reason, count)
        left = resample_scores(kept, wanted.max_score_share, seed)
        if len(left) < len(kept):
            workspace.drop("judgment cut by recipe.seed_data.max_score_share", len(kept) - len(left))
        if wanted.eft_count is not None and len(left) > wanted.eft_count:
            workspace.drop("over recipe.seed_data.eft_count", len(left) - wanted.eft_count)
            left = sorted(left, key=lambda row: draw_bits(seed, row.id, row.sample, "eft"))[: wanted.eft_count]
        if not left:
            reasons = "; ".join(f"{count} x {reason}" for reason, count in dropped.items())
            raise StageError(
                f"No judgment of the seed data orders its responses as people do ({reasons}). Raise "
                "recipe.seed_data.judgments, use recipe.warm_start.enabled=true, or recipe.seed_data.eft=false."
            )
        shown: dict[str, Response] = {row.id: row.shown for row in ranked}
        found = [Demonstration(f"{r.id}/{r.sample}", protocol.score_prompt(shown[r.id]), r.text) for r in left]
        write_rows(workspace.path / "rows.jsonl", found)
        scores = Counter(row.score for row in left if row.score is not None)
        workspace.count(demonstrations=len(found), **{f"score {one:g}": scores[one] for one in sorted(scores)})

    settings: dict[str, object] = {"share": wanted.max_score_share, "count": wanted.eft_count, "seed": seed}
    settings |= {"prompt": asdict(lab.config.prompt)}
    return lab.stage("demonstrations/eft", 1, settings, [rankings, judgments], select)


def _joined(lab: Lab, parts: list[Handle]) -> Handle:
    if len(parts) == 1:
        return parts[0]

    def build(workspace: Workspace) -> None:
        rows: list[Demonstration] = []
        for part in parts:
            assert isinstance(part, Artifact)
            rows += read_rows(part.file("rows.jsonl"), Demonstration)
        write_rows(workspace.path / "rows.jsonl", rows)
        workspace.count(demonstrations=len(rows))

    return lab.stage("demonstrations/seed_data", 1, {}, parts, build)


def _ranked(rankings: Handle) -> list[ScoredResponse]:
    assert isinstance(rankings, Artifact)
    return read_rows(rankings.file("d1.jsonl"), ScoredResponse)
