"""Stages that every recipe shares: data and evaluation."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from judgekit.data.checking import Checker
from judgekit.data.pairs import Question, build_pairs, without_responses
from judgekit.data.sources import load_source
from judgekit.data.splits import split_instructions
from judgekit.errors import StageError
from judgekit.evaluation.benchmarks import has_source, identity, load_benchmark
from judgekit.evaluation.benchmarks.base import BenchmarkConfig
from judgekit.evaluation.judging import judge_pairs, rate_responses
from judgekit.evaluation.verdicts import VerdictRow, write_verdicts
from judgekit.evaluation.voting import vote
from judgekit.prompts.base import PairProtocol, PointProtocol
from judgekit.recipes.lab import Handle, Judge, Lab, section
from judgekit.rows import ORDERS, Instruction, Order, ResponsePair, ScoredResponse, read_rows, write_rows
from judgekit.sampling.base import SamplingParams
from judgekit.sampling.text import TextRequest
from judgekit.store import Artifact, Workspace
from judgekit.weights import Weights

PROMPT_TOKENS = 300
"""Rough length of a prompt for planning: short pairs need half of it, long ones several times as much."""


UNKNOWN_PAIRS = 200
"""Pairs assumed of a benchmark that is only read when the run comes to it."""


def orders(lab: Lab) -> tuple[Order, ...]:
    """The orders responses are shown in."""
    return ORDERS if lab.config.bias.both_orders else ORDERS[:1]


def make_splits(
    lab: Lab,
    warm: int,
    warm_categories: Collection[str] | None = None,
    *,
    second_round: bool = True,
    choose: Callable[[Handle], Handle] | None = None,
) -> Handle:
    """Instructions -> response pairs -> splits (``held_out``, ``validation``, ``warm``, ``d1``, ``d2``).

    :param warm: instructions set apart for a warm start
    :param warm_categories: categories those are taken from; None: all
    :param second_round: whether the recipe trains on D2; otherwise that split stays empty
    :param choose: from the stage of all instructions to one that holds the selected ones
    """
    data, seed = lab.config.data, lab.config.seed
    paths = lab.file_inputs(*(source.path for source in data.sources.values()))
    sources = {name: _without_path(asdict(source)) for name, source in data.sources.items()}

    def read(workspace: Workspace) -> None:
        rows: list[Instruction] = []
        given: list[ResponsePair] = []
        for name, source in data.sources.items():
            found = load_source(source, seed)
            for row in found:
                if isinstance(row, ResponsePair):
                    given.append(_named(row, name))
                rows.append(_instruction_of(row, name))
            workspace.count(**{name: len(found)})
        write_rows(workspace.path / "instructions.jsonl", rows)
        write_rows(workspace.path / "given.jsonl", given)

    instructions = lab.stage("instructions", 1, {"sources": sources, "seed": seed}, paths, read)
    if choose is not None:
        instructions = choose(instructions)
    pairs = _pairs(lab, instructions, sources)
    sizes = {
        "held_out": data.held_out,
        "validation": data.validation,
        "warm": warm,
        "d1": data.first_round,
        "d2": data.second_round if second_round else 0,
    }

    def divide(workspace: Workspace) -> None:
        assert isinstance(pairs, Artifact) and isinstance(instructions, Artifact)
        by_id = {pair.group: pair for pair in read_rows(pairs.file("pairs.jsonl"), ResponsePair)}
        rows = [row for row in read_rows(instructions.file("instructions.jsonl"), Instruction) if row.id in by_id]
        by_source = {name: [row for row in rows if row.category.startswith(f"{name}/")] for name in data.sources}
        for split, members in split_instructions(by_source, sizes, seed, warm_categories, data.train_sources).items():
            write_rows(workspace.path / f"{split}.jsonl", [by_id[row.id] for row in members])
            workspace.count(**{split: len(members)})
        warm_ids = {pair.group for pair in read_rows(workspace.path / "warm.jsonl", ResponsePair)}
        write_rows(workspace.path / "warm_instructions.jsonl", [row for row in rows if row.id in warm_ids])

    config = {"sizes": sizes, "seed": seed, "warm_categories": warm_categories}
    config |= {} if data.train_sources is None else {"train_sources": data.train_sources}
    return lab.stage("splits", 2, config, [instructions, pairs], divide)


def _pairs(lab: Lab, instructions: Handle, sources: Mapping[str, Any]) -> Handle:
    """Response pairs of every instruction that allows one."""
    data, seed = lab.config.data, lab.config.seed
    max_chars = lab.config.bias.max_response_chars
    sampled = [source for source in data.sources.values() if source.pairs not in ("written", "given", "none")]
    settings = section(data, "solutions", "solution_temperature", "response_tokens", "checker_seconds")
    config = settings | {"sources": sources, "seed": seed, "max_chars": max_chars}
    params = SamplingParams(data.solution_temperature, lab.config.sampler.top_p, data.response_tokens, seed=seed)

    def build(workspace: Workspace) -> None:
        assert isinstance(instructions, Artifact)
        rows = read_rows(instructions.file("instructions.jsonl"), Instruction)
        made = read_rows(instructions.file("given.jsonl"), ResponsePair)

        def ask(questions: Sequence[Question]) -> Mapping[tuple[str, int], str]:
            requests = [
                TextRequest(
                    question.id,
                    question.prompt,
                    params if question.tokens is None else _longer(params, question.tokens),
                    tuple(range(question.samples)),
                )
                for question in questions
            ]
            replies = lab.ask(Weights(lab.base())).ask(requests, workspace, "responses")
            return {key: reply.text.strip() for key, reply in replies.generations.items()}

        with Checker(data.checker_seconds) as checker:

            def verify(items: Sequence[tuple[Instruction, str]]) -> list[bool | None]:
                checks = checker.check(items) if items else []
                for reason, count in Counter(check.reason for check in checks if check.reason).items():
                    workspace.drop(f"solution not verified: {reason}", count)
                return [check.correct for check in checks]

            for name, source in data.sources.items():
                if source.pairs == "given":
                    continue
                members = [row for row in rows if row.category.startswith(f"{name}/")]
                if source.pairs == "none":
                    made += [_named(pair, name) for pair in without_responses(members)]
                    workspace.count(**{name: len(members)})
                    continue
                found = build_pairs(
                    members, source, data, seed=seed, ask=ask, verify=verify, max_chars=max_chars,
                    drop=functools.partial(_drop_from, workspace, name),
                )  # fmt: skip
                made += [_named(pair, name) for pair in found]
                workspace.count(**{name: len(found)})
        write_rows(workspace.path / "pairs.jsonl", made)

    count = sum((source.count or 0) * _samples(source.pairs, data.solutions) for source in sampled)
    return lab.stage(
        "pairs", 1, config, [instructions, *([lab.seed_digest()] if sampled else [])], build,
        generations=count, tokens=count * (data.response_tokens + 64), note="at most" if count else "",
    )  # fmt: skip


def _drop_from(workspace: Workspace, source: str, reason: str) -> None:
    workspace.drop(f"{source}: {reason}")


def _samples(pairs: str, solutions: int) -> int:
    return solutions if pairs == "verified" else 2


def _longer(params: SamplingParams, tokens: int) -> SamplingParams:
    return SamplingParams(params.temperature, params.top_p, tokens, seed=params.seed)


def _without_path(source: dict[str, Any]) -> dict[str, Any]:
    """What of a source determines its rows: the file's digest is an input, so moving a file changes nothing."""
    return {name: value for name, value in source.items() if name not in ("path", "license")}


