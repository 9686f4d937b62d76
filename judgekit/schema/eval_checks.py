"""Combinations of an evaluation's values that cannot work together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from judgekit.errors import ConfigError, JudgekitError, Problem
from judgekit.evaluation.benchmarks import has_source
from judgekit.evaluation.benchmarks.base import BENCHMARKS, BenchmarkConfig
from judgekit.judges import (
    Decoding,
    FoundJudge,
    decoding_of,
    find_judge,
    needs_prompt,
    prompt_of,
    starter_pairs,
    thinking_as,
)
from judgekit.prompts.base import ManyProtocol, PointProtocol, PromptConfig
from judgekit.schema.checks import verdict_tokens
from judgekit.schema.evaluation import EvalConfig
from judgekit.schema.rules import of_eval


def _found(config: EvalConfig) -> FoundJudge | None:
    """The judge where there is one; ``_judge`` says why there is none."""
    try:
        return find_judge(config.judge, config.sampler)
    except JudgekitError:
        return None


def _asked(config: EvalConfig) -> PromptConfig | None:
    found = _found(config)
    return config.prompt if found is None else prompt_of(found, config.prompt)


def _decoding(config: EvalConfig) -> Decoding:
    return decoding_of(config.judge, _found(config), config.sampler)


@of_eval("judge", "sampler.name")
def _judge(config: EvalConfig) -> list[Problem]:
    try:
        find_judge(config.judge, config.sampler)
    except ConfigError as error:
        return error.problems
    except JudgekitError as error:
        return [Problem("judge", str(error))]
    return []


@of_eval("judge", "prompt", "sampler.name")
def _prompt(config: EvalConfig) -> list[Problem]:
    return [needs_prompt(config.judge)] if _found(config) is not None and _asked(config) is None else []


@of_eval("judge", "prompt", "sampler.name")
def _wording(config: EvalConfig) -> list[Problem]:
    """What the judge's own protocol says of its values; of one that is chosen, what these weights add to it."""
    asked, said = _asked(config), config.prompt.problems() if config.prompt is not None else []
    place = "prompt" if config.prompt is not None else "judge.prompt"
    return [] if asked is None else [one.under(place) for one in asked.problems() if one not in said]


@of_eval("judge", "prompt", "sampler.verdict")
def _verdict_tokens(config: EvalConfig) -> list[Problem]:
    prompt = _asked(config)
    if prompt is None or not _decoding(config).constrained or verdict_tokens(prompt):
        return []
    message = f"constrained decoding chooses among verdict tokens, and the protocol '{prompt.name}' has none"
    return [Problem("judge.verdict", message, "Use judge.verdict=free or another protocol")]


@of_eval("judge", "sampler")
def _length(config: EvalConfig) -> list[Problem]:
    found = _found(config)
    if found is None or found.model is None:
        return []
    tokens, context = _decoding(config).tokens, found.model.max_length
    thought = thinking_as(found, config.sampler).thinking_tokens or 0
    if thought + tokens >= context:
        told = f"{tokens} tokens" + (f" and {thought} of a thought" if thought else "")
        message = f"{told} leave no room for a prompt in the model's {context}"
        return [Problem("judge.tokens", message, f"Use less than {context - thought}, or raise judge.max_length")]
    batch = getattr(config.sampler, "batch_tokens", None)
    if batch is not None and tokens >= batch:
        message = f"{tokens} tokens do not fit into a batch of {batch} (sampler.batch_tokens)"
        return [Problem("judge.tokens", message, "Raise sampler.batch_tokens")]
    return []


@of_eval("judge", "sampler")
def _sampler(config: EvalConfig) -> list[Problem]:
    sampler = _decoding(config).by(config.sampler)
    problems = [_said_of_judge(problem.under("sampler")) for problem in sampler.problems()]
    if sampler.takes_weights and (sampler.shards > 1 or sampler.shard is not None):
        hint = "Use sampler.shards=1, and -m for several benchmarks side by side"
        problems.append(Problem("sampler.shards", "one process judges a benchmark", hint))
    return problems


def _said_of_judge(problem: Problem) -> Problem:
    """How a judgment is decoded is the judge's affair in an evaluation."""
    if problem.key not in ("sampler.verdict", "sampler.beams", "sampler.repetition_penalty"):
        return problem
    key = problem.key.replace("sampler", "judge")
    return replace(problem, key=key, hint=(problem.hint or "").replace(problem.key, key))


@of_eval("samples", "sampler.temperature")
def _samples(config: EvalConfig) -> list[Problem]:
    if config.samples == 1 or config.sampler.temperature > 0:
        return []
    return [Problem("sampler.temperature", "greedy samples are all the same", "Use more than 0, or samples=1")]


@of_eval("judge", "prompt", "merge", "sampler.verdict")
def _merge(config: EvalConfig) -> list[Problem]:
    prompt = _asked(config)
    if prompt is None:
        return []
    if config.merge == "average_score" and not isinstance(prompt.protocol, PointProtocol | ManyProtocol):
        return [Problem("merge", f"the protocol '{prompt.name}' gives no scores to average", "Use prompt=rating")]
    if config.merge == "average_probability" and not _decoding(config).constrained:
        return [Problem("merge", "free verdicts have no probabilities to average", "Use judge.verdict=constrained")]
    return []


@of_eval("judge.path", "benchmark", "benchmarks")
def _sources(config: EvalConfig) -> list[Problem]:
    if not config.benchmark:
        return [Problem("benchmark", "nothing to measure on", "Add benchmark=NAME, and benchmark.NAME.path=PATH")]
    return [problem for name, benchmark in config.chosen.items() for problem in _source(config, name, benchmark)]


def _source(config: EvalConfig, name: str, benchmark: BenchmarkConfig) -> list[Problem]:
    if benchmark.kind == "starter":
        if starter_pairs(config.judge) is not None:
            return []
        message = "these are the pairs a run held out, and the judge is no run that has any"
        return [Problem(f"benchmark.{name}.kind", message, "Use another benchmark, or judge=RUN_FOLDER")]
    if has_source(benchmark):
        return []
    message = "it is not said where its files lie"
    if config.benchmarks is not None:
        message += f", and {Path(config.benchmarks) / name} is no folder"
    hint = f"Add benchmark.{name}.path=PATH, or benchmarks=FOLDER with a folder {name} in it"
    return [Problem(f"benchmark.{name}.path", message, hint)]


@of_eval("judge", "prompt", "benchmark")
def _kinds(config: EvalConfig) -> list[Problem]:
    prompt = _asked(config)
    if prompt is None or isinstance(prompt.protocol, PointProtocol):
        return []
    return [
        Problem(
            f"benchmark.{name}.kind",
            f"{benchmark.kind} has single responses to score, and the protocol '{prompt.name}' compares two",
            "Use prompt=rating",
        )
        for name, benchmark in config.benchmark.items()
        if BENCHMARKS[benchmark.kind].pointwise
    ]
