"""One run: the recipe, then its numbers, its judge and its report in the run's folder."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from judgekit.evaluation.metrics import MetricValue, score
from judgekit.evaluation.repetition import flip_rate
from judgekit.evaluation.verdicts import VerdictRow, read_verdicts
from judgekit.recipes.evalplanner import evalplanner
from judgekit.recipes.lab import Judge, Lab, Outcome
from judgekit.report.html import build_report
from judgekit.report.table import print_results
from judgekit.rows import ResponsePair, read_rows
from judgekit.sampling.base import Sampler
from judgekit.schema.config import RunConfig
from judgekit.store import Artifact
from judgekit.sweeps.files import SWEEP_FILE
from judgekit.tracking import Number, make_tracker
from judgekit.tracking.progress import ProgressDisplay
from judgekit.tracking.record import RunRecord
from judgekit.weights import Weights

log = logging.getLogger(__name__)

TABLE_WIDTH = 100

RECIPES: dict[str, Callable[[Lab], Outcome]] = {"evalplanner": evalplanner}


def execute(
    config: RunConfig, run_dir: Path, make_sampler: Callable[[Weights], Sampler] | None = None
) -> dict[str, Number]:
    """Run a recipe; see ``judgekit.recipes.run_recipe``."""
    tracker = make_tracker(config.logger, run_dir, asdict(config), config.name, sweep_name(run_dir))
    record = RunRecord(run_dir, config, tracker)
    try:
        with ProgressDisplay(record.progress) as progress:
            lab = Lab(config, record, make_sampler, progress)
            outcome = RECIPES[config.recipe.name](lab)
            lab.release()
            numbers = report_numbers(lab, outcome, run_dir)
            leave_judge(lab, outcome.judges[-1], run_dir)
    except BaseException as error:
        # An exit that is no failure: Ctrl-C as Lightning passes it on, or a SLURM job that is queued again.
        cause = error.__context__ if isinstance(error, SystemExit) else error
        if cause is None or isinstance(cause, KeyboardInterrupt):
            record.finish("interrupted")
        else:
            record.finish("failed", f"{type(error).__name__}: {error}")
        raise
    record.finish("finished")
    report = build_report(run_dir)
    show(outcome, numbers, run_dir, report)
    return numbers


def sweep_name(run_dir: Path) -> str | None:
    """Name of the sweep a job belongs to: the folder above it, None for a single run."""
    if (run_dir.parent / SWEEP_FILE).exists():
        return run_dir.parent.name
    # A launcher of somebody else's runs jobs inside Hydra.
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        return run_dir.parent.name
    return None


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
    lab.record.manifest["judges"] = [judge.name for judge in outcome.judges]
    for (judge, name), handle in outcome.verdicts.items():
        assert isinstance(handle, Artifact)
        source = handle.file("verdicts.jsonl")
        shutil.copyfile(source, run_dir / "verdicts" / f"{judge}.{name}.jsonl")
        verdicts = read_verdicts(source)
        scores = score(pairs[name], verdicts, seed=lab.config.seed)
        numbers |= flatten(f"eval/{judge}/{name}", scores.overall)
        for subset, values in scores.subsets.items():
            numbers |= flatten(f"eval/{judge}/{name}/{subset}", values)
        numbers[f"eval/{judge}/{name}/judgment_chars"] = sum(len(row.text) for row in verdicts) / len(verdicts)
    numbers |= flip_numbers(lab, outcome, run_dir)
    numbers |= last_losses(outcome)
    lab.record.summary(numbers)
    _record_judgments(lab, outcome, pairs)
    return numbers


def flip_numbers(lab: Lab, outcome: Outcome, run_dir: Path) -> dict[str, Number]:
    """How many greedy verdicts differ on repetition, and a note that says so."""
    numbers: dict[str, Number] = {}
    for (judge, name), handle in outcome.repeated.items():
        assert isinstance(handle, Artifact)
        first = read_verdicts(run_dir / "verdicts" / f"{judge}.{name}.jsonl")
        rate, (low, high), count = flip_rate(first, read_verdicts(handle.file("verdicts.jsonl")), lab.config.seed)
        values: dict[str, MetricValue] = {"flip_rate": rate, "flip_rate_ci95": [low, high], "flip_n": count}
        numbers |= flatten(f"eval/{judge}/{name}", values)
        lab.record.note(
            f"Judged again, {100 * rate:.1f} % [{100 * low:.1f}, {100 * high:.1f}] of {count} greedy verdicts of "
            f"{judge} on {name} flip (rounding differs with what shares a batch)."
        )
    return numbers


def flatten(prefix: str, values: Mapping[str, MetricValue]) -> dict[str, Number]:
    """``NAME_ci95: [low, high]`` as two flat numbers beside the others."""
    flat: dict[str, Number] = {}
    for name, value in values.items():
        if name.endswith("_ci95"):
            low, high = value if isinstance(value, list) else (None, None)
            flat[f"{prefix}/{name}_low"], flat[f"{prefix}/{name}_high"] = low, high
        else:
            assert not isinstance(value, list)
            flat[f"{prefix}/{name}"] = value
    return flat


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
    """A table of judgments of the last judge, and its weights as an artifact."""
    judge = outcome.judges[-1]
    rows: list[list[object]] = []
    for name, known in pairs.items():
        by_id = {pair.id: pair for pair in known}
        handle = outcome.verdicts[judge.name, name]
        assert isinstance(handle, Artifact)
        rows += [_table_row(name, by_id[row.id], row) for row in read_verdicts(handle.file("verdicts.jsonl"))]
    columns = [
        "benchmark",
        "id",
        "order",
        "instruction",
        "response_a",
        "response_b",
        "label",
        "verdict",
        "invalid",
        "text",
    ]
    lab.record.tracker.table("judgments", columns, rows[: lab.config.logger.table_rows])
    if isinstance(judge.stage, Artifact):
        lab.record.tracker.artifact(f"judge-{judge.name}", "model", judge.stage.path / "judge")


def _table_row(benchmark: str, pair: ResponsePair, row: VerdictRow) -> list[object]:
    texts = [pair.instruction, pair.response_a, pair.response_b, pair.label, row.verdict, row.invalid, row.text]
    return [benchmark, row.id, row.order, *texts]


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


def show(outcome: Outcome, numbers: Mapping[str, Number], run_dir: Path, report: Path) -> None:
    """The table at the end."""
    # A log file is read at any width; a narrower table would lose its intervals.
    console = Console() if sys.stdout.isatty() else Console(width=TABLE_WIDTH)
    print_results(console, numbers, [judge.name for judge in outcome.judges], list(outcome.benchmarks))
    console.print(f"Report: {report}", highlight=False, soft_wrap=True)
    sys.stdout.flush()
    log.debug("run folder %s", run_dir)
