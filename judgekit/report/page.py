"""What the report shows, read from a run's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from judgekit.report.charts import Curve, curve
from judgekit.report.figures import Figures, draw_figures
from judgekit.report.iteration_bias import BiasIteration, read_bias
from judgekit.report.judged_benchmark import JudgedBenchmark, read_benchmark
from judgekit.report.judgment_browser import MOST_JUDGMENTS, Browser, browser
from judgekit.report.results_table import ResultRow, results_table
from judgekit.report.secondary_metrics import SecondaryMetric, secondary_metrics
from judgekit.report.surface_cues import CueRow, cue_rows
from judgekit.run_folder import RunFolder
from judgekit.tracking.base import SeriesPoint
from judgekit.tracking.local_files import read_series


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Results on one benchmark.

    :param secondary: measures beside those of the table
    :param left_out: why it was not judged, None when it was
    """

    name: str
    rows: tuple[ResultRow, ...]
    subsets: tuple[ResultRow, ...]
    secondary: tuple[SecondaryMetric, ...]
    left_out: str | None
    figures: Figures


@dataclass(frozen=True, slots=True)
class Series:
    """One recorded number of a stage over its steps."""

    label: str
    chart: Curve


@dataclass(frozen=True, slots=True)
class TrainingStage:
    """The series of one stage; ``main`` are loss and learning rate, ``others`` the rest."""

    name: str
    main: tuple[Series, ...]
    others: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Everything on the page.

    :param manifest: as in ``manifest.json``
    :param seconds: wall-clock time from start to end, None while it runs
    :param bias: judge and meta-judge by iteration, of recipes with an actor
    :param cues: by which surface cues the better text of the data's pairs could be told
    :param config: text of ``config.yaml``
    """

    manifest: Mapping[str, Any]
    seconds: float | None
    benchmarks: tuple[Benchmark, ...]
    bias: tuple[BiasIteration, ...]
    cues: tuple[CueRow, ...]
    training: tuple[TrainingStage, ...]
    browser: Browser | None
    config: str


def read_page(run_dir: Path) -> Page:
    """Read a run's folder; parts that a run has not come to are empty.

    :raises DataError: when there is no manifest or a file cannot be read
    """
    folder = RunFolder(run_dir)
    manifest = folder.read_manifest()
    config = folder.config.read_text(encoding="utf-8") if folder.config.exists() else ""
    judges = [str(judge) for judge in manifest.get("judges") or ()]
    asked: Mapping[str, Any] = manifest.get("benchmarks") or {}
    metrics = folder.read_metrics()
    files = [read_benchmark(run_dir, name, judges) for name in asked]
    benchmarks = [_benchmark(metrics, judges, held, asked[held.name] or {}) for held in files]
    return Page(
        manifest=manifest,
        seconds=_seconds(manifest),
        benchmarks=tuple(benchmarks),
        bias=read_bias(run_dir),
        cues=tuple(cue_rows(metrics)),
        training=tuple(_training(read_series(run_dir))),
        browser=browser(files, _most_judgments(config)),
        config=config,
    )


def _benchmark(
    metrics: Mapping[str, float | None], judges: Sequence[str], held: JudgedBenchmark, info: Mapping[str, Any]
) -> Benchmark:
    return Benchmark(
        name=held.name,
        rows=tuple(results_table(metrics, judges, [held.name])),
        subsets=tuple(results_table(metrics, judges, [held.name], subsets=True)),
        secondary=tuple(secondary_metrics(metrics, judges, [held.name])),
        left_out=info.get("left_out"),
        figures=draw_figures(held),
    )


def _most_judgments(config: str) -> int:
    try:
        held = yaml.safe_load(config)
        return int(held["logger"]["report_judgments"])
    except (yaml.YAMLError, TypeError, KeyError, ValueError):
        return MOST_JUDGMENTS


def _seconds(manifest: Mapping[str, Any]) -> float | None:
    try:
        started, finished = (datetime.fromisoformat(manifest[key]) for key in ("started", "finished"))
        return (finished - started).total_seconds()
    except (KeyError, TypeError, ValueError):
        return None


def _training(points: Sequence[SeriesPoint]) -> list[TrainingStage]:
    """Charts by stage in the order in which stages began."""
    by_stage: dict[str, dict[str, dict[int, float | None]]] = {}
    for point in points:
        for name, value in point.values.items():
            by_stage.setdefault(point.stage, {}).setdefault(name, {})[point.step] = value
    stages = []
    for stage, by_name in by_stage.items():
        series = {name: _series(stage, name, by_name[name]) for name in sorted(by_name)}
        main = [s for last in ("loss", "lr") for name, s in series.items() if name.split("/")[-1] == last and s]
        stages.append(TrainingStage(stage, tuple(main), tuple(s for s in series.values() if s and s not in main)))
    return [stage for stage in stages if stage.main or stage.others]


def _series(stage: str, name: str, values: Mapping[int, float | None]) -> Series | None:
    """``train/dpo1/loss`` of stage ``dpo1`` is labelled ``train loss``."""
    label = " ".join(part for part in name.split("/") if part != stage).replace("_", " ")
    steps = sorted(values)
    chart = curve(steps, [values[step] for step in steps])
    return None if chart is None else Series(label, chart)
