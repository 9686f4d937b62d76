"""Stages of the meta-judge: comparing judgments, the judge's pairs, and the bias report of an iteration."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from judgekit.evaluation.iteration_bias import MetaReport, bias_numbers, collapse, report_meta, report_scores, to_values
from judgekit.evaluation.judging import judge_pairs as compare
from judgekit.preferences import judgment_battles
from judgekit.preferences.judgment_battles import Contests, contests
from judgekit.prompts.base import PointProtocol
from judgekit.prompts.meta_judge import MetaJudge, judged
from judgekit.randomness import draw_bits
from judgekit.recipes.lab import Handle, Judge, Lab, section
from judgekit.recipes.rewarding import prompts_planned
from judgekit.recipes.stages import PROMPT_TOKENS
from judgekit.rows import (
    ORDERS,
    Candidate,
    Judgment,
    PointJudgment,
    Preference,
    Response,
    ResponsePair,
    read_rows,
    write_rows,
)
from judgekit.run_folder import BIAS_FILE
from judgekit.schema.rewarding import CollapseConfig, IterationConfig, MetaRewardingConfig
from judgekit.store import Artifact, Workspace, write_json_atomic


def compare_judgments(lab: Lab, name: str, responses: Handle, judgments: Handle, judge: Judge) -> Handle:
    """The meta-judge on every pair of judgments of one response a prompt, in both orders (``comparisons.jsonl``)."""
    recipe, sampler = lab.recipe(MetaRewardingConfig), lab.config.sampler
    meta, protocol = recipe.meta, MetaJudge(recipe.meta.prompt)
    settings = section(sampler, "temperature", "top_p") | section(meta, "prompt", "tokens", "prompts")
    settings |= {"min_valid": recipe.min_valid, "seed": lab.config.seed}

    def build(workspace: Workspace) -> None:
        found = _contests(lab, responses, judgments)
        for reason, count in found.dropped.items():
            workspace.drop(reason, count)
        pairs = [
            ResponsePair(key, judged(one.candidate.instruction, one.candidate.text), a.text, b.text, None)
            for one in found.kept
            for key, a, b in one.pairs
        ]
        verdicts = compare(
            lab.ask(lab.weights(judge)), protocol, pairs, ORDERS, lab.params(meta.tokens), workspace=workspace,
            title=f"comparisons of {name}",
        )  # fmt: skip
        rows = [Judgment(v.id, v.order, v.sample, v.verdict, v.invalid, v.text) for v in verdicts]
        for row in verdicts:
            if row.verdict is None:
                workspace.drop(f"comparison without a winner: {row.reason}")
        write_rows(workspace.path / "comparisons.jsonl", rows)
        valid = sum(row.verdict is not None for row in rows)
        workspace.count(responses=len(found.kept), comparisons=len(rows), valid=valid)

    pairs = recipe.judgments * (recipe.judgments - 1) // 2
    total = min(prompts_planned(lab), meta.prompts or prompts_planned(lab)) * pairs * len(ORDERS)
    return lab.stage(
        f"comparisons/{name}", 1, settings, [responses, judgments, lab.source(judge)], build,
        generations=total, tokens=total * (2 * PROMPT_TOKENS + meta.tokens), note="at most",
    )  # fmt: skip


def _contests(lab: Lab, responses: Handle, judgments: Handle) -> Contests:
    """The judgments that are compared, at most those of ``meta.prompts`` prompts, drawn by id."""
    assert isinstance(responses, Artifact) and isinstance(judgments, Artifact)
    recipe, seed = lab.recipe(MetaRewardingConfig), lab.config.seed
    found = contests(
        read_rows(responses.file("responses.jsonl"), Candidate),
        read_rows(judgments.file("judgments.jsonl"), PointJudgment), recipe.min_valid, seed,
    )  # fmt: skip
    limit = recipe.meta.prompts
    if limit is not None and len(found.kept) > limit:
        found.dropped["prompt over recipe.meta.prompts"] += len(found.kept) - limit
        ranked = sorted(found.kept, key=lambda one: draw_bits(seed, one.candidate.prompt_id, "meta prompts"))
        chosen = {one.candidate.prompt_id for one in ranked[:limit]}
        found.kept = [one for one in found.kept if one.candidate.prompt_id in chosen]
    return found


def pair_judgments(
    lab: Lab,
    name: str,
    responses: Handle,
    judgments: Handle,
    comparisons: Handle,
    protocol: PointProtocol,
    iteration: IterationConfig,
) -> Handle:
    """The judge's pairs (``rows.jsonl``), with their scores and Elo strengths (``pairs.jsonl``)."""
    recipe, bias = lab.recipe(MetaRewardingConfig), lab.config.bias
    max_chars = bias.max_judgment_chars or iteration.max_judgment_chars
    settings: dict[str, Any] = {"max_chars": max_chars, "alpha": recipe.meta.elo_penalty, "seed": lab.config.seed}
    settings |= {"min_valid": recipe.min_valid, "prompts": recipe.meta.prompts, "prompt": asdict(lab.config.prompt)}

    def build(workspace: Workspace) -> None:
        found = judgment_battles.contest_pairs(
            _contests(lab, responses, judgments).kept, _comparisons(comparisons),
            seed=lab.config.seed, alpha=recipe.meta.elo_penalty, max_chars=max_chars,
        )  # fmt: skip
        for reason, count in found.dropped.items():
            workspace.drop(reason, count)
        rows = []
        for pair in found.kept:
            shown = Response(pair.candidate.id, pair.candidate.instruction, pair.candidate.text)
            key = judgment_battles.comparison(pair.candidate, pair.chosen, pair.rejected)
            rows.append(Preference(key, protocol.score_prompt(shown), pair.chosen.text, pair.rejected.text))
        write_rows(workspace.path / "rows.jsonl", rows)
        write_rows(workspace.path / "pairs.jsonl", found.kept)
        workspace.count(pairs=len(rows))
        if rows:
            workspace.measure(
                chosen_chars=fmean(len(row.chosen) for row in rows),
                rejected_chars=fmean(len(row.rejected) for row in rows),
                chosen_score=fmean(pair.chosen.score or 0.0 for pair in found.kept),
                rejected_score=fmean(pair.rejected.score or 0.0 for pair in found.kept),
            )

    return lab.stage(f"judge_pairs/{name}", 1, settings, [responses, judgments, comparisons], build)


