"""Benchmarks of judges, from files in their published formats.

Each benchmark has a small file here that says how one published row becomes pairs (or single scored responses).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from judgekit.errors import ConfigError, Problem
from judgekit.evaluation.benchmarks.base import BENCHMARKS, BenchmarkConfig, Source
from judgekit.rows import ResponsePair, ScoredResponse

Kind = TypeVar("Kind", ResponsePair, ScoredResponse)


def has_source(config: BenchmarkConfig) -> bool:
    """Whether the benchmark's rows can be had: from the run itself, a path or the hub."""
    return config.kind == "starter" or config.path is not None or config.hub_id is not None


def load_benchmark(name: str, config: BenchmarkConfig, held_out: Sequence[ResponsePair]) -> list[ResponsePair] | None:
    """The pairs of a benchmark, None when no source of its rows is given.

    :param name: the benchmark's name in the configuration
    :param held_out: the run's own held-out pairs, which kind ``starter`` returns
    :raises ConfigError: for a kind that has no pairs
    :raises DataError: for files that are missing or not in the format of the kind
    """
    if config.kind == "starter":
        return _spread(held_out, config.limit)
    if not has_source(config):
        return None
    return _spread(_source("pairs", name, config).read(name, config), config.limit)


def load_scored(name: str, config: BenchmarkConfig) -> list[ScoredResponse] | None:
    """The single scored responses of a benchmark, None when no source of its rows is given.

    :raises ConfigError: for a kind that has no scored responses
    :raises DataError: for files that are missing or not in the format of the kind
    """
    source = _source("scored", name, config)
    if not has_source(config):
        return None
    return _spread(source.read(name, config), config.limit)


def benchmark_files(name: str, config: BenchmarkConfig) -> list[Path]:
    """The files a benchmark is read from; none where it comes from the run itself or the hub.

    :raises DataError: when they are missing
    """
    if config.kind == "starter" or config.path is None:
        return []
    benchmark = BENCHMARKS[config.kind]
    source: Source[Any] | None = benchmark.pairs or benchmark.scored
    return [] if source is None else source.files(name, Path(config.path))


def _source(what: Literal["pairs", "scored"], name: str, config: BenchmarkConfig) -> Source[Any]:
    found = {kind: known.pairs if what == "pairs" else known.scored for kind, known in BENCHMARKS.items()}
    sources: dict[str, Source[Any]] = {kind: source for kind, source in found.items() if source is not None}
    if config.kind not in sources:
        message = f"{config.kind} has no {'pairs' if what == 'pairs' else 'scored responses'}"
        raise ConfigError([Problem(f"benchmark.{name}.kind", message, f"Those that have: {', '.join(sources)}")])
    return sources[config.kind]


def _spread(rows: Sequence[Kind], limit: int | None) -> list[Kind]:
    """At most ``limit`` rows, so that every subset, and every place in a group, keeps about its share.

    A group's rows follow each other in one order: answer pairs of a question, criteria of a response. Even distances
    in the file could meet one place only, so they are taken through all first places, all second ones, and so on.
    """
    if limit is None or limit >= len(rows):
        return list(rows)
    seen: Counter[str] = Counter()
    places = []
    for row in rows:
        places.append(seen[row.group] if row.group is not None else 0)
        seen[row.group or ""] += 1
    order = sorted(range(len(rows)), key=lambda index: places[index])
    return [rows[index] for index in sorted(order[(2 * i + 1) * len(rows) // (2 * limit)] for i in range(limit))]
