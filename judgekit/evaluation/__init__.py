"""Judging benchmarks and measuring the verdicts."""