def _comparisons(stage: Handle) -> list[Judgment]:
    assert isinstance(stage, Artifact)
    return read_rows(stage.file("comparisons.jsonl"), Judgment)


def report_bias(
    lab: Lab,
    name: str,
    responses: Handle,
    judgments: Handle,
    pairs: Handle,
    protocol: PointProtocol,
    comparisons: Handle | None = None,
    first: Handle | None = None,
) -> Handle:
    """The bias report of an iteration (``bias.json``), also as numbers of the stage.

    :param pairs: the actor's pairs
    :param comparisons: None in iterations without a meta-judge
    :param first: report of the first iteration, None if this is it
    """
    limits: dict[str, Any] = {}
    settings: dict[str, Any] = {"seed": lab.config.seed}
    if comparisons is not None:
        recipe = lab.recipe(MetaRewardingConfig)
        limits = section(recipe.meta.collapse, "higher_score", "position", "least")
        settings |= limits | {"prompts": recipe.meta.prompts, "min_valid": recipe.min_valid}

    def build(workspace: Workspace) -> None:
        assert isinstance(responses, Artifact) and isinstance(judgments, Artifact) and isinstance(pairs, Artifact)
        candidates = read_rows(responses.file("responses.jsonl"), Candidate)
        rows = read_rows(judgments.file("judgments.jsonl"), PointJudgment)
        first_mean = None if first is None else read_bias(first)["scores"]["mean"]["value"]
        scores = report_scores(candidates, rows, protocol.scale, first_mean, seed=lab.config.seed)
        lengths = mean_lengths(candidates, rows) | {
            f"{side}_response_chars": pairs.info.numbers.get(f"{side}_chars") for side in ("chosen", "rejected")
        }
        meta: MetaReport | None = None
        found: list[str] = []
        if comparisons is not None:
            compared = _contests(lab, responses, judgments).kept
            meta = report_meta(compared, _comparisons(comparisons), seed=lab.config.seed)
            found = collapse(meta, **limits)
        write_json_atomic(workspace.path / BIAS_FILE, to_values(name, scores, meta, lengths, found))
        numbers = bias_numbers(f"bias/{name}", scores, meta, lengths)
        write_json_atomic(workspace.path / "numbers.json", numbers)
        workspace.count(responses=len(candidates), judgments=len(rows))

    inputs = [responses, judgments, pairs, *(one for one in (comparisons, first) if one is not None)]
    return lab.stage(f"bias/{name}", 1, settings, inputs, build)


def mean_lengths(candidates: list[Candidate], judgments: list[PointJudgment]) -> dict[str, float | None]:
    """Mean lengths of responses and of judgments in characters and tokens."""
    texts: dict[str, Sequence[Candidate | PointJudgment]] = {"response": candidates, "judgment": judgments}
    found: dict[str, float | None] = {}
    for what, rows in texts.items():
        found[f"{what}_chars"] = fmean(len(row.text) for row in rows) if rows else None
        found[f"{what}_tokens"] = fmean(row.tokens for row in rows) if rows else None
    return found


def read_bias(stage: Handle) -> dict[str, Any]:
    """``bias.json`` of a report."""
    assert isinstance(stage, Artifact)
    found: dict[str, Any] = json.loads(stage.file(BIAS_FILE).read_text(encoding="utf-8"))
    return found


def collapsed(lab: Lab, report: Handle, limits: CollapseConfig) -> bool:
    """Whether the meta-judge has collapsed by a report, with a note that says so; not known while planning."""
    if not isinstance(report, Artifact):
        return False
    held = read_bias(report)
    reasons = held["collapsed"]
    assert isinstance(reasons, list)
    if reasons:
        what = "its pairs are left out from here on"
        if not limits.stop:
            what = "recipe.meta.collapse.stop=true would leave out its pairs from here on"
        lab.record.note(f"The meta-judge of iteration {held['name']} has collapsed: {' and '.join(reasons)}; {what}.")
    return bool(reasons)
