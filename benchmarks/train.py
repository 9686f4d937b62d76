"""Training through judgekit and through TRL, on the same pairs, weights, order and optimizer: one JSON object.

    python -m benchmarks.train --shape evalplanner

Needs the extra ``bench`` (``make bench``). Every measurement runs in a process of its own, the two sides in turn. Both
sides are first tried with a few settings on one small step, and measured with those that need least memory among the
fastest (within a tenth) that give the same loss.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.train_sides import LORA, SHAPES, Job, Shape

TRY_ROWS = 4
"""Rows of the step on which settings are tried."""
NOT_TRIED = {
    "packing": "changes which rows share a step, so it computes something else",
    "padding_free (DPO)": "switched off inside TRL 1.16, which falls back on padding",
    "torch_compile, Liger": "compiling takes longer than the run; Liger needs a GPU",
    "gradient_checkpointing": "slower by design; the memory is there",
}


class ChildError(Exception):
    """A process that failed, and the last line it wrote."""


def main() -> None:
    """Prepare, try settings, measure in turn, print."""
    options = _arguments()
    _require_trl()
    shape = replace(SHAPES[options.shape], batch_size=options.batch_size)
    if options.quick:
        shape = replace(shape, prompt_tokens=60, reply_tokens=30, style="brief")
    with tempfile.TemporaryDirectory() as folder:
        base = str(options.model) if options.model is not None else _seed_model()
        lr = 1e-4 if shape.task == "dpo" else 5e-4
        rows, llmbar = options.steps * shape.batch_size, None if options.llmbar is None else str(options.llmbar)
        job = Job("prepare", f"{folder}/run", base, shape, rows, options.dtype, options.device, lr, llmbar, {})
        few = min(TRY_ROWS, shape.batch_size)
        trial = replace(job, folder=f"{folder}/try", rows=few, shape=replace(shape, batch_size=few))
        _child(trial)
        facts = _child(job)
        tried = {
            "judgekit": _try_judgekit(trial, facts["longest_row_tokens"], options.quick),
            "trl": _try_trl(trial, shape.batch_size, options.quick),
        }
        _within(tried["judgekit"], _memory(tried["trl"]))
        runs: dict[str, list[dict[str, Any]]] = {"judgekit": [], "trl": []}
        while min(len(found) for found in runs.values()) < options.repeats:
            _measure(job, min(runs, key=lambda side: len(runs[side])), tried, runs)
    print(json.dumps(_report(options, shape, facts, tried, runs), indent=2))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--shape", choices=SHAPES, default="evalplanner")
    parser.add_argument("--steps", type=int, default=2, help="optimizer steps (default 2)")
    parser.add_argument("--batch-size", type=int, default=8, help="pairs or rows of a step (default 8)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side (default 3)")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--llmbar", type=Path, help="make rows of LLMBar's texts instead of the starter instructions")
    parser.add_argument("--model", type=Path, help="model folder instead of SmolLM2-135M")
    parser.add_argument("--quick", action="store_true", help="short rows and few settings, to see that it works")
    return parser.parse_args()


def _require_trl() -> None:
    from judgekit.errors import MissingExtraError

    if importlib.util.find_spec("trl") is None:
        sys.exit(f"{MissingExtraError('trl', 'bench')}, or in a checkout: make bench")


def _seed_model() -> str:
    from judgekit.models import obtain
    from judgekit.schema.composition import Composer
    from judgekit.schema.config import RunConfig

    config = Composer().job(["model=smollm2_135m"]).config
    assert isinstance(config, RunConfig)
    return str(obtain(config.model))


def _child(job: Job) -> dict[str, Any]:
    """Run a job in a process of its own and return what it printed last.

    :raises ChildError: it failed
    """
    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        path = Path(scratch, "job.json")
        path.write_text(json.dumps(asdict(job)), encoding="utf-8")
        # A data set cache of its own: a later run must not find the reference log-probabilities of an earlier one.
        quiet = {
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_CACHE": scratch,
            "TQDM_DISABLE": "1",
            "TOKENIZERS_PARALLELISM": "0",
        }
        command = [sys.executable, "-m", "benchmarks.train_sides", str(path)]
        done = subprocess.run(command, env={**os.environ, **quiet}, capture_output=True, text=True)
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1:] or ["no message; killed for lack of memory?"]
        raise ChildError(f"{job.side} {job.settings} ended with {done.returncode}: {reason[0]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{job.side} {job.settings}: {found.get('seconds', 0.0):.1f} s", file=sys.stderr, flush=True)
    return found


def _try_judgekit(trial: Job, longest: int, quick: bool) -> list[dict[str, Any]]:
    """Time budgets of packed sequences, from the smallest possible one."""
    least = -(-longest // 64) * 64
    sizes = [least] if quick else [least, *(size for size in (2048, 4096) if size > least)]
    return [_timed(trial, "judgekit", {"max_tokens": size}) for size in sizes]


def _try_trl(trial: Job, batch_size: int, quick: bool) -> list[dict[str, Any]]:
    """Time micro batches, then what else may be faster at the best of them."""
    autocast = trial.dtype == "bfloat16"
    plain = {"autocast": autocast, "padding_free": False, "precompute": False}
    sizes = [size for size in ((2, 4) if quick else (1, 2, 4)) if size <= trial.rows and batch_size % size == 0]
    results = [_timed(trial, "trl", {"micro_batch": size, **plain}) for size in sizes]
    best = _best(results)
    further: list[dict[str, Any]] = [{"autocast": False}] if autocast else []
    further += (
        [{"precompute": True}] if trial.shape.task == "dpo" else [{"padding_free": True, "micro_batch": sizes[-1]}]
    )
    return results + [_timed(trial, "trl", best | change) for change in further]


def _measure(job: Job, side: str, tried: Mapping[str, Any], runs: Mapping[str, list[dict[str, Any]]]) -> None:
    """One more run of a side; settings that turn out not to fit into memory give way to the next fastest."""
    settings = _best(tried[side])
    try:
        runs[side].append(_child(replace(job, side=side, settings=settings)))
    except ChildError as error:
        runs[side].clear()
        next(result for result in tried[side] if result["settings"] == settings)["failed"] = str(error)


def _timed(trial: Job, side: str, settings: dict[str, Any]) -> dict[str, Any]:
    try:
        found = _child(replace(trial, side=side, settings=settings))
    except ChildError as error:
        return {"settings": settings, "failed": str(error)}
    figures = {"seconds": round(found["seconds"], 2), "peak_memory_mib": round(found["peak_memory_mib"])}
    return {"settings": settings, **figures, "loss": found["losses"][0]}


def _memory(results: Sequence[Mapping[str, Any]]) -> float:
    """MiB the best settings needed."""
    best = _best(results)
    return next(float(result["peak_memory_mib"]) for result in results if result["settings"] == best)


def _within(results: Sequence[dict[str, Any]], memory: float) -> None:
    """Leave out settings that need more memory than the other side, so that speed is not bought with it."""
    small = [result for result in results if result.get("peak_memory_mib", math.inf) <= memory]
    for result in results:
        if small and "failed" not in result and result not in small:
            result["left_out"] = "needs more memory than TRL"


def _best(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of the settings at most a tenth slower than the fastest, those that need least memory.

    Only settings count whose loss is that of the first, to the accuracy of bf16.

    :raises ChildError: none of them runs
    """
    done = [result for result in results if not {"failed", "left_out"} & set(result)]
    if not done:
        raise ChildError("; ".join(result.get("failed", "") or result["left_out"] for result in results))
    reference = done[0]["loss"]
    same = [result for result in done if abs(result["loss"] - reference) <= 0.01 * abs(reference)]
    limit = 1.1 * min(float(result["seconds"]) for result in same)
    fast = [result for result in same if float(result["seconds"]) <= limit]
    found: dict[str, Any] = min(fast, key=lambda result: float(result["peak_memory_mib"]))["settings"]
    return found


