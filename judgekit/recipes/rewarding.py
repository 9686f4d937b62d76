"""Stages that the self-rewarding recipes share: prompts, responses, judgments, the actor's pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from statistics import fmean

from judgekit.errors import StageError
from judgekit.preferences.actor import ActorRules, actor_pairs
from judgekit.prompts.base import PointProtocol
from judgekit.prompts.noisy import answer_prompt
from judgekit.randomness import shuffled
from judgekit.recipes.lab import Handle, Judge, Lab, section
from judgekit.recipes.new_prompts import write_prompts
from judgekit.recipes.stages import PROMPT_TOKENS
from judgekit.rows import (
    Candidate,
    Instruction,
    PointJudgment,
    Preference,
    Response,
    ResponsePair,
    read_rows,
    write_rows,
)
from judgekit.sampling.text import TextRequest
from judgekit.schema.rewarding import IterationConfig, RewardingConfig
from judgekit.store import Artifact, Workspace


def prompt_pool(lab: Lab, splits: Handle) -> Handle:
    """The prompts of all iterations (``prompts.jsonl``): D1's instructions, or new ones after their pattern."""
    if lab.recipe(RewardingConfig).prompts.source == "self_instruct":
        return write_prompts(lab, splits)

    def build(workspace: Workspace) -> None:
        assert isinstance(splits, Artifact)
        pairs = read_rows(splits.file("d1.jsonl"), ResponsePair)
        rows = [Instruction(str(row.group), row.instruction, str(row.subset), str(row.subset)) for row in pairs]
        write_rows(workspace.path / "prompts.jsonl", rows)
        workspace.count(prompts=len(rows))

    return lab.stage("prompts", 1, {}, [splits], build)


def prompts_of(rows: Sequence[Instruction], number: int, count: int | None, seed: int) -> list[Instruction]:
    """The prompts of one iteration: the next ``count`` in a drawn order, from the beginning again after the last."""
    if count is None or count >= len(rows):
        return list(rows)
    order = shuffled(rows, seed, "prompts of iterations")
    return [order[place % len(order)] for place in range(number * count, (number + 1) * count)]


def sample_responses(lab: Lab, name: str, number: int, pool: Handle, actor: Judge) -> Handle:
    """K responses of the actor to every prompt of an iteration (``responses.jsonl``); identical ones count once.

    :param number: of the iteration, from 0
    """
    recipe, sampler = lab.recipe(RewardingConfig), lab.config.sampler
    per_iteration, tokens = recipe.prompts.per_iteration, lab.config.data.response_tokens
    settings = section(recipe, "responses", "keep_truncated") | section(sampler, "temperature", "top_p")
    settings |= {"tokens": tokens, "seed": lab.config.seed, "per_iteration": per_iteration, "number": number}

    def build(workspace: Workspace) -> None:
        assert isinstance(pool, Artifact)
        found = read_rows(pool.file("prompts.jsonl"), Instruction)
        prompts = prompts_of(found, number, per_iteration, lab.config.seed)
        params, samples = lab.params(tokens), tuple(range(recipe.responses))
        requests = [TextRequest(row.id, answer_prompt(row.text), params, samples) for row in prompts]
        replies = lab.ask(lab.weights(actor)).ask(requests, workspace, f"responses of {name}").generations
        rows: list[Candidate] = []
        for prompt in prompts:
            seen: set[str] = set()
            for sample in samples:
                reply = replies.get((prompt.id, sample))
                if reply is None:
                    continue  # too long to be asked; counted by the sampler
                text = reply.text.strip()
                reason = _unusable(text, seen, reply.finish == "length" and not recipe.keep_truncated)
                if reason is not None:
                    workspace.drop(reason)
                    continue
                seen.add(text)
                rows.append(Candidate(f"{prompt.id}/r{sample}", prompt.id, prompt.text, text, reply.tokens))
        write_rows(workspace.path / "responses.jsonl", rows)
        workspace.count(prompts=len(prompts), responses=len(rows))
        workspace.measure(
            mean_chars=_mean(len(row.text) for row in rows), mean_tokens=_mean(row.tokens for row in rows)
        )

    total = prompts_planned(lab) * recipe.responses
    return lab.stage(
        f"responses/{name}", 1, settings, [pool, lab.source(actor)], build,
        generations=total, tokens=total * (tokens + 64), note="at most",
    )  # fmt: skip


def _unusable(text: str, seen: set[str], cut: bool) -> str | None:
    if not text:
        return "empty response"
    if cut:
        return "response cut at data.response_tokens"
    return "identical response" if text in seen else None


def prompts_planned(lab: Lab) -> int:
    """Prompts of an iteration, for planning."""
    prompts = lab.recipe(RewardingConfig).prompts
    pool = lab.config.data.first_round if prompts.source == "data" else prompts.count
    return min(pool, prompts.per_iteration or pool)


def score_responses(lab: Lab, name: str, responses: Handle, judge: Judge, protocol: PointProtocol) -> Handle:
    """N judgments of every response, valid or not (``judgments.jsonl``)."""
    recipe = lab.recipe(RewardingConfig)

    def build(workspace: Workspace) -> None:
        assert isinstance(responses, Artifact)
        candidates = read_rows(responses.file("responses.jsonl"), Candidate)
        asked = [Response(row.id, row.instruction, row.text) for row in candidates]
        found = judge_responses(lab, asked, judge, protocol, recipe.judgments, workspace, f"judgments of {name}")
        write_rows(workspace.path / "judgments.jsonl", found)

    total = prompts_planned(lab) * recipe.responses * recipe.judgments
    return lab.stage(
        f"judgments/{name}", 1, judging_settings(lab, recipe.judgments), [responses, lab.source(judge)], build,
        generations=total, tokens=total * (PROMPT_TOKENS + lab.config.sampler.judge_tokens), note="at most",
    )  # fmt: skip


