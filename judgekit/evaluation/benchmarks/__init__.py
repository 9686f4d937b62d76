"""Benchmarks of judges, from files in their published formats.

Each benchmark has a small file here that says how one published row becomes pairs (or single scored responses).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from judgekit.errors import ConfigError, DataError, Problem
from judgekit.evaluation.benchmarks.base import BENCHMARKS, BenchmarkConfig, Source
from judgekit.rows import ResponsePair, ScoredResponse

_log = logging.getLogger(__name__)

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


def check_labels(pairs: Sequence[ResponsePair], file: str) -> None:
    """Say that pairs without labels measure no judge, before one is asked about them.

    :raises DataError: when none has a label
    """
    bare = sum(pair.label is None for pair in pairs)
    if bare and bare == len(pairs):
        message = f"none of the {bare} pairs has a label, so no judge can be measured on them"
        raise DataError(f"{message}; add labels, or get verdicts with `judgekit judge`", file=file, field="label")
    if bare:
        _log.warning("%s: %d of %d pairs have no label; they are judged and not measured", file, bare, len(pairs))


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
    """At most ``limit`` rows: whole groups, one at least, at even distances, so that subsets keep about their shares.

    Half a group is of no use: a style grid lacks a level, a ranking its ends, a response some of its criteria.
    """
    if limit is None or limit >= len(rows):
        return list(rows)
    by_group: dict[int | str, list[Kind]] = {}
    for place, row in enumerate(rows):
        by_group.setdefault(place if row.group is None else row.group, []).append(row)
    groups = list(by_group.values())
    for count in range(max(1, limit * len(groups) // len(rows)), 0, -1):
        taken = [groups[(2 * index + 1) * len(groups) // (2 * count)] for index in range(count)]
        if sum(map(len, taken)) <= limit:
            break
    return [row for group in taken for row in group]
