"""Main effects: what a change of one key alone does, from runs that differ in nothing else."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import cast, get_args

from judgekit.errors import DataError
from judgekit.evaluation.judge_comparison import PairMetric, successes
from judgekit.evaluation.voting import vote
from judgekit.report.sweep.cells import t_interval
from judgekit.report.sweep.study import SEED, MeasuredRun, Value, View
from judgekit.rows import ResponsePair, read_rows
from judgekit.run_folder import RunFolder
from judgekit.stats.paired import Difference, success_difference
from judgekit.verdict_rows import iter_verdicts

Successes = Mapping[str, tuple[str, int]]
"""By pair id: its cluster, and how far the judge succeeded on it."""


@dataclass(frozen=True, slots=True)
class MainEffect:
    """One value of a key against the first that was typed.

    :param runs: matched pairs of runs: the same values of all other keys, and the same seed
    :param difference: mean over them of the metric, value minus baseline
    :param over_runs: 95 % interval of it over matched pairs of runs (Student's t), None for fewer than two
    :param p_runs: paired t-test over them
    :param verdicts: paired bootstrap and McNemar's test over the judged pairs of all of them; None where the metric
        is no mean over pairs, or the runs have no verdicts on the same pairs
    """

    key: str
    value: Value
    baseline: Value
    runs: int
    difference: float
    over_runs: tuple[float, float] | None
    p_runs: float | None
    verdicts: Difference | None


def main_effects(seen: View, folder: Path) -> list[MainEffect]:
    """All values of all swept keys against the first of their key, where runs can be matched.

    :param folder: of the sweep
    """
    judged = VerdictReader(folder, seen.metric)
    found = []
    for key in seen.keys:
        others = [name for name in (*seen.values, SEED) if name != key]
        by_value: dict[Value, dict[tuple[Value, ...], MeasuredRun]] = {}
        for run in seen.runs:
            by_value.setdefault(run.values.get(key), {})[run.at(others)] = run
        baseline, *values = by_value
        for value in values:
            pairs = [(run, by_value[baseline].get(rest)) for rest, run in by_value[value].items()]
            matched = [(run, other) for run, other in pairs if other is not None]
            if matched:
                found.append(_effect(seen.metric, key, (value, baseline), matched, judged))
    return found


def _effect(
    metric: str, key: str, values: tuple[Value, Value], matched: Sequence[tuple[MeasuredRun, MeasuredRun]],
    judged: Callable[[MeasuredRun], Successes],
) -> MainEffect:  # fmt: skip
    gains = [_number(one, metric) - _number(two, metric) for one, two in matched]
    pooled = _pooled(metric, [(judged(one), judged(two)) for one, two in matched])
    over_runs = t_interval(gains) if len(gains) > 1 else None
    return MainEffect(key, *values, len(gains), fmean(gains), over_runs, _t_test(gains), pooled)


def _number(run: MeasuredRun, metric: str) -> float:
    return run.rate(metric).value or 0.0


def _pooled(metric: str, matched: Sequence[tuple[Successes, Successes]]) -> Difference | None:
    """Pairs of all matched runs together; those of one instruction are resampled together."""
    names: list[str] = []
    first: list[int] = []
    second: list[int] = []
    for one, two in matched:
        for pair in (pair for pair in one if pair in two):
            names.append(one[pair][0])
            first.append(one[pair][1])
            second.append(two[pair][1])
    return success_difference(metric, names, first, second) if names else None


def _t_test(gains: Sequence[float]) -> float | None:
    """Two-sided p-value of a mean difference of 0; None where the differences do not vary."""
    if len(gains) < 2 or (spread := stdev(gains)) == 0:
        return None
    from scipy.special import stdtr

    statistic = fmean(gains) / (spread / math.sqrt(len(gains)))
    return float(2 * stdtr(len(gains) - 1, -abs(statistic)))


class VerdictReader:
    """Reads what the runs of a sweep got right, each file once."""

    def __init__(self, folder: Path, metric: str) -> None:
        """Read nothing yet.

        :param folder: of the sweep
        """
        self._folder, self._metric = folder, metric
        self._pairs: dict[bytes, Sequence[ResponsePair]] = {}
        self._found: dict[int, Successes] = {}

    def __call__(self, run: MeasuredRun) -> Successes:
        """How far a run succeeded on each labelled pair; nothing where it left no verdicts that can be read."""
        if run.run.num not in self._found:
            try:
                self._found[run.run.num] = self._read(run)
            except (DataError, OSError):
                self._found[run.run.num] = {}
        return self._found[run.run.num]

    def _read(self, run: MeasuredRun) -> Successes:
        if self._metric not in get_args(PairMetric):
            return {}
        left = RunFolder(self._folder / run.run.folder)
        pairs = self._read_pairs(left.pairs(run.benchmark))
        known = {pair.id for pair in pairs}
        file = left.verdicts(run.judge, run.benchmark)
        rows = [row for row in iter_verdicts(file, texts=False) if row.id in known]
        if any(row.sample > 0 for row in rows):
            rows = vote(rows)  # what the metrics are of
        found = successes(pairs, rows, cast(PairMetric, self._metric), str(file))
        labelled = [pair for pair in pairs if pair.label is not None]
        return {pair.id: (pair.cluster, won) for pair, won in zip(labelled, found, strict=True)}

    def _read_pairs(self, path: Path) -> Sequence[ResponsePair]:
        """The jobs of a sweep mostly judge the same pairs, so files that are equal are parsed once."""
        key = hashlib.sha256(path.read_bytes()).digest()
        if key not in self._pairs:
            self._pairs[key] = read_rows(path, ResponsePair)
        return self._pairs[key]
