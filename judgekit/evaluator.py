"""``judgekit eval``: a judge's verdicts and scores on benchmarks, its numbers and its report, in one folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from judgekit.errors import StageError
from judgekit.evaluation.benchmarks import identity, load_benchmark, load_scored
from judgekit.evaluation.benchmarks.base import BENCHMARKS, BenchmarkConfig
from judgekit.evaluation.judging import judge_pairs, rate_responses
from judgekit.evaluation.numbers import (
    JUDGMENT_COLUMNS,
    Numbers,
    flip_numbers,
    judgment_rows,
    pair_numbers,
    point_numbers,
    section_numbers,
)
from judgekit.evaluation.scores import mean_scores, read_scores
from judgekit.evaluation.verdicts import VerdictRow, read_verdicts, write_verdicts
from judgekit.judges import OpenJudge, decoding, open_judge, starter_pairs
from judgekit.prompts.base import PointProtocol
from judgekit.report.html import build_report
from judgekit.report.terminal import show_results
from judgekit.rows import ORDERS, ResponsePair, ScoredResponse, read_rows, write_rows
from judgekit.sampling.backends import MakeSampler
from judgekit.sampling.base import SamplingParams
from judgekit.schema.evaluation import EvalConfig
from judgekit.store import Artifact, Store, Workspace, file_digest
from judgekit.tracking.progress import ProgressDisplay
from judgekit.tracking.record import RunRecord
from judgekit.tracking.session import recorded


def evaluate(config: EvalConfig, run_dir: Path, make_sampler: MakeSampler | None = None) -> Numbers:
    """Measure a judge in a folder, leaving the files of an evaluation there. The same call resumes.

    :param make_sampler: back end for some weights; None: the configured one
    :return: the final numbers, as in ``metrics.json``
    """
    store = Path(config.store)
    with recorded(config, run_dir) as record, ProgressDisplay(record.progress) as progress:
        with open_judge(config.judge, config.sampler, config.prompt, store, progress, make_sampler) as judge:
            record.manifest |= {"judges": [judge.name], "judge_digest": judge.digest, "prompt": asdict(judge.prompt)}
            if (folder := run_judge(config.judge.path)) is not None:
                record.tracker.artifact(f"judge-{judge.name}", "model", folder, used=True)
            numbers = _Evaluation(config, run_dir, record, Store(store), judge).measure()
        record.summary(numbers)
    report = build_report(run_dir)
    show_results(numbers, [judge.name], list(config.benchmark), report)
    return numbers


def run_judge(path: str | None) -> Path | None:
    """The folder of a judge that a run left, None for any other judge."""
    places = [] if path is None else [Path(path) / "judge", Path(path)]
    return next((place for place in places if (place / "judge.yaml").is_file()), None)


@dataclass(frozen=True)
class _Evaluation:
    config: EvalConfig
    run_dir: Path
    record: RunRecord
    store: Store
    judge: OpenJudge

    def measure(self) -> Numbers:
        numbers: Numbers = {}
        table: list[list[object]] = []
        for name, benchmark in self.config.chosen.items():
            if isinstance(self.judge.protocol, PointProtocol) and BENCHMARKS[benchmark.kind].scored is not None:
                numbers |= self._scored(name, benchmark, self.judge.protocol)
            else:
                numbers |= self._compared(name, benchmark, table)
        self.record.tracker.table("judgments", JUDGMENT_COLUMNS, table[: self.config.logger.table_rows])
        return numbers

    def _compared(self, name: str, benchmark: BenchmarkConfig, table: list[list[object]]) -> Numbers:
        config, judge = self.config, self.judge.name
        rows = self._pairs(name, benchmark)
        pairs = read_rows(rows.file("pairs.jsonl"), ResponsePair)
        found = self._verdicts(name, rows, pairs)
        self._leave(rows.file("pairs.jsonl"), f"pairs/{name}.jsonl")
        self._leave(found.file("verdicts.jsonl"), f"verdicts/{judge}.{name}.jsonl")
        self.record.manifest["benchmarks"][name] = {"pairs": len(pairs)}
        verdicts = read_verdicts(found.file("verdicts.jsonl"))
        table += judgment_rows(name, pairs, verdicts)
        prefix, seed, resamples = f"eval/{judge}/{name}", config.seed, config.resamples
        numbers = pair_numbers(
            prefix, pairs, verdicts, seed=seed, resamples=resamples, merge=config.merge, invalid_as=config.invalid_as
        )
        numbers |= section_numbers(prefix, benchmark.kind, pairs, verdicts, seed=seed, resamples=resamples)
        return numbers | self._flips(name, rows, pairs, verdicts)

    def _flips(
        self, name: str, rows: Artifact, pairs: Sequence[ResponsePair], verdicts: Sequence[VerdictRow]
    ) -> Numbers:
        """Judge some pairs once more (``sampler.flip_pairs``)."""
        count = self.config.sampler.flip_pairs
        if count == 0 or self.config.samples > 1:
            return {}
        again = self._verdicts(name, rows, pairs[:count], samples=(1,), stage="repeated")
        repeated = read_verdicts(again.file("verdicts.jsonl"))
        numbers, note = flip_numbers(self.judge.name, name, verdicts, repeated, self.config.seed)
        self.record.note(note)
        return numbers

    def _scored(self, name: str, benchmark: BenchmarkConfig, protocol: PointProtocol) -> Numbers:
        judge = self.judge
        rows = self._responses(name, benchmark)
        responses = read_rows(rows.file("responses.jsonl"), ScoredResponse)

        def build(workspace: Workspace) -> None:
            rated = rate_responses(
                judge.ask, protocol, [row.shown for row in responses], self._params, samples=self._samples,
                workspace=workspace, title=f"{judge.name} on {name}",
            )  # fmt: skip
            write_rows(workspace.path / "scores.jsonl", rated)
            workspace.count(scores=len(rated), invalid=sum(row.score is None for row in rated))

        found = self._stage(f"scores/{judge.name}/{name}", self._asked(self._samples), [judge.digest, rows], build)
        self._leave(rows.file("responses.jsonl"), f"responses/{name}.jsonl")
        self._leave(found.file("scores.jsonl"), f"scores/{judge.name}.{name}.jsonl")
        self.record.manifest["benchmarks"][name] = {"responses": len(responses)}
        scores = mean_scores(read_scores(found.file("scores.jsonl")))
        config = self.config
        return point_numbers(
            f"eval/{judge.name}/{name}", responses, scores, protocol.scale, seed=config.seed, resamples=config.resamples
        )

    def _pairs(self, name: str, benchmark: BenchmarkConfig) -> Artifact:
        settings, inputs = identity(name, benchmark)
        starter = starter_pairs(self.config.judge) if benchmark.kind == "starter" else None

        def build(workspace: Workspace) -> None:
            held_out = read_rows(starter, ResponsePair) if starter is not None else []
            pairs = load_benchmark(name, benchmark, held_out) or []
            write_rows(workspace.path / "pairs.jsonl", _any(pairs, name))
            workspace.count(pairs=len(pairs))

        return self._stage(
            f"benchmark/{name}", settings, [*inputs, *([file_digest(starter)] if starter is not None else [])], build
        )

    def _responses(self, name: str, benchmark: BenchmarkConfig) -> Artifact:
        settings, inputs = identity(name, benchmark)

        def build(workspace: Workspace) -> None:
            rows = load_scored(name, benchmark) or []
            write_rows(workspace.path / "responses.jsonl", _any(rows, name))
            workspace.count(responses=len(rows))

        return self._stage(f"responses/{name}", settings, inputs, build)

    def _verdicts(
        self, name: str, rows: Artifact, pairs: Sequence[ResponsePair], samples: Sequence[int] | None = None,
        stage: str = "verdicts",
    ) -> Artifact:  # fmt: skip
        judge = self.judge
        drawn = self._samples if samples is None else samples

        def build(workspace: Workspace) -> None:
            verdicts = judge_pairs(
                judge.ask, judge.protocol, pairs, ORDERS, self._params, constrained=judge.constrained,
                samples=drawn, workspace=workspace, title=f"{judge.name} on {name}",
            )  # fmt: skip
            write_verdicts(workspace.path / "verdicts.jsonl", verdicts)
            workspace.count(verdicts=len(verdicts), invalid=sum(row.verdict is None for row in verdicts))

        config = self._asked(drawn) | {"constrained": judge.constrained, "pairs": len(pairs)}
        return self._stage(f"{stage}/{judge.name}/{name}", config, [judge.digest, rows], build)

    @property
    def _samples(self) -> tuple[int, ...]:
        return tuple(range(self.config.samples))

    @property
    def _params(self) -> SamplingParams:
        sampler = self.config.sampler
        return decoding(self.judge, self.config.samples, sampler.temperature, sampler.top_p, self.config.seed)

    def _asked(self, samples: Sequence[int]) -> dict[str, Any]:
        """What determines replies beside the weights."""
        length = {"max_length": self.judge.ask.max_length}
        return {"prompt": asdict(self.judge.prompt), "params": asdict(self._params), "samples": samples} | length

    def _stage(
        self, name: str, config: Mapping[str, Any], inputs: Sequence[Artifact | str],
        build: Callable[[Workspace], None],
    ) -> Artifact:  # fmt: skip
        self.record.begin(name)
        artifact = self.store.stage(name, 1, config, inputs, build)
        self.record.stage(name, artifact)
        return artifact

    def _leave(self, source: Path, name: str) -> None:
        target = self.run_dir / name
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)


def _any(rows: Sequence[Any], name: str) -> Sequence[Any]:
    """The rows themselves.

    :raises StageError: there are none
    """
    if not rows:
        raise StageError(f"Benchmark {name} has no rows. Check benchmark.{name}.path.")
    return rows
