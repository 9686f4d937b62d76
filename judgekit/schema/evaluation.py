"""The configuration of ``judgekit eval``: a judge, how it is asked, and what it is measured on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from judgekit.evaluation.benchmarks.base import BenchmarkConfig
from judgekit.prompts.base import PromptConfig
from judgekit.samplers.base import SamplerConfig
from judgekit.samplers.hf import HfConfig
from judgekit.schema.fields import setting
from judgekit.schema.judges import JudgeConfig
from judgekit.schema.logger import LoggerConfig
from judgekit.verdict_rows import MergeRule


@dataclass(frozen=True)
class EvalConfig:
    """A whole evaluation."""

    name: str = setting("eval", "name of the evaluation and of its folder")
    seed: int = setting(2, "seed of samples and of bootstrap resamples", ge=0)
    store: str = setting("outputs/store", "where stages and generations are kept; a run's own store saves its verdicts")
    judge: JudgeConfig = setting(JudgeConfig, "the judge")
    prompt: PromptConfig | None = setting(None, "protocol; null: the one a run's judge brings")
    sampler: SamplerConfig = setting(HfConfig, "sampler")
    benchmark: dict[str, BenchmarkConfig] = setting({}, "evaluation sets by name; null takes one out")
    benchmarks: str | None = setting(
        None, "folder that holds benchmarks in folders of their names, for those without a path", path=True
    )
    limit: int | None = setting(
        None, "at most this many rows of each benchmark, whole groups of one prompt spread evenly; null: all", ge=1
    )
    samples: int = setting(
        1, "1: greedy; more: that many samples at sampler.temperature, and the majority verdict (mean score)", ge=1
    )
    merge: MergeRule | None = setting(
        None, "rule that makes one verdict of both orders; null: that of each benchmark's release"
    )
    invalid_as: Literal["tie"] | None = setting(None, "tie: count invalid verdicts as ties, as some releases do")
    resamples: int = setting(1000, "bootstrap resamples of the intervals", ge=1)
    logger: LoggerConfig = setting(LoggerConfig, "logging")

    @property
    def chosen(self) -> dict[str, BenchmarkConfig]:
        """The benchmarks with their places and limits."""
        return {name: self._placed(name, benchmark) for name, benchmark in self.benchmark.items()}

    def _placed(self, name: str, benchmark: BenchmarkConfig) -> BenchmarkConfig:
        limits = [limit for limit in (self.limit, benchmark.limit) if limit is not None]
        path = benchmark.path
        if path is None and benchmark.hub_id is None and benchmark.kind != "starter" and self.benchmarks is not None:
            folder = Path(self.benchmarks) / name
            path = str(folder) if folder.is_dir() else None
        return replace(benchmark, path=path, limit=min(limits, default=None))
