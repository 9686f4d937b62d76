"""The pairs that a run holds out itself."""

from judgekit.evaluation.benchmarks.base import BENCHMARKS, Benchmark

BENCHMARKS.add("starter", Benchmark())
