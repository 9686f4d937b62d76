"""One run: the recipe, then its numbers, its judge and its report in the run's folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from judgekit.evaluation.numbers import (
    JUDGMENT_COLUMNS,
    flip_numbers,
    judgment_rows,
    pair_numbers,
    point_numbers,
    section_numbers,
)
from judgekit.evaluation.scores import mean_scores, read_scores
from judgekit.evaluation.verdicts import read_verdicts
from judgekit.prompts.base import PointProtocol
from judgekit.recipes.lab import Judge, Lab, Outcome
from judgekit.recipes.meta_judging import BIAS_FILE, read_bias
from judgekit.report.html import build_report
from judgekit.report.terminal import show_results
from judgekit.rows import ResponsePair, ScoredResponse, read_rows
from judgekit.sampling.base import Sampler
from judgekit.schema.config import RunConfig
from judgekit.store import Artifact, write_json_atomic
from judgekit.tracking import Number
from judgekit.tracking.progress import ProgressDisplay
from judgekit.tracking.session import recorded
from judgekit.weights import Weights

RESAMPLES = 200
"""Of correlations with rankings, each of which takes milliseconds: a thousand would take longer than the scoring."""


def execute(
    config: RunConfig, run_dir: Path, make_sampler: Callable[[Weights], Sampler] | None = None
) -> dict[str, Number]:
    """Run a recipe; see ``judgekit.recipes.run_recipe``."""
    with recorded(config, run_dir) as record, ProgressDisplay(record.progress) as progress:
        lab = Lab(config, record, make_sampler, progress)
        try:
            outcome = config.recipe.run(lab)
        finally:
            lab.release()  # a failed job of a sweep leaves no engine to the next
        numbers = report_numbers(lab, outcome, run_dir)
        leave_judge(lab, outcome.final, run_dir)
        record_artifacts(lab, outcome, run_dir)
    report = build_report(run_dir)
    show_results(numbers, [judge.name for judge in outcome.judges], list(outcome.benchmarks), report)
    return numbers


def report_numbers(lab: Lab, outcome: Outcome, run_dir: Path) -> dict[str, Number]:
    """Score all verdicts; leave pairs, verdicts and numbers in the run's folder."""
    numbers: dict[str, Number] = {}
    for folder in ("pairs", "verdicts"):
        (run_dir / folder).mkdir(exist_ok=True)
    pairs: dict[str, list[ResponsePair]] = {}
    for name, handle in outcome.benchmarks.items():
        assert isinstance(handle, Artifact)
        shutil.copyfile(handle.file("pairs.jsonl"), run_dir / "pairs" / f"{name}.jsonl")
        pairs[name] = read_rows(handle.file("pairs.jsonl"), ResponsePair)
        lab.record.manifest["benchmarks"][name] = {"pairs": len(pairs[name])}
    lab.record.manifest |= {"judges": [judge.name for judge in outcome.judges], "final_judge": outcome.final.name}
    for (judge, name), handle in outcome.verdicts.items():
        assert isinstance(handle, Artifact)
        source = handle.file("verdicts.jsonl")
        shutil.copyfile(source, run_dir / "verdicts" / f"{judge}.{name}.jsonl")
        verdicts = read_verdicts(source)
        numbers |= pair_numbers(f"eval/{judge}/{name}", pairs[name], verdicts, seed=lab.config.seed)
        kind = lab.config.benchmark[name].kind
        numbers |= section_numbers(f"eval/{judge}/{name}", kind, pairs[name], verdicts, seed=lab.config.seed)
    for (judge, name), handle in outcome.repeated.items():
        assert isinstance(handle, Artifact)
        first = read_verdicts(run_dir / "verdicts" / f"{judge}.{name}.jsonl")
        again = read_verdicts(handle.file("verdicts.jsonl"))
        found, note = flip_numbers(judge, name, first, again, lab.config.seed)
        numbers |= found
        lab.record.note(note)
    numbers |= ranking_numbers(lab, outcome, run_dir) | bias_numbers(outcome, run_dir) | last_losses(outcome)
    lab.record.summary(numbers)
    _record_judgments(lab, outcome, pairs)
    return numbers