def _named(pair: ResponsePair, source: str) -> ResponsePair:
    values = asdict(pair)
    return ResponsePair(**values | {"subset": source, "group": pair.group or pair.id})


def _instruction_of(row: Instruction | ResponsePair, source: str) -> Instruction:
    """An instruction under its source's name; pairs that are given stand for their instruction."""
    if isinstance(row, Instruction):
        return Instruction(**asdict(row) | {"category": f"{source}/{row.category}"})
    return Instruction(row.group or row.id, row.instruction, source, f"{source}/given")


def benchmark_pairs(lab: Lab, splits: Handle) -> dict[str, Handle]:
    """The pairs of every benchmark that has its files, by name."""
    found: dict[str, Handle] = {}
    for name, config in lab.config.benchmark.items():
        if not has_source(config):
            if not lab.planning:
                lab.record.manifest["benchmarks"][name] = {"left_out": "no path given"}
                lab.record.note(f"Benchmark {name} is left out: give benchmark.{name}.path=PATH to include it.")
            continue
        found[name] = _benchmark(lab, name, config, splits)
    return found


def _benchmark(lab: Lab, name: str, config: BenchmarkConfig, splits: Handle) -> Handle:
    def build(workspace: Workspace) -> None:
        assert isinstance(splits, Artifact)
        held_out = read_rows(splits.file("held_out.jsonl"), ResponsePair)
        pairs = load_benchmark(name, config, held_out)
        if not pairs:
            raise StageError(f"Benchmark {name} has no pairs. Check benchmark.{name}.path and data.held_out.")
        write_rows(workspace.path / "pairs.jsonl", pairs)
        workspace.count(pairs=len(pairs))

    settings, files = identity(name, config)
    inputs: list[Handle | str] = [splits] if config.kind == "starter" else [*files]
    return lab.stage(f"benchmark/{name}", 1, settings, inputs, build)


