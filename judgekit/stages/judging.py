"""Stages that measure judges: a benchmark's rows, verdicts on them, scores of single responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from judgekit.errors import StageError
from judgekit.evaluation.benchmarks import benchmark_files, check_labels, load_benchmark, load_scored
from judgekit.evaluation.benchmarks.base import BenchmarkConfig
from judgekit.evaluation.judging import judge_pairs, rate_responses
from judgekit.prompts.base import PointProtocol
from judgekit.rows import ORDERS, ResponsePair, ScoredResponse, read_rows, write_rows
from judgekit.sampling.base import SamplingParams
from judgekit.stages.data import PROMPT_TOKENS
from judgekit.stages.models import Drawing, Judging, Model
from judgekit.stages.stage import Digest, Made, Planned, Stage, file_inputs, unkeyed
from judgekit.store import Workspace
from judgekit.verdict_rows import VerdictRow, write_verdicts


@dataclass(frozen=True, kw_only=True)
class BenchmarkRows(Stage):
    """The rows of a benchmark: ``pairs.jsonl`` of two responses, or ``responses.jsonl`` of single scored ones.

    :param source: where they come from and how many are taken
    :param files: digests of its files
    :param held_out: for kind ``starter``, which is a run's own held-out pairs: its splits, or the digest of
        ``held_out_file``
    :param scored: single responses
    """

    label = "benchmark/{benchmark}"
    version = 2
    benchmark: str
    source: BenchmarkConfig
    files: tuple[Digest, ...] = ()
    held_out: Made[Any] | Digest | None = None
    held_out_file: Path | None = unkeyed("its digest is held_out", None)
    scored: bool = False

    def build(self, workspace: Workspace) -> None:
        """Read the benchmark.

        :raises StageError: it has no rows
        :raises DataError: no pair has a label
        """
        rows: Sequence[ResponsePair | ScoredResponse]
        if self.scored:
            rows = load_scored(self.benchmark, self.source) or []
        else:
            rows = load_benchmark(self.benchmark, self.source, self._held_out()) or []
        if not rows:
            what = "rows" if self.scored else "pairs"
            raise StageError(
                f"Benchmark {self.benchmark} has no {what}. Check benchmark.{self.benchmark}.path"
                f"{' and data.held_out' if self.source.kind == 'starter' else ''}."
            )
        if not self.scored:
            check_labels([row for row in rows if isinstance(row, ResponsePair)], f"benchmark {self.benchmark}")
        name = "responses" if self.scored else "pairs"
        write_rows(workspace.path / f"{name}.jsonl", rows)
        workspace.count(**{name: len(rows)})

    def _held_out(self) -> list[ResponsePair]:
        if isinstance(self.held_out, Made):
            return self.held_out.rows("held_out", ResponsePair)
        return read_rows(self.held_out_file, ResponsePair) if self.held_out_file is not None else []


def benchmark_rows(
    name: str, config: BenchmarkConfig, held_out: Made[Any] | Path | None = None, scored: bool = False
) -> BenchmarkRows:
    """The stage of a benchmark's rows. Of files their content counts: moving them changes nothing.

    :param held_out: for kind ``starter``: a run's splits, or the file of its held-out pairs
    :param scored: single scored responses instead of pairs
    :raises DataError: its files are missing
    """
    if config.path is not None:
        config = replace(config, hub_id=None, revision=None, split="")
    files = file_inputs(*(str(file) for file in benchmark_files(name, config)))
    if config.kind != "starter" or held_out is None:
        return BenchmarkRows(benchmark=name, source=config, files=files, scored=scored)
    if isinstance(held_out, Made):
        return BenchmarkRows(benchmark=name, source=config, held_out=held_out)
    (known,) = file_inputs(str(held_out))
    return BenchmarkRows(benchmark=name, source=config, held_out=known, held_out_file=held_out)


@dataclass(frozen=True, kw_only=True)
class Verdicts(Stage):
    """Verdicts of a judge on pairs, in both orders whatever the training uses (``verdicts.jsonl``).

    :param drawing: how samples are drawn; None: one greedy judgment
    :param samples: of each judgment
    :param expected: pairs, as far as they are known while planning
    """

    label = "verdicts/{judge}/{benchmark}"
    version = 2
    judge: str
    benchmark: str
    model: Model
    rows: Made[BenchmarkRows]
    judging: Judging = Judging()
    drawing: Drawing | None = None
    samples: int = 1
    expected: int = unkeyed("for the plan", 0)
    first_sample: ClassVar[int] = 0

    def build(self, workspace: Workspace) -> None:
        """Ask the judge."""
        params = self.judging.greedy if self.drawing is None else self.drawing.params(self.judging.tokens)
        verdicts = self._judge(self._pairs(), params, workspace)
        write_verdicts(workspace.path / "verdicts.jsonl", verdicts)
        workspace.count(verdicts=len(verdicts), invalid=sum(row.verdict is None for row in verdicts))

    def _pairs(self) -> list[ResponsePair]:
        return self.rows.rows("pairs", ResponsePair)

    def _judge(self, pairs: list[ResponsePair], params: SamplingParams, workspace: Workspace) -> list[VerdictRow]:
        shown = self.judging.shown(pairs, workspace)
        return judge_pairs(
            self.model.open(), self.judging.protocol, shown, ORDERS, params, constrained=self.judging.constrained,
            samples=range(self.first_sample, self.first_sample + self.samples), workspace=workspace,
            title=f"{self.judge} on {self.benchmark}",
        )  # fmt: skip

    @property
    def cost(self) -> Planned:
        """Every pair in both orders."""
        count = len(ORDERS) * self.expected * self.samples
        return Planned(count, count * (PROMPT_TOKENS + self.judging.tokens), "at most")


@dataclass(frozen=True, kw_only=True)
class Repeated(Verdicts):
    """Verdicts on a benchmark's first pairs once more, generated in other company (see ``flip_rate``).

    :param count: pairs
    """

    label = "repeated/{judge}/{benchmark}"
    first_sample = 1
    count: int

    def _pairs(self) -> list[ResponsePair]:
        return super()._pairs()[: self.count]


@dataclass(frozen=True, kw_only=True)
class Scores(Stage):
    """Scores of single responses (``responses.jsonl``, ``scores.jsonl``).

    :param rows: a stage that holds them in ``FILE.jsonl``
    :param drawing: how samples are drawn; None: one greedy judgment
    """

    label = "scores/{judge}/{benchmark}"
    version = 2
    judge: str
    benchmark: str
    model: Model
    rows: Made[Any]
    file: str = "responses"
    judging: Judging = Judging()
    drawing: Drawing | None = None
    samples: int = 1
    expected: int = unkeyed("for the plan", 0)
    note: str = unkeyed("for the plan", "at most")

    def build(self, workspace: Workspace) -> None:
        """Ask the judge."""
        protocol = self.judging.protocol
        assert isinstance(protocol, PointProtocol)
        params = self.judging.greedy if self.drawing is None else self.drawing.params(self.judging.tokens)
        responses = self.rows.rows(self.file, ScoredResponse)
        shown = self.judging.shown([row.shown for row in responses], workspace)
        rated = rate_responses(
            self.model.open(), protocol, shown, params, samples=range(self.samples), workspace=workspace,
            title=f"{self.judge} on {self.benchmark}",
        )  # fmt: skip
        write_rows(workspace.path / "responses.jsonl", responses)
        write_rows(workspace.path / "scores.jsonl", rated)
        workspace.count(scores=len(rated), invalid=sum(row.score is None for row in rated))

    @property
    def cost(self) -> Planned:
        """Every response."""
        count = self.expected * self.samples
        return Planned(count, count * (PROMPT_TOKENS + self.judging.tokens), self.note)


def consistent_accuracy(pairs: Sequence[ResponsePair], verdicts: Sequence[VerdictRow]) -> float:
    """Share of pairs judged right in every order: the validation score."""
    labels = {pair.id: pair.label for pair in pairs}
    right = {pair.id: True for pair in pairs}
    for row in verdicts:
        right[row.id] = right[row.id] and row.verdict == labels[row.id]
    return sum(right.values()) / len(right)
