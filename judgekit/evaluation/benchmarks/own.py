"""Labelled pairs of one's own, in judgekit's format or with the names of their columns."""

from __future__ import annotations

from pathlib import Path

from judgekit.errors import DataError
from judgekit.evaluation.benchmarks.base import BENCHMARKS, Benchmark, BenchmarkConfig
from judgekit.rows import ResponsePair


class OwnPairs:
    """A file or hub data set of pairs."""

    def read(self, name: str, config: BenchmarkConfig) -> list[ResponsePair]:
        """All pairs; see ``judgekit.data.sources.read_pairs``."""
        from judgekit.data.sources import load_source, read_pairs
        from judgekit.schema.data import SourceConfig

        if config.path is None:
            source = SourceConfig(
                kind="hub", pairs="given", hub_id=config.hub_id, revision=config.revision, split=config.split,
                columns=config.columns,
            )  # fmt: skip
            return [row for row in load_source(source, seed=0) if isinstance(row, ResponsePair)]
        if not Path(config.path).exists():
            raise DataError(f"does not exist; correct benchmark.{name}.path, or set it to null", file=config.path)
        return read_pairs(Path(config.path), config.columns)

    def files(self, name: str, path: Path) -> list[Path]:
        """The file given."""
        return [path]


BENCHMARKS.add("pairs", Benchmark(OwnPairs(), columns=True))
