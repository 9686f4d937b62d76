"""One run: the recipe, then its numbers, its judge and its report in the run's folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from judgekit.report.html import build_report
from judgekit.report.surface_cues import cue_numbers
from judgekit.report.terminal import show_results
from judgekit.run_folder import JUDGE_FILE, RunFolder
from judgekit.sampling.base import Sampler
from judgekit.schema.config import RunConfig
from judgekit.stages.bias_report import read_bias
from judgekit.stages.lab import Lab
from judgekit.stages.measuring import Outcome, Scoring, report_measurements
from judgekit.stages.models import Judge
from judgekit.stages.training import read_series
from judgekit.store import write_json_atomic
from judgekit.tracking.base import Number
from judgekit.tracking.progress import ProgressDisplay
from judgekit.tracking.recording import recorded
from judgekit.weights import Weights

RESAMPLES = 200
"""Of correlations with rankings, each of which takes milliseconds: a thousand would take longer than the scoring."""


def run_recipe(
    config: RunConfig, run_dir: Path, make_sampler: Callable[[Weights], Sampler] | None = None
) -> dict[str, Number]:
    """Run a recipe in a folder, leaving the files of a run there.

    The same call resumes a run that was interrupted.

    :param make_sampler: back end for some weights; None: the configured one
    :return: the final numbers, as in ``metrics.json``
    """
    with recorded(config, run_dir) as record, ProgressDisplay(record.progress) as progress:
        lab = Lab(config, record, make_sampler, progress)
        try:
            outcome = config.recipe.run(lab)
        finally:
            lab.release()  # a failed job of a sweep leaves no engine to the next
        record.manifest |= {
            "judges": [judge.name for judge in outcome.judges], "final_judge": outcome.final.name,
        }  # fmt: skip
        scoring = Scoring(config.seed, point_resamples=RESAMPLES)
        numbers = report_measurements(
            outcome.measurements, record, scoring, outcome.final.name, config.logger.table_rows
        )
        numbers |= cue_numbers(record.manifest["stages"]) | bias_numbers(outcome, run_dir) | last_losses(outcome)
        record.summary(numbers)
        leave_judge(lab, config, outcome.final, run_dir)
        record_artifacts(lab, outcome, run_dir)
    report = build_report(run_dir)
    show_results(numbers, [judge.name for judge in outcome.judges], list(outcome.benchmarks), report)
    return numbers


def bias_numbers(outcome: Outcome, run_dir: Path) -> dict[str, Number]:
    """The numbers of the bias reports; leave all reports in the run's folder (``bias.json``)."""
    numbers: dict[str, Number] = {}
    for made in outcome.bias.values():
        numbers |= json.loads(made.file("numbers.json").read_text(encoding="utf-8"))
    if outcome.bias:
        write_json_atomic(RunFolder(run_dir).bias, [read_bias(made) for made in outcome.bias.values()])
    return numbers


def last_losses(outcome: Outcome) -> dict[str, Number]:
    """The last values of every training series."""
    last: dict[str, Number] = {}
    for judge in outcome.judges:
        if judge.origin.stage is not None:
            series = read_series(judge.origin.stage.file("series.jsonl"))
            last |= series[max(series)] if series else {}
    return last


def record_artifacts(lab: Lab, outcome: Outcome, run_dir: Path) -> None:
    """The data the run worked from, the training rows it made of them, and the judge it leaves."""
    tracker = lab.record.tracker
    for stage in lab.record.manifest["stages"]:
        kind, name = stage["name"].partition("/")[0], stage["name"].replace("/", "-")
        if kind in ("splits", "benchmark"):
            tracker.artifact(name, "dataset", Path(stage["path"]), used=True)
        elif kind in ("demonstrations", "preferences"):
            tracker.artifact(name, "dataset", Path(stage["path"]))
    if outcome.final.origin.stage is not None:
        tracker.artifact(f"judge-{outcome.final.name}", "model", RunFolder(run_dir).judge)


def leave_judge(lab: Lab, config: RunConfig, judge: Judge, run_dir: Path) -> None:
    """``judge/``: weights, tokenizer and how to ask, so that the folder can be used on its own."""
    target, aside = RunFolder(run_dir).judge, run_dir / ".judge.partial"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    trained = judge.origin.stage
    if trained is not None:
        shutil.copytree(trained.path / "judge", aside, dirs_exist_ok=True)
        for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"):
            if (lab.base() / name).exists() and not (aside / name).exists():
                shutil.copyfile(lab.base() / name, aside / name)
    description: dict[str, Any] = {
        "judge": judge.name,
        "base_model": asdict(config.model),
        "adapter": config.trainer.adapter != "full" and trained is not None,
        "protocol": asdict(config.prompt),
        "decoding": {
            "temperature": 0.0,
            "max_new_tokens": config.sampler.judge_tokens,
            "verdict": config.sampler.verdict,
            "beams": config.sampler.beams,
            "repetition_penalty": config.sampler.repetition_penalty,
            "strip_thoughts": config.bias.strip_thoughts,
            "thinking_tokens": config.sampler.thinking_tokens,
        },
    }
    (aside / JUDGE_FILE).write_text(yaml.safe_dump(description, sort_keys=False), encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    aside.rename(target)