def judge_benchmark(lab: Lab, judge: Judge, name: str, pairs: Handle, protocol: PairProtocol | PointProtocol) -> Handle:
    """Verdicts of a judge on a benchmark, in both orders whatever the training uses.

    They are greedy; those of a judge with votes are majorities over sampled ones, which ``samples.jsonl`` holds.
    """
    sampler = lab.config.sampler
    config = asdict(lab.config.prompt) | section(sampler, "judge_tokens", "verdict") | {"judge": judge.name}
    params = lab.greedy(sampler.judge_tokens)
    if judge.votes:
        params = lab.params(sampler.judge_tokens)
        config |= {"votes": judge.votes, "seed": lab.config.seed} | section(sampler, "temperature", "top_p")

    def build(workspace: Workspace) -> None:
        assert isinstance(pairs, Artifact)
        rows = read_rows(pairs.file("pairs.jsonl"), ResponsePair)
        verdicts = judge_pairs(
            lab.ask(lab.weights(judge)), protocol, rows, ORDERS, params, samples=range(max(1, judge.votes)),
            constrained=sampler.verdict == "constrained", workspace=workspace, title=f"{judge.name} on {name}",
        )  # fmt: skip
        if judge.votes:
            write_verdicts(workspace.path / "samples.jsonl", verdicts)
            verdicts = vote(verdicts)
        write_verdicts(workspace.path / "verdicts.jsonl", verdicts)
        workspace.count(verdicts=len(verdicts), invalid=sum(row.verdict is None for row in verdicts))

    benchmark = lab.config.benchmark[name]
    known = lab.config.data.held_out if benchmark.kind == "starter" else UNKNOWN_PAIRS
    count = len(ORDERS) * min(known, benchmark.limit or known) * max(1, judge.votes)
    return lab.stage(
        f"verdicts/{judge.name}/{name}", 1, config, [lab.source(judge), pairs], build,
        generations=count, tokens=count * (PROMPT_TOKENS + sampler.judge_tokens), note="at most",
    )  # fmt: skip


RANKINGS = "rankings"
"""What ranked held-out responses are called among the benchmarks."""


def rate_rankings(lab: Lab, judge: Judge, rankings: Handle, protocol: PointProtocol) -> Handle:
    """Greedy scores of held-out ranked responses (``responses.jsonl``, ``scores.jsonl``)."""
    sampler = lab.config.sampler
    settings = asdict(lab.config.prompt) | section(sampler, "judge_tokens") | {"judge": judge.name}

    def build(workspace: Workspace) -> None:
        assert isinstance(rankings, Artifact)
        rows = read_rows(rankings.file("held_out.jsonl"), ScoredResponse)
        rated = rate_responses(
            lab.ask(lab.weights(judge)), protocol, [row.shown for row in rows], lab.greedy(sampler.judge_tokens),
            workspace=workspace, title=f"{judge.name} on {RANKINGS}",
        )  # fmt: skip
        write_rows(workspace.path / "responses.jsonl", rows)
        write_rows(workspace.path / "scores.jsonl", rated)
        workspace.count(scores=len(rated), invalid=sum(row.score is None for row in rated))

    groups = lab.config.data.held_out
    return lab.stage(
        f"scores/{judge.name}/{RANKINGS}", 1, settings, [lab.source(judge), rankings], build,
        generations=2 * groups, tokens=2 * groups * (PROMPT_TOKENS + sampler.judge_tokens),
        note="for two responses a prompt",
    )  # fmt: skip


def repeat_judgments(
    lab: Lab, judge: Judge, name: str, pairs: Handle, protocol: PairProtocol | PointProtocol
) -> Handle:
    """Verdicts on some of a benchmark's pairs once more, generated in other company (see ``flip_rate``)."""
    sampler = lab.config.sampler
    count = sampler.flip_pairs
    config = asdict(lab.config.prompt) | section(sampler, "judge_tokens", "verdict", "flip_pairs")

    def build(workspace: Workspace) -> None:
        assert isinstance(pairs, Artifact)
        rows = read_rows(pairs.file("pairs.jsonl"), ResponsePair)[:count]
        verdicts = judge_pairs(
            lab.ask(lab.weights(judge)), protocol, rows, ORDERS, lab.greedy(sampler.judge_tokens), samples=(1,),
            constrained=sampler.verdict == "constrained", workspace=workspace, title=f"{judge.name} on {name}, again",
        )  # fmt: skip
        write_verdicts(workspace.path / "verdicts.jsonl", verdicts)
        workspace.count(verdicts=len(verdicts))

    total = count * len(ORDERS)
    return lab.stage(
        f"repeated/{judge.name}/{name}", 1, config | {"judge": judge.name}, [lab.source(judge), pairs], build,
        generations=total, tokens=total * (PROMPT_TOKENS + sampler.judge_tokens), note="at most",
    )  # fmt: skip


def consistent_accuracy(pairs: Sequence[ResponsePair], verdicts: Sequence[VerdictRow]) -> float:
    """Share of pairs judged right in every order: the validation score."""
    labels = {pair.id: pair.label for pair in pairs}
    right = {pair.id: True for pair in pairs}
    for row in verdicts:
        right[row.id] = right[row.id] and row.verdict == labels[row.id]
    return sum(right.values()) / len(right)