def judging_settings(lab: Lab, count: int) -> dict[str, object]:
    """What determines sampled judgments of single responses, beside the judge and the responses."""
    sampler = section(lab.config.sampler, "temperature", "top_p", "judge_tokens")
    return sampler | {"count": count, "prompt": asdict(lab.config.prompt), "seed": lab.config.seed}


def judge_responses(
    lab: Lab,
    responses: Sequence[Response],
    judge: Judge,
    protocol: PointProtocol,
    count: int,
    workspace: Workspace,
    title: str,
) -> list[PointJudgment]:
    """``count`` sampled judgments of every response; the workspace is told how many are valid and their mean."""
    params, samples = lab.params(lab.config.sampler.judge_tokens), tuple(range(count))
    requests = [TextRequest(row.id, protocol.score_prompt(row), params, samples) for row in responses]
    replies = lab.ask(lab.weights(judge)).ask(requests, workspace, title)
    found: list[PointJudgment] = []
    for row in responses:
        for sample in samples:
            reply = replies.generations.get((row.id, sample))
            if reply is None:
                found.append(PointJudgment(row.id, sample, None, replies.refused[row.id], "", 0))
                continue
            reading = protocol.read_score(reply.text, reply.finish == "length")
            found.append(PointJudgment(row.id, sample, reading.score, reading.invalid, reply.text, reply.tokens))
    for judgment in found:
        if judgment.invalid is not None:
            workspace.drop(f"judgment without a score: {judgment.invalid.partition(': ')[0]}")
    scores = [row.score for row in found if row.score is not None]
    workspace.count(responses=len(responses), judgments=len(found), valid=len(scores))
    workspace.measure(mean_score=_mean(scores))
    return found


def actor_rules(lab: Lab, iteration: IterationConfig) -> ActorRules:
    """How an iteration selects the actor's pairs; bias controls win over the schedule."""
    bias = lab.config.bias
    return ActorRules(
        seed=lab.config.seed,
        rho=bias.rho if bias.rho is not None else iteration.rho,
        min_valid=lab.recipe(RewardingConfig).min_valid,
        max_chars=bias.max_response_chars or iteration.max_response_chars,
    )


def pair_responses(lab: Lab, name: str, responses: Handle, judgments: Handle, iteration: IterationConfig) -> Handle:
    """The actor's pairs (``rows.jsonl``), with their scores (``pairs.jsonl``)."""
    rules = actor_rules(lab, iteration)

    def build(workspace: Workspace) -> None:
        assert isinstance(responses, Artifact) and isinstance(judgments, Artifact)
        candidates = read_rows(responses.file("responses.jsonl"), Candidate)
        found = actor_pairs(candidates, read_rows(judgments.file("judgments.jsonl"), PointJudgment), rules)
        for reason, count in found.dropped.items():
            workspace.drop(reason, count)
        pairs = found.kept
        rows = [
            Preference(
                f"{pair.chosen.id}-{pair.rejected.id.rpartition('/')[2]}", answer_prompt(pair.chosen.instruction),
                pair.chosen.text, pair.rejected.text,
            )
            for pair in pairs
        ]  # fmt: skip
        write_rows(workspace.path / "rows.jsonl", rows)
        write_rows(workspace.path / "pairs.jsonl", pairs)
        workspace.count(pairs=len(pairs))
        upside_down = sum(pair.chosen_score <= pair.rejected_score for pair in pairs)
        if upside_down:
            workspace.count(**{"pairs whose chosen response scores no higher": upside_down})
        workspace.measure(
            chosen_chars=_mean(len(pair.chosen.text) for pair in pairs),
            rejected_chars=_mean(len(pair.rejected.text) for pair in pairs),
            chosen_score=_mean(pair.chosen_score for pair in pairs),
            rejected_score=_mean(pair.rejected_score for pair in pairs),
        )

    return lab.stage(f"actor_pairs/{name}", 1, asdict(rules), [responses, judgments], build)


def join_pairs(lab: Lab, name: str, parts: Sequence[Handle]) -> Handle:
    """All pairs of an iteration in one file (``rows.jsonl``); training draws their order."""

    def build(workspace: Workspace) -> None:
        rows: list[Preference] = []
        for part in parts:
            assert isinstance(part, Artifact)
            rows += read_rows(part.file("rows.jsonl"), Preference)
        if not rows:
            reasons = [f"{n} x {why}" for part in parts if isinstance(part, Artifact) for why, n in _dropped(part)]
            raise StageError(
                f"No preferences could be selected in iteration {name} ({'; '.join(reasons) or 'no responses'}). A "
                "seed that writes no scores needs recipe.warm_start.enabled=true; scores that are all the same need "
                "more recipe.responses, more recipe.judgments or a higher sampler.temperature."
            )
        write_rows(workspace.path / "rows.jsonl", rows)
        workspace.count(preferences=len(rows))

    return lab.stage(f"preferences/{name}", 1, {}, parts, build)


def _dropped(part: Artifact) -> list[tuple[str, int]]:
    return list(part.info.dropped.items())


def _mean(values: Iterable[float]) -> float | None:
    held = list(values)
    return fmean(held) if held else None
