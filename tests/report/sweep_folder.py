"""A sweep's folder as its finished, failed and missing jobs leave it, without running any."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from judgekit.evaluation.verdict_metrics import score
from judgekit.rows import Order, ResponsePair, Verdict, write_rows
from judgekit.schema.launchers import LauncherConfig, LocalLauncherConfig
from judgekit.sweep_folder import Frozen, Sweep, SweepJob, note
from judgekit.verdict_rows import VerdictRow, verdict_values
from tests.report.run_folder import HOSTILE, evaluation_pair, flat

Values = Mapping[str, Any]
ERROR = f"stage train/dpo1: loss is not finite {HOSTILE}"


def skill(values: Values) -> float:
    """More plans and executions help, and so does a little ρ; seeds differ by a little."""
    plans, executions = values.get("recipe.plans", 1), values.get("recipe.executions", 2)
    rho = values.get("bias.rho", 0.0)
    draw = random.Random(values.get("seed", 0))
    return float(0.45 + 0.05 * plans + 0.02 * executions - 3 * (rho - 0.15) ** 2 + 0.03 * draw.random())


def make_sweep(
    folder: Path,
    grid: Mapping[str, Sequence[Any]],
    *,
    pairs: int = 40,
    failed: Collection[int] = (),
    missing: Collection[int] = (),
    skilled: Callable[[Values], float] = skill,
    launcher: LauncherConfig | None = None,
    words: int = 5,
    name: str = "sweep",
) -> Path:
    """Leave a folder of a sweep over a grid.

    :param failed: numbers of jobs that failed; ``missing`` of those that were never started
    :param skilled: share of pairs a run gets right, from its overrides
    """
    held = [evaluation_pair("arena", number) for number in range(pairs)]
    jobs = []
    for num, point in enumerate(product(*grid.values())):
        values = dict(zip(grid, point, strict=True))
        overrides = [f"{key}={value}" for key, value in values.items()]
        jobs.append(SweepJob(num, ["experiment=demo", *overrides], f"{num}-run", f"digest{num}"))
    sweep = Sweep(folder, name, "2026-11-22T10:00:00+00:00", launcher or LocalLauncherConfig(), tuple(jobs))
    (folder / "jobs").mkdir(parents=True)
    sweep.write()
    command = ["judgekit run", "-m", *(f"{key}={','.join(map(str, values))}" for key, values in grid.items())]
    Frozen({}, "", "", command, {}, {}).write(sweep.files(jobs[0]).config)
    for job, point in zip(jobs, product(*grid.values()), strict=True):
        if job.num in missing:
            continue
        values = dict(zip(grid, point, strict=True))
        if job.num in failed:
            note(sweep.files(job).events, "started")
            note(sweep.files(job).events, "ended", status="failed", error=f"Traceback\n{ERROR}")
        else:
            finished_run(folder / job.folder, job, held, values, skilled(values), words)
    return folder


def finished_run(
    run_dir: Path, job: SweepJob, pairs: Sequence[ResponsePair], values: Values, share: float, words: int
) -> None:
    """A run folder with two judges, the last of which gets ``share`` of the pairs right."""
    for part in ("pairs", "verdicts"):
        (run_dir / part).mkdir(parents=True)
    write_rows(run_dir / "pairs" / "arena.jsonl", pairs)
    numbers: dict[str, float | None] = {}
    for judge, known in (("sft", share - 0.15), ("dpo1", share)):
        rows = [verdict(judge, pair, order, known, values, words) for pair in pairs for order in ("ab", "ba")]
        text = "".join(json.dumps(verdict_values(row)) + "\n" for row in rows)
        (run_dir / "verdicts" / f"{judge}.arena.jsonl").write_text(text)
        numbers |= flat(f"eval/{judge}/arena", score(pairs, rows, resamples=20).overall)
    (run_dir / "metrics.json").write_text(json.dumps(numbers))
    (run_dir / "report.html").write_text("<!doctype html><title>run</title>")
    size = values.get("recipe.plans", 1) * values.get("recipe.executions", 1)
    stage = {
        "name": "chains/d1", "tokens": {"prompt": 40_000 * size, "generated": 9_000 * size},
        "generations": {"sampled": 100 * size}, "seconds": 60.0 + 25.0 * size,
    }  # fmt: skip
    manifest = {
        "status": "finished", "config_digest": job.config_digest, "judges": ["sft", "dpo1"], "final_judge": "dpo1",
        "benchmarks": {"arena": {"pairs": len(pairs)}}, "stages": [stage], "seconds": 30.0 + size,
    }  # fmt: skip
    (run_dir / "manifest.json").write_text(json.dumps(manifest))


def verdict(judge: str, pair: ResponsePair, order: Order, share: float, values: Values, words: int) -> VerdictRow:
    """Right on a fixed share of the pairs, so that runs are paired; leans on the first position; seldom invalid."""
    shared, own = random.Random(pair.id), random.Random(f"{judge} {pair.id} {order} {sorted(values.items())}")
    other: Verdict = "B" if pair.label == "A" else "A"
    named: Verdict | None = pair.label if 0.7 * shared.random() + 0.3 * own.random() < share else other
    if own.random() < 0.2:
        named = "A" if order == "ab" else "B"
    invalid = None
    if own.random() < 0.04:
        named, invalid = None, "missing verdict"
    return VerdictRow(pair.id, order, 0, named, invalid, "word " * words)
