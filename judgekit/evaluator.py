"""``judgekit eval``: a judge's verdicts and scores on benchmarks, its numbers and its report, in one folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from judgekit.evaluation.benchmarks.base import BENCHMARKS, BenchmarkConfig
from judgekit.evaluation.flat_metrics import (
    Numbers,
)
from judgekit.judges import OpenJudge, open_judge, starter_pairs
from judgekit.prompts.base import PointProtocol
from judgekit.report.html import build_report
from judgekit.report.terminal import show_results
from judgekit.run_folder import judge_folder
from judgekit.sampling.backends import MakeSampler
from judgekit.schema.evaluation import EvalConfig
from judgekit.stages.judging import BenchmarkRows, Repeated, Scores, Verdicts, benchmark_rows
from judgekit.stages.lab import Maker
from judgekit.stages.measuring import Measurement, Scoring, report_measurements
from judgekit.stages.models import Drawing, Judging, Model
from judgekit.stages.stage import Digest, Made
from judgekit.tracking.progress import ProgressDisplay
from judgekit.tracking.recording import recorded


def evaluate(config: EvalConfig, run_dir: Path, make_sampler: MakeSampler | None = None) -> Numbers:
    """Measure a judge in a folder, leaving the files of an evaluation there. The same call resumes.

    :param make_sampler: back end for some weights; None: the configured one
    :return: the final numbers, as in ``metrics.json``
    """
    store = Path(config.store)
    with recorded(config, run_dir) as record, ProgressDisplay(record.progress) as progress:
        with open_judge(config.judge, config.sampler, config.prompt, store, progress, make_sampler) as judge:
            record.manifest |= {"judges": [judge.name], "judge_digest": judge.digest, "prompt": asdict(judge.prompt)}
            if config.judge.path is not None and (folder := judge_folder(Path(config.judge.path))) is not None:
                record.tracker.artifact(f"judge-{judge.name}", "model", folder, used=True)
            measurements = list(_measurements(config, Maker(config, record, progress), judge))
        resamples = config.resamples
        scoring = Scoring(config.seed, resamples, resamples, config.merge, config.invalid_as)
        numbers = report_measurements(measurements, record, scoring, judge.name, config.logger.table_rows)
        record.summary(numbers)
    report = build_report(run_dir)
    show_results(numbers, [judge.name], list(config.benchmark), report)
    return numbers


def _measurements(config: EvalConfig, maker: Maker[EvalConfig], judge: OpenJudge) -> Iterator[Measurement]:
    """The judge on every benchmark: scores of single responses where it gives scores and there are some to compare."""
    asked: dict[str, Any] = {
        "judge": judge.name,
        "model": Model(
            Digest(judge.digest), None, config.sampler.name, {}, judge.ask.max_length,
            lambda: replace(judge.ask, shard=maker.shard),
        ),
        "judging": Judging(**asdict(judge.decoding), prompt=judge.prompt),
        "samples": config.samples,
        "drawing": Drawing(repetition_penalty=judge.decoding.repetition_penalty) if config.samples > 1 else None,
    }  # fmt: skip
    for name, benchmark in config.chosen.items():
        if isinstance(judge.protocol, PointProtocol) and BENCHMARKS[benchmark.kind].scored is not None:
            rows = maker.make(benchmark_rows(name, benchmark, scored=True))
            scores = maker.make(Scores(benchmark=name, rows=rows, **asked))
            yield Measurement(judge.name, name, benchmark.kind, rows, scores=scores, scale=judge.protocol.scale)
        else:
            yield _compared(config, maker, name, benchmark, asked)


def _compared(
    config: EvalConfig, maker: Maker[EvalConfig], name: str, benchmark: BenchmarkConfig, asked: dict[str, Any]
) -> Measurement:
    """Verdicts on pairs, some of them once more (``sampler.flip_pairs``)."""
    rows: Made[BenchmarkRows] = maker.make(benchmark_rows(name, benchmark, starter_pairs(config.judge)))
    verdicts = maker.make(Verdicts(benchmark=name, rows=rows, **asked))
    count, repeated = config.sampler.flip_pairs, None
    if count and config.samples == 1:
        repeated = maker.make(Repeated(benchmark=name, rows=rows, count=count, **asked))
    return Measurement(asked["judge"], name, benchmark.kind, rows, verdicts, repeated)
