"""Judgekit on one GPU in under 8 minutes: training, sampling, and what must hold there as on a CPU.

    python -m benchmarks.gpu -o gpu.json

Prints one JSON object. A Llama of 8B parameters is made of random numbers, so nothing is downloaded but the small seed
model, whose tokenizer it gets. Parts run in processes of their own, one after the other; one that fails, or for which
no time is left, is reported and the next one runs. TRL's figures need the extra ``bench``. ``--tiny`` runs everything
on a toy model, ``--device cpu`` without a GPU.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

Part = Callable[[], dict[str, Any] | Iterator[dict[str, Any]]]
"""Gives what it found, at once or bit by bit: then what there is counts when its time is over."""
_IMPORTED = ("torch", "transformers", "peft", "lightning.pytorch", "datasets", "trl", "judgekit.training.trainer",
             "judgekit.sampling.hf", "benchmarks.sample", "benchmarks.gpu_training")  # fmt: skip


def main() -> None:
    """Run the parts and print what they found."""
    options = _arguments()
    # Processes are forked from this one, which must not touch the GPU; torch can count devices without.
    os.environ |= {"PYTORCH_NVML_BASED_CUDA_CHECK": "1", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
                   "TQDM_DISABLE": "1", "TOKENIZERS_PARALLELISM": "0"}  # fmt: skip
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    began = time.monotonic()
    # A data set cache of its own: a later run must not find the reference log-probabilities of an earlier one.
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["HF_DATASETS_CACHE"] = f"{scratch}/datasets"
        missing = _import_all()
        report: dict[str, Any] = {
            "benchmark": "gpu", "tiny": options.tiny, "missing": missing, "versions": _versions(),
            "seconds_to_import": round(time.monotonic() - began, 1),
        }  # fmt: skip
        for name, part in _parts(options, options.folder or Path(scratch)).items():
            left = options.seconds - (time.monotonic() - began)
            if options.parts and name not in options.parts:
                continue
            part_seconds = min(options.part_seconds, left)
            report[name] = _run(name, part, part_seconds) if left > 20 else {"skipped": "no time left"}
            report["seconds"] = round(time.monotonic() - began, 1)
            if options.output is not None:
                options.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    _compare(report)
    text = json.dumps(report, indent=1)
    if options.output is not None:
        options.output.write_text(text + "\n", encoding="utf-8")
    print(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, help="also write the JSON here, after every part")
    parser.add_argument("--folder", type=Path, help="keep the models made (23 GB) here (default: a temporary folder)")
    parser.add_argument("--seed-model", type=Path, help="folder of SmolLM2-135M (default: obtained)")
    parser.add_argument("--texts", type=Path, help="greedy texts to compare with, written where the file is not there")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--steps", type=int, default=20, help="LoRA steps (default 20)")
    parser.add_argument("--seconds", type=float, default=460.0, help="no part is begun after this (default 460)")
    parser.add_argument("--part-seconds", type=float, default=150.0, help="longest time of a part (default 150)")
    parser.add_argument("--parts", nargs="+", help="only these")
    parser.add_argument("--tiny", action="store_true", help="a toy model and few rows, to see that it works")
    return parser.parse_args()


def _import_all() -> dict[str, str]:
    """Import what parts need once, before they are forked; what cannot be imported."""
    missing = {}
    for name in _IMPORTED:
        try:
            importlib.import_module(name)
        except Exception as error:
            missing[name] = f"{type(error).__name__}: {error}"[:300]
    return missing


def _versions() -> dict[str, str]:
    found = {}
    for name in ("torch", "transformers", "peft", "lightning", "triton", "trl"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def _parts(options: argparse.Namespace, scratch: Path) -> dict[str, Part]:
    """What there is to run, the most important first."""
    from benchmarks import gpu_checks, gpu_setup, gpu_training

    if options.seed_model is None:
        from benchmarks.train import _seed_model

        options.seed_model = Path(_seed_model())
    steps = 4 if options.tiny else options.steps
    setup = gpu_setup.Setup(scratch, options.seed_model, options.device, options.tiny, steps, options.texts)
    few = min(steps, 8)
    return {
        "device": partial(gpu_setup.device_facts, options.device),
        "prepare": partial(_prepare, setup),
        "dpo": partial(gpu_training.lora, setup, "dpo", profile=True),
        "dpo_trl": partial(gpu_training.trl, setup, "dpo", min(steps, 10)),
        "sample": partial(gpu_checks.sample, setup),
        "full": partial(gpu_training.full, setup),
        "attention": partial(gpu_checks.attention, setup),
        "resume": partial(gpu_checks.resume, setup),
        "sft": partial(gpu_training.lora, setup, "sft", few),
        "sft_trl": partial(gpu_training.trl, setup, "sft", few),
        "dpo_sdpa": partial(gpu_training.lora, setup, "dpo", few, attention="sdpa"),
        "judge": partial(gpu_checks.judge, setup),
    }


def _prepare(setup: Any) -> dict[str, Any]:
    """Make the models and rows, so that no part's time has it in."""
    from judgekit.weights import Weights

    began = time.monotonic()
    base = setup.model("llama-3.1-8b")
    made = time.monotonic() - began
    for task in ("dpo", "sft"):
        setup.job(task)
    began = time.monotonic()
    found = Weights(base).digest
    return {"model": base.name, "seconds_to_make": round(made, 1), "digest": found[:8],
            "seconds_to_digest": round(time.monotonic() - began, 1)}  # fmt: skip


