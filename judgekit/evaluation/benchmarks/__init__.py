"""Benchmarks of judges, from files in their published formats.

Each benchmark has a small file here that says how one published row becomes pairs (or single scored responses).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from judgekit.errors import ConfigError, DataError, Problem
from judgekit.evaluation.benchmarks import (
    alignbench,
    autoj,
    evalbiasbench,
    finegrained_rlhf,
    judge_bench,
    judgebench,
    judgelm,
    llmbar,
    mt_bench,
    oasst,
    pandalm,
    rewardbench,
    rm_bench,
)
from judgekit.evaluation.benchmarks.base import Loader, find_files, read_published
from judgekit.rows import ResponsePair, ScoredResponse
from judgekit.schema.config import BenchmarkConfig, SourceConfig
from judgekit.store import file_digest

__all__ = ["PAIRS", "SCORED", "benchmark_files", "has_source", "identity", "load_benchmark", "load_scored"]

PAIRS: Mapping[str, Loader[ResponsePair]] = {
    "llmbar": llmbar.LOADER,
    "pandalm": pandalm.LOADER,
    "judgebench": judgebench.LOADER,
    "rm_bench": rm_bench.LOADER,
    "evalbiasbench": evalbiasbench.LOADER,
    "finegrained_rlhf": finegrained_rlhf.LOADER,
    "oasst": oasst.LOADER,
    "rewardbench": rewardbench.LOADER,
    "mt_bench": mt_bench.LOADER,
    "autoj": autoj.LOADER,
    "judgelm": judgelm.LOADER,
    "alignbench": alignbench.LOADER,
}
"""Benchmarks of labelled response pairs, by kind."""

SCORED: Mapping[str, Loader[ScoredResponse]] = {
    "roscoe": judge_bench.ROSCOE,
    "newsroom": judge_bench.NEWSROOM,
    "oasst": oasst.RANKINGS,
    "alignbench": alignbench.SCORES,
}
"""Benchmarks of single responses with human scores, by kind."""

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
    if config.kind == "pairs":
        return _spread(_own_pairs(name, config), config.limit)
    return _spread(read_published(name, config, _loader(PAIRS, name, config, "pairs")), config.limit)


def load_scored(name: str, config: BenchmarkConfig) -> list[ScoredResponse] | None:
    """The single scored responses of a benchmark, None when no source of its rows is given.

    :raises ConfigError: for a kind that has no scored responses
    :raises DataError: for files that are missing or not in the format of the kind
    """
    loader = _loader(SCORED, name, config, "scored responses")
    if not has_source(config):
        return None
    rows = read_published(name, config, loader)
    # Criteria of one response follow each other, so that an even distance could meet a single criterion.
    places = {subset: place for place, subset in enumerate(dict.fromkeys(row.subset for row in rows))}
    return _spread(sorted(rows, key=lambda row: places[row.subset]), config.limit)


def benchmark_files(name: str, config: BenchmarkConfig) -> list[Path]:
    """The files a benchmark is read from; none where it comes from the run itself or the hub.

    :raises DataError: when they are missing
    """
    if config.kind == "starter" or config.path is None:
        return []
    loader: Loader[Any] | None = PAIRS.get(config.kind) or SCORED.get(config.kind)
    return [Path(config.path)] if loader is None else find_files(name, Path(config.path), loader)


def identity(name: str, config: BenchmarkConfig) -> tuple[dict[str, Any], list[str]]:
    """What determines a benchmark's rows, as configuration and inputs of a stage.

    Of files that is their content: moving them changes nothing. For kind ``starter`` its pairs are a further input.

    :raises DataError: when files are missing
    """
    settings: dict[str, Any] = {"kind": config.kind, "limit": config.limit}
    if config.kind != "starter" and config.path is None:
        settings |= {"hub_id": config.hub_id, "revision": config.revision, "split": config.split}
    if config.columns:
        settings["columns"] = config.columns
    return settings, [file_digest(file) for file in benchmark_files(name, config)]


def _loader(loaders: Mapping[str, Loader[Any]], name: str, config: BenchmarkConfig, what: str) -> Loader[Any]:
    if config.kind not in loaders:
        message = f"{config.kind} has no {what}"
        raise ConfigError([Problem(f"benchmark.{name}.kind", message, f"Those that have: {', '.join(loaders)}")])
    return loaders[config.kind]


def _own_pairs(name: str, config: BenchmarkConfig) -> list[ResponsePair]:
    from judgekit.data.sources import load_source, read_pairs

    if config.path is None:
        source = SourceConfig(
            kind="hub", pairs="given", hub_id=config.hub_id, revision=config.revision, split=config.split,
            columns=config.columns,
        )  # fmt: skip
        return [row for row in load_source(source, seed=0) if isinstance(row, ResponsePair)]
    if not Path(config.path).exists():
        raise DataError(f"does not exist; correct benchmark.{name}.path, or set it to null", file=config.path)
    return read_pairs(Path(config.path), config.columns)


def _spread(rows: Sequence[Kind], limit: int | None) -> list[Kind]:
    """At most ``limit`` rows at even distances, so that every subset keeps about its share."""
    if limit is None or limit >= len(rows):
        return list(rows)
    return [rows[(2 * index + 1) * len(rows) // (2 * limit)] for index in range(limit)]