def _report(
    options: argparse.Namespace,
    shape: Shape,
    facts: Mapping[str, Any],
    tried: Mapping[str, Any],
    runs: Mapping[str, Sequence[Mapping[str, Any]]],
) -> dict[str, Any]:
    sides = {
        side: {
            "seconds": round(statistics.median(run["seconds"] for run in found), 2),
            "cpu_seconds": round(statistics.median(run["cpu_seconds"] for run in found), 2),
            "seconds_all": [round(run["seconds"], 2) for run in found],
            "peak_memory_mib": round(statistics.median(run["peak_memory_mib"] for run in found)),
            "settings": _best(tried[side]),
            "tried": tried[side],
        }
        for side, found in runs.items()
    }
    curves = {side: found[0]["losses"] for side, found in runs.items()}
    differences = [abs(a - b) / abs(b) for a, b in zip(curves["judgekit"], curves["trl"], strict=True)]
    return {
        "benchmark": "train",
        "shape": options.shape,
        **asdict(shape),
        "steps": options.steps,
        "repeats": options.repeats,
        "dtype": options.dtype,
        "device": options.device,
        "adapter": LORA,
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "transformers", "peft", "trl")},
        **facts,
        **sides,
        "speedup": round(sides["trl"]["seconds"] / sides["judgekit"]["seconds"], 2),
        "memory_ratio": round(sides["judgekit"]["peak_memory_mib"] / sides["trl"]["peak_memory_mib"], 3),
        "losses": curves,
        "largest_relative_loss_difference": max(differences),
        "not_tried": NOT_TRIED,
    }


if __name__ == "__main__":
    try:
        main()
    except ChildError as error:
        sys.exit(str(error))