def _run(name: str, part: Part, seconds: float, method: str = "fork") -> dict[str, Any]:
    """A part in a process of its own, which is ended when its time is over."""
    print(f"-- {name}", file=sys.stderr, flush=True)
    began = time.monotonic()
    context: Any = multiprocessing.get_context(method)
    receiving, sending = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(part, sending))
    child.start()
    sending.close()
    found: dict[str, Any] = {}
    try:
        while (told := _told(receiving, began + seconds)) is not None:
            found |= told
    except EOFError:
        child.join(5)
        if child.exitcode:
            found["failed"] = f"the process ended with {child.exitcode}"
    else:
        found["failed"] = f"not done in {seconds:.0f} seconds"
    child.terminate()
    child.join(10)
    if child.is_alive():
        child.kill()
    if method == "fork" and "forked subprocess" in str(found.get("failed")):
        return _run(name, part, seconds, "spawn")  # something imported has touched the GPU already
    return found | {"wall_seconds": round(time.monotonic() - began, 1)}


def _told(receiving: Any, until: float) -> dict[str, Any] | None:
    """What the child says next; None when the time is over."""
    if not receiving.poll(max(0.0, until - time.monotonic())):
        return None
    told: dict[str, Any] = receiving.recv()
    return told


def _child(part: Part, sending: Any) -> None:
    """In the child: run a part and send what it found."""
    os.dup2(2, 1)  # standard output is for the report
    try:
        found = part()
        for told in [found] if isinstance(found, dict) else found:
            sending.send(told)
    except BaseException as error:
        traceback.print_exc()
        sending.send({"failed": f"{type(error).__name__}: {error}"[:600]})


def _compare(report: dict[str, Any]) -> None:
    """Add ratios of judgekit's speed and memory to TRL's, where both were measured."""
    for task in ("dpo", "sft"):
        ours, theirs = report.get(task, {}), report.get(f"{task}_trl", {})
        report[f"{task}_against_trl"] = _ratios(ours, theirs)


def _ratios(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, float]:
    found = {}
    for name in ("unpacked_tokens_per_second_with_reference", "peak_allocated_gib", "peak_reserved_gib"):
        if name in ours and name in theirs:
            found[name] = round(ours[name] / theirs[name], 3)
    if "losses" in ours and "losses" in theirs:
        pairs = zip(ours["losses"], theirs["losses"], strict=False)
        found["largest_loss_difference"] = round(max(abs(one - other) for one, other in pairs), 5)
    return found


if __name__ == "__main__":
    main()
