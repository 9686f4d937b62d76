"""A judge's measures as flat numbers ``eval/JUDGE/BENCHMARK[/SUBSET]/METRIC``, as in ``metrics.json``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from judgekit.evaluation.benchmarks.base import BENCHMARKS
from judgekit.evaluation.pointwise import PointwiseMetrics, score_pointwise
from judgekit.evaluation.repetition import flip_rate
from judgekit.evaluation.verdict_calibration import calibrate
from judgekit.evaluation.verdict_metrics import MetricValue, VerdictMetrics, score
from judgekit.evaluation.voting import CurveMetric, majority_curve, vote
from judgekit.prompts.thoughts import split_thought
from judgekit.rows import ORDERS, ResponsePair, ScoredResponse
from judgekit.stats.bootstrap import Estimate
from judgekit.stats.correlation import Correlations
from judgekit.verdict_rows import MergeRule, VerdictRow

Numbers = dict[str, float | int | None]

JUDGMENT_COLUMNS = (
    "benchmark", "id", "order", "instruction", "response_a", "response_b", "label", "verdict", "invalid", "text",
)  # fmt: skip
MISSING = "missing"
"""Under ``sections/``: the parts of a benchmark without verdicts, each 1."""
CURVES: tuple[CurveMetric, ...] = ("accuracy", "consistent_accuracy")
"""Metrics whose course over more samples is told."""


def flatten(prefix: str, values: Mapping[str, MetricValue]) -> Numbers:
    """``NAME_ci95: [low, high]`` as two flat numbers beside the others."""
    flat: Numbers = {}
    for name, value in values.items():
        if name.endswith("_ci95"):
            low, high = value if isinstance(value, list) else (None, None)
            flat[f"{prefix}/{name}_low"], flat[f"{prefix}/{name}_high"] = low, high
        else:
            assert not isinstance(value, list)
            flat[f"{prefix}/{name}"] = value
    return flat


def pair_numbers(
    prefix: str,
    pairs: Sequence[ResponsePair],
    verdicts: Sequence[VerdictRow],
    *,
    seed: int,
    resamples: int = 1000,
    merge: MergeRule = "none",
    invalid_as: Literal["tie"] | None = None,
) -> Numbers:
    """All metrics of verdicts, overall and by subset; of several samples those of the majority verdict.

    With several samples also ``accuracy_at_K`` and ``consistent_accuracy_at_K``, the vote's over K of them; with P(A)
    calibration; and ``judgment_chars``, the mean length of a reply in characters without its thought, whose own is
    ``thought_chars`` where there are thoughts.

    :param prefix: ``eval/JUDGE/BENCHMARK``
    :param resamples: bootstrap resamples of the intervals
    """
    votes = vote(verdicts)
    scores = score(pairs, votes, resamples=resamples, seed=seed, merge=merge, invalid_as=invalid_as)
    numbers = scores_numbers(prefix, scores)
    numbers |= _lengths(prefix, [row.text for row in verdicts])
    labelled = any(pair.label is not None for pair in pairs)
    if labelled and len(votes) < len(verdicts):
        both = len({row.order for row in votes}) == len(ORDERS)
        for metric in CURVES if both else CURVES[:1]:
            for point in majority_curve(pairs, verdicts, metric=metric, resamples=resamples, seed=seed):
                numbers |= _estimate(f"{prefix}/{metric}_at_{point.samples}", point.estimate)
    if any(row.p_a is not None for row in votes):
        found = calibrate(pairs, votes, resamples=resamples, seed=seed)
        for name in ("ece", "brier", "overconfidence"):
            numbers |= _estimate(f"{prefix}/{name}", getattr(found, name))
    return numbers


def _lengths(prefix: str, texts: Sequence[str]) -> Numbers:
    replies = [split_thought(text) for text in texts]
    thought = sum(len(reply.thought) for reply in replies)
    numbers: Numbers = {f"{prefix}/judgment_chars": sum(len(reply.answer) for reply in replies) / len(replies)}
    return numbers | ({f"{prefix}/thought_chars": thought / len(replies)} if thought else {})


def benchmark_numbers(
    prefix: str,
    kind: str,
    pairs: Sequence[ResponsePair],
    verdicts: Sequence[VerdictRow],
    *,
    seed: int,
    resamples: int = 1000,
    merge: MergeRule | None = None,
    invalid_as: Literal["tie"] | None = None,
) -> Numbers:
    """All that is told of verdicts on a benchmark: ``pair_numbers`` and its own aggregation.

    :param kind: loader of the benchmark
    :param merge: None: the rule of the benchmark's release
    """
    merge = BENCHMARKS[kind].rule(merge, verdicts)
    numbers = pair_numbers(prefix, pairs, verdicts, seed=seed, resamples=resamples, merge=merge, invalid_as=invalid_as)
    return numbers | section_numbers(prefix, kind, pairs, verdicts, seed=seed, resamples=resamples)


def scores_numbers(prefix: str, scores: VerdictMetrics) -> Numbers:
    """Overall metrics and those of subsets."""
    numbers = flatten(prefix, scores.overall)
    for subset, values in scores.subsets.items():
        numbers |= flatten(f"{prefix}/{subset}", values)
    return numbers


def section_numbers(
    prefix: str,
    kind: str,
    pairs: Sequence[ResponsePair],
    verdicts: Sequence[VerdictRow],
    *,
    seed: int,
    resamples: int = 1000,
) -> Numbers:
    """A benchmark's own aggregation under ``sections/``, none for benchmarks without one.

    :param kind: of the benchmark
    """
    aggregate = BENCHMARKS[kind].aggregate
    if aggregate is None:
        return {}
    return _nested(f"{prefix}/sections", aggregate(pairs, vote(verdicts), resamples=resamples, seed=seed))


def _nested(prefix: str, values: Mapping[str, Any]) -> Numbers:
    numbers: Numbers = {}
    for name, value in values.items():
        plain = re.sub(r"[^a-z0-9_]+", "_", name.lower())
        if name == MISSING:
            numbers |= {f"{prefix}/{MISSING}/{part}": 1 for part in value}
        elif isinstance(value, dict):
            numbers |= _nested(f"{prefix}/{plain}", value)
        else:
            numbers |= flatten(prefix, {plain: value})
    return numbers


def point_numbers(
    prefix: str,
    rows: Sequence[ScoredResponse],
    scores: Mapping[str, float | None],
    scale: tuple[float, float] | None,
    *,
    seed: int,
    resamples: int = 1000,
) -> Numbers:
    """Measures of scores against human ones, by subset, and overall where all were scored by one criterion.

    :param scores: the judge's score by id of the response
    :param scale: worst and best score of the judge; None: those of people
    """
    numbers: Numbers = {}
    if len({row.criterion for row in rows}) == 1:
        numbers |= _point(prefix, score_pointwise(rows, scores, scale=scale, resamples=resamples, seed=seed))
    for subset in sorted({row.subset for row in rows if row.subset is not None}):
        members = [row for row in rows if row.subset == subset]
        known = {row.id: scores.get(row.id) for row in members}
        found = score_pointwise(members, known, scale=scale, resamples=resamples, seed=seed)
        numbers |= _point(f"{prefix}/{subset}", found)
    return numbers


POINT_RATES = ("pairwise_accuracy", "exact_match", "five_best", "central_tendency", "spread")
POINT_LEVELS = ("pooled", "text_level", "system_level")
KINDS = ("pearson", "spearman", "kendall")


def _point(prefix: str, found: PointwiseMetrics) -> Numbers:
    numbers: Numbers = {f"{prefix}/n": found.n, f"{prefix}/invalid": found.invalid}
    for level in POINT_LEVELS:
        correlations: Correlations | None = getattr(found, level)
        for kind in KINDS if correlations is not None else ():
            numbers |= _estimate(f"{prefix}/{level.removesuffix('_level')}_{kind}", getattr(correlations, kind))
    for name in POINT_RATES:
        numbers |= _estimate(f"{prefix}/{name}", getattr(found, name))
    return numbers


def _estimate(name: str, found: Estimate) -> Numbers:
    low, high = found.ci95 if found.ci95 is not None else (None, None)
    return {name: found.value, f"{name}_ci95_low": low, f"{name}_ci95_high": high}


def flip_numbers(
    judge: str, benchmark: str, first: Sequence[VerdictRow], again: Sequence[VerdictRow], seed: int
) -> tuple[Numbers, str]:
    """How many greedy verdicts differ on repetition, and a sentence that says so."""
    rate, (low, high), count = flip_rate(first, again, seed)
    values: dict[str, MetricValue] = {"flip_rate": rate, "flip_rate_ci95": [low, high], "flip_n": count}
    note = (
        f"Judged again, {100 * rate:.1f} % [{100 * low:.1f}, {100 * high:.1f}] of {count} greedy verdicts of "
        f"{judge} on {benchmark} flip (rounding differs with what shares a batch)."
    )
    return flatten(f"eval/{judge}/{benchmark}", values), note


def judgment_rows(benchmark: str, pairs: Sequence[ResponsePair], verdicts: Sequence[VerdictRow]) -> list[list[object]]:
    """Rows of a table of judgments, in ``JUDGMENT_COLUMNS``."""
    by_id = {pair.id: pair for pair in pairs}
    rows: list[list[object]] = []
    for row in verdicts:
        pair = by_id[row.id]
        texts = [pair.instruction, pair.response_a, pair.response_b, pair.label, row.verdict, row.invalid, row.text]
        rows.append([benchmark, row.id, row.order, *texts])
    return rows