def ranking_numbers(lab: Lab, outcome: Outcome, run_dir: Path) -> dict[str, Number]:
    """How scores of single responses go with people's rankings; leave responses and scores in the run's folder."""
    numbers: dict[str, Number] = {}
    protocol = lab.config.prompt.protocol
    for (judge, name), handle in outcome.scores.items():
        assert isinstance(handle, Artifact) and isinstance(protocol, PointProtocol)
        for folder, file, kept in (
            ("responses", "responses.jsonl", f"{name}.jsonl"),
            ("scores", "scores.jsonl", f"{judge}.{name}.jsonl"),
        ):
            (run_dir / folder).mkdir(exist_ok=True)
            shutil.copyfile(handle.file(file), run_dir / folder / kept)
        responses = read_rows(handle.file("responses.jsonl"), ScoredResponse)
        lab.record.manifest["benchmarks"][name] = {"responses": len(responses)}
        scores = mean_scores(read_scores(handle.file("scores.jsonl")))
        numbers |= point_numbers(
            f"eval/{judge}/{name}", responses, scores, protocol.scale, seed=lab.config.seed, resamples=RESAMPLES
        )
    return numbers


def bias_numbers(outcome: Outcome, run_dir: Path) -> dict[str, Number]:
    """The numbers of the bias reports; leave all reports in the run's folder (``bias.json``)."""
    numbers: dict[str, Number] = {}
    for handle in outcome.bias.values():
        assert isinstance(handle, Artifact)
        numbers |= json.loads(handle.file("numbers.json").read_text(encoding="utf-8"))
    if outcome.bias:
        write_json_atomic(run_dir / BIAS_FILE, [read_bias(handle) for handle in outcome.bias.values()])
    return numbers


def last_losses(outcome: Outcome) -> dict[str, Number]:
    """The last values of every training series."""
    from judgekit.recipes.training import read_series

    last: dict[str, Number] = {}
    for judge in outcome.judges:
        if isinstance(judge.stage, Artifact):
            series = read_series(judge.stage.file("series.jsonl"))
            last |= series[max(series)] if series else {}
    return last


def _record_judgments(lab: Lab, outcome: Outcome, pairs: Mapping[str, list[ResponsePair]]) -> None:
    """A table of judgments of the judge the run leaves."""
    judge = outcome.final
    rows: list[list[object]] = []
    for name, known in pairs.items():
        handle = outcome.verdicts[judge.name, name]
        assert isinstance(handle, Artifact)
        rows += judgment_rows(name, known, read_verdicts(handle.file("verdicts.jsonl")))
    lab.record.tracker.table("judgments", JUDGMENT_COLUMNS, rows[: lab.config.logger.table_rows])


def record_artifacts(lab: Lab, outcome: Outcome, run_dir: Path) -> None:
    """The data the run worked from, the training rows it made of them, and the judge it leaves."""
    tracker = lab.record.tracker
    for stage in lab.record.manifest["stages"]:
        kind, name = stage["name"].partition("/")[0], stage["name"].replace("/", "-")
        if kind in ("splits", "benchmark"):
            tracker.artifact(name, "dataset", Path(stage["path"]), used=True)
        elif kind in ("demonstrations", "preferences"):
            tracker.artifact(name, "dataset", Path(stage["path"]))
    if outcome.final.stage is not None:
        tracker.artifact(f"judge-{outcome.final.name}", "model", run_dir / "judge")


def leave_judge(lab: Lab, judge: Judge, run_dir: Path) -> None:
    """``judge/``: weights, tokenizer and how to ask, so that the folder can be used on its own."""
    target, aside = run_dir / "judge", run_dir / ".judge.partial"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    if isinstance(judge.stage, Artifact):
        shutil.copytree(judge.stage.path / "judge", aside, dirs_exist_ok=True)
        for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"):
            if (lab.base() / name).exists() and not (aside / name).exists():
                shutil.copyfile(lab.base() / name, aside / name)
    config = lab.config
    description: dict[str, Any] = {
        "judge": judge.name,
        "base_model": asdict(config.model),
        "adapter": config.trainer.adapter != "full" and judge.stage is not None,
        "protocol": asdict(config.prompt),
        "decoding": {
            "temperature": 0.0,
            "max_new_tokens": config.sampler.judge_tokens,
            "verdict": config.sampler.verdict,
        },
    }
    (aside / "judge.yaml").write_text(yaml.safe_dump(description, sort_keys=False), encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    aside.rename(target)
