"""The one way judges are measured: stages of verdicts and scores, and from them numbers and files of a run folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from judgekit.evaluation.benchmarks import has_source
from judgekit.evaluation.benchmarks.base import BENCHMARKS
from judgekit.evaluation.flat_metrics import (
    JUDGMENT_COLUMNS,
    MISSING,
    Numbers,
    benchmark_numbers,
    flip_numbers,
    judgment_rows,
    point_numbers,
)
from judgekit.prompts.base import PointProtocol
from judgekit.rows import ResponsePair, ScoredResponse, read_rows
from judgekit.run_folder import leave
from judgekit.score_rows import mean_scores, read_scores
from judgekit.stages.judging import BenchmarkRows, Repeated, Scores, Verdicts, benchmark_rows
from judgekit.stages.lab import Lab
from judgekit.stages.models import Drawing, Judge
from judgekit.stages.stage import Made
from judgekit.tracking.record import RunRecord
from judgekit.verdict_rows import MergeRule, read_verdicts

RANKINGS = "rankings"
"""What ranked held-out responses are called among the benchmarks."""
UNKNOWN_PAIRS = 200
"""Pairs assumed of a benchmark that is only read when the run comes to it."""


@dataclass(frozen=True)
class Measurement:
    """A judge's replies on one benchmark: verdicts on pairs, or scores of single responses.

    :param kind: the benchmark's loader
    :param rows: holds the pairs (``pairs.jsonl``); for scores, ``scores`` holds the responses
    :param repeated: verdicts on some of the pairs once more
    :param scale: worst and best score
    """

    judge: str
    benchmark: str
    kind: str
    rows: Made[Any]
    verdicts: Made[Verdicts] | None = None
    repeated: Made[Repeated] | None = None
    scores: Made[Scores] | None = None
    scale: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class Scoring:
    """How numbers are made of replies.

    :param resamples: bootstrap resamples of the intervals; ``point_resamples`` of correlations of single scores
    :param merge: rule that makes one verdict of both orders; None: that of each benchmark's release
    :param invalid_as: what invalid verdicts count as, beside being counted
    """

    seed: int
    resamples: int = 1000
    point_resamples: int = 1000
    merge: MergeRule | None = None
    invalid_as: Literal["tie"] | None = None


class Measured:
    """The judges of a run, each measured on every benchmark when it is added.

    :ivar judges: in the order they were added
    """

    def __init__(self, lab: Lab, splits: Made[Any], rankings: Made[Any] | None = None) -> None:
        """Read the benchmarks; no judge is measured yet.

        :param splits: hold the held-out pairs
        :param rankings: held-out ranked responses that judges of single responses score too
        """
        self._lab, self._rankings = lab, rankings
        self._benchmarks = dict(_benchmarks(lab, splits))
        self.judges: list[Judge] = []
        self.measurements: list[Measurement] = []

    def add(self, judge: Judge) -> Judge:
        """Measure a judge and give it back."""
        self.judges.append(judge)
        lab = self._lab
        for name, rows in self._benchmarks.items():
            benchmark = lab.config.benchmark[name]
            known = lab.config.data.held_out if benchmark.kind == "starter" else UNKNOWN_PAIRS
            found = lab.make(
                Verdicts(
                    judge=judge.name, benchmark=name, model=lab.model(judge), rows=rows, samples=judge.votes or 1,
                    drawing=Drawing() if judge.votes else None, expected=min(known, benchmark.limit or known),
                )
            )  # fmt: skip
            self.measurements.append(Measurement(judge.name, name, benchmark.kind, rows, found))
        protocol = lab.protocol
        if self._rankings is not None and isinstance(protocol, PointProtocol):
            found_scores = lab.make(
                Scores(
                    judge=judge.name, benchmark=RANKINGS, model=lab.model(judge), rows=self._rankings, file="held_out",
                    expected=2 * lab.config.data.held_out, note="for two responses a prompt",
                )
            )  # fmt: skip
            self.measurements.append(
                Measurement(judge.name, RANKINGS, RANKINGS, self._rankings, scores=found_scores, scale=protocol.scale)
            )
        return judge

    def outcome(self, bias: dict[str, Made[Any]] | None = None) -> Outcome:
        """All judges and measurements, with the repeated judgments of the last one where those are asked for.

        :param bias: bias reports by iteration
        """
        last = next(judge for judge in reversed(self.judges) if not judge.votes)
        count = self._lab.config.sampler.flip_pairs
        measurements = [
            self._repeat(one, last, count) if count and one.judge == last.name and one.verdicts is not None else one
            for one in self.measurements
        ]
        return Outcome(self.judges, self._benchmarks, measurements, bias or {})

    def _repeat(self, one: Measurement, judge: Judge, count: int) -> Measurement:
        again = self._lab.make(
            Repeated(
                judge=judge.name, benchmark=one.benchmark, model=self._lab.model(judge), rows=one.rows, count=count,
                expected=count,
            )
        )  # fmt: skip
        return replace(one, repeated=again)


@dataclass(frozen=True)
class Outcome:
    """What a recipe made.

    :param judges: in order
    :param benchmarks: their pairs by name
    :param bias: reports by iteration, in order, for recipes with an actor
    """

    judges: list[Judge]
    benchmarks: dict[str, Made[Any]]
    measurements: list[Measurement]
    bias: dict[str, Made[Any]]

    @property
    def final(self) -> Judge:
        """The judge a run leaves: the last one, asked as judges are, without votes."""
        return next(judge for judge in reversed(self.judges) if not judge.votes)


def _benchmarks(lab: Lab, splits: Made[Any]) -> Iterable[tuple[str, Made[BenchmarkRows]]]:
    """The pairs of every benchmark that has its files, by name."""
    for name, benchmark in lab.config.benchmark.items():
        config = lab.use(benchmark)
        if has_source(config):
            yield name, lab.make(benchmark_rows(name, config, splits))
        elif not lab.planning:
            lab.record.manifest["benchmarks"][name] = {"left_out": "no path given"}
            lab.record.note(f"Benchmark {name} is left out: give benchmark.{name}.path=PATH to include it.")


def report_measurements(
    measurements: Iterable[Measurement], record: RunRecord, scoring: Scoring, table_of: str, table_rows: int
) -> Numbers:
    """Score everything; leave rows, verdicts and scores in the run's folder.

    :param table_of: judge whose judgments go into the tracker's table, ``table_rows`` of them at most
    """
    numbers: Numbers = {}
    table: list[list[object]] = []
    for one in measurements:
        if one.verdicts is not None:
            numbers |= _compared(one, record, scoring, table if one.judge == table_of else None)
        if one.scores is not None:
            numbers |= _scored(one, one.scores, record, scoring)
    record.tracker.table("judgments", JUDGMENT_COLUMNS, table[:table_rows])
    return numbers


def _compared(one: Measurement, record: RunRecord, scoring: Scoring, table: list[list[object]] | None) -> Numbers:
    assert one.verdicts is not None
    pairs = one.rows.rows("pairs", ResponsePair)
    leave(one.rows.file("pairs.jsonl"), record.folder.pairs(one.benchmark))
    leave(one.verdicts.file("verdicts.jsonl"), record.folder.verdicts(one.judge, one.benchmark))
    record.manifest["benchmarks"][one.benchmark] = {"pairs": len(pairs)}
    verdicts = read_verdicts(one.verdicts.file("verdicts.jsonl"))
    rule = BENCHMARKS[one.kind].rule(scoring.merge, verdicts)
    if rule != "none":
        record.manifest["benchmarks"][one.benchmark]["merge"] = rule
    if table is not None:
        table += judgment_rows(one.benchmark, pairs, verdicts)
    prefix = f"eval/{one.judge}/{one.benchmark}"
    numbers = benchmark_numbers(
        prefix, one.kind, pairs, verdicts, seed=scoring.seed, resamples=scoring.resamples, merge=rule,
        invalid_as=scoring.invalid_as,
    )  # fmt: skip
    for note in _notes(one, numbers, rule if scoring.merge is None else "none"):
        if note not in record.manifest["notes"]:  # the same for every judge
            record.note(note)
    if one.repeated is not None:
        again = read_verdicts(one.repeated.file("verdicts.jsonl"))
        found, note = flip_numbers(one.judge, one.benchmark, verdicts, again, scoring.seed)
        record.note(note)
        numbers |= found
    return numbers


def _notes(one: Measurement, numbers: Numbers, release_rule: MergeRule) -> Iterable[str]:
    """What a reader of a benchmark's numbers must know."""
    if release_rule != "none":
        yield (
            f"On {one.benchmark} both orders make one verdict by its release's rule '{release_rule}'. accuracy is of "
            f"these, consistent_accuracy of pairs right in both orders; merge=none measures every verdict."
        )
    start = f"eval/{one.judge}/{one.benchmark}/sections/{MISSING}/"
    if missing := [name.removeprefix(start) for name in numbers if name.startswith(start)]:
        yield f"On {one.benchmark} nothing was judged of {', '.join(missing)}: means that need it are left out."


def _scored(one: Measurement, found: Made[Scores], record: RunRecord, scoring: Scoring) -> Numbers:
    """How scores of single responses go with people's."""
    leave(found.file("responses.jsonl"), record.folder.responses(one.benchmark))
    leave(found.file("scores.jsonl"), record.folder.scores(one.judge, one.benchmark))
    responses = read_rows(found.file("responses.jsonl"), ScoredResponse)
    record.manifest["benchmarks"][one.benchmark] = {"responses": len(responses)}
    return point_numbers(
        f"eval/{one.judge}/{one.benchmark}", responses, mean_scores(read_scores(found.file("scores.jsonl"))),
        one.scale, seed=scoring.seed, resamples=scoring.point_resamples,
    )  # fmt: skip
