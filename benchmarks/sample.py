"""How fast judgekit samples: through vLLM against ``LLM.generate``, and ``sampler=hf`` against ``generate``.

``python -m benchmarks.sample`` prints one JSON object. The work is EvalPlanner's: two plans an instruction, four
executions of each plan in both orders. Both sides get the same prompts and parameters and take turns in one run; the
figure is the median ratio of generated tokens per second. Loading is left out on both sides; judgekit's side
includes planning its batches and keeping every generation on disk.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from judgekit.data.constraints import constraint_instructions, written_responses
from judgekit.evaluation.benchmarks import load_benchmark
from judgekit.evaluation.benchmarks.base import BenchmarkConfig
from judgekit.models import obtain
from judgekit.prompts.chat import encode_prompt, end_of_turn
from judgekit.prompts.evalplanner import EvalPlanner, EvalPlannerPrompt
from judgekit.rows import ORDERS, ResponsePair
from judgekit.samplers.hf import HfConfig
from judgekit.samplers.vllm import VllmConfig
from judgekit.sampling.base import Request, Sampler, SamplingParams
from judgekit.sampling.cache import GenerationCache
from judgekit.sampling.engine_process import EngineProcess
from judgekit.sampling.hf import HfSampler, device_of
from judgekit.sampling.session import sample_all
from judgekit.sampling.streams import stream_key
from judgekit.schema.composition import Composer
from judgekit.schema.config import RunConfig
from judgekit.schema.models import ModelConfig
from judgekit.weights import Weights

PLANS, EXECUTIONS = 2, 4
Timing = tuple[float, int]
"""Seconds and generated tokens."""


def pairs_of(count: int, llmbar: Path | None) -> list[ResponsePair]:
    """Response pairs: LLMBar's where its folder is given, else program-written formats."""
    if llmbar is not None:
        return load_benchmark("llmbar", BenchmarkConfig(kind="llmbar", path=str(llmbar), limit=count), []) or []
    rows = constraint_instructions(count, seed=2)
    answers = [written_responses(row, seed=2) for row in rows]
    return [ResponsePair(row.id, row.text, *given, "A") for row, given in zip(rows, answers, strict=True)]


Phases = list[list[Request]]
"""Requests for plans, then requests for executions."""


def work(pairs: Sequence[ResponsePair], tokenizer: Any, new_tokens: int, seed: int) -> Phases:
    """Requests for plans, and for executions of fixed plans, so that both sides have the same prompts."""
    protocol = EvalPlanner(EvalPlannerPrompt(style="brief"))
    plan = SamplingParams(0.8, 0.95, min(new_tokens, 64), (protocol.plan_stop,), (), seed)
    chain = SamplingParams(0.8, 0.95, new_tokens, (), (), seed)
    plans, executions = [], []
    for pair in pairs:
        ids = encode_prompt(tokenizer, protocol.plan_prompt(pair.instruction), protocol.plan_prefill)
        plans.append(Request(pair.id, tuple(ids), plan, tuple(range(PLANS))))
        for number in range(PLANS):
            text = f"Requirement {number}: what the instruction asks for, then whether each answer does it."
            for order in ORDERS:
                ids = encode_prompt(tokenizer, protocol.judge_prompt(pair, order), protocol.execution_prefill(text))
                name = f"{pair.id}/{order}/{number}"
                executions.append(Request(name, tuple(ids), chain, tuple(range(EXECUTIONS))))
    return [plans, executions]


def through_judgekit(sampler: Sampler, phases: Sequence[Sequence[Request]]) -> Timing:
    """Sample all phases through an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        cache = GenerationCache(Path(folder), "0" * 64)
        began, tokens = time.perf_counter(), 0
        for requests in phases:
            samples = sample_all(sampler, cache, requests)
            tokens += sum(len(generation.token_ids) for generation in samples.values())
        return time.perf_counter() - began, tokens


def through_vllm(engine: EngineProcess, phases: Phases) -> Timing:
    """``LLM.generate`` on all samples of each phase, in the order of the requests."""
    seconds, tokens = 0.0, 0
    for requests in phases:
        rows = [
            {
                "prompt": request.prompt_ids, "temperature": request.params.temperature, "top_p": request.params.top_p,
                "max_tokens": request.params.max_new_tokens, "stop": request.params.stop,
                "seed": stream_key(request, sample) >> 1,
            }
            for request in requests for sample in request.samples
        ]  # fmt: skip
        engine.send({"requests": rows})
        answers: list[dict[str, Any]] = []
        while not answers:
            answers = engine.receive()
        seconds += answers[0]["seconds"]
        tokens += answers[0]["tokens"]
    return seconds, tokens


def through_generate(model: Any, tokenizer: Any, phases: Sequence[Sequence[Request]], batch_size: int) -> Timing:
    """``model.generate`` on left-padded batches of prompts of similar length."""
    began, tokens = time.perf_counter(), 0
    ends = [end_of_turn(tokenizer)]
    for requests in phases:
        order = sorted(requests, key=lambda request: -len(request.prompt_ids))
        rows = [request for request in order for _ in request.samples]
        for start in range(0, len(rows), batch_size):
            tokens += _generate(model, tokenizer, rows[start : start + batch_size], ends)
    return time.perf_counter() - began, tokens


def _generate(model: Any, tokenizer: Any, rows: Sequence[Request], ends: list[int]) -> int:
    params, width = rows[0].params, max(len(row.prompt_ids) for row in rows)
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, width - len(row.prompt_ids) :] = torch.tensor(row.prompt_ids)
        mask[place, width - len(row.prompt_ids) :] = 1
    stops = {"stop_strings": list(params.stop), "tokenizer": tokenizer} if params.stop else {}
    with torch.inference_mode():
        out = model.generate(
            ids.to(model.device), attention_mask=mask.to(model.device), do_sample=True, temperature=params.temperature,
            top_p=params.top_p, top_k=0, max_new_tokens=params.max_new_tokens, eos_token_id=ends,
            pad_token_id=ends[0], **stops,
        )  # fmt: skip
    new = out[:, width:]
    # Tokens up to and with the first end; what follows is padding.
    ended = (new == ends[0]).int().cumsum(dim=1)
    return int(((ended == 0) | ((ended == 1) & (new == ends[0]))).sum())


def alternate(sides: Mapping[str, Callable[[Phases], Timing]], rounds: Sequence[Phases]) -> dict[str, Any]:
    """Time the sides in turns on the same work, new in every round so that no prefix is cached already.

    :return: the median over the rounds of the first side's tokens per second over the second's, and all figures
    """
    figures: dict[str, list[float]] = {name: [] for name in sides}
    for phases in rounds:
        for name, side in sides.items():
            seconds, tokens = side(phases)
            figures[name].append(tokens / seconds)
            print(f"{name}: {tokens} tokens in {seconds:.1f} s, {tokens / seconds:.1f} a second", file=sys.stderr)
    ratio = statistics.median(ours / theirs for ours, theirs in zip(*figures.values(), strict=True))
    rounded = {name: [round(value, 1) for value in found] for name, found in figures.items()}
    return {"ratio": round(ratio, 3), "tokens_per_second": rounded}


def compare_vllm(base: Path, model: ModelConfig, rounds: Sequence[Phases]) -> dict[str, Any]:
    """Judgekit's vLLM sampler against ``LLM.generate``."""
    from judgekit.sampling.vllm import VllmSampler, engine_arguments
    from judgekit.sampling.vllm_environment import environment, on_cpu

    config, weights = VllmConfig(), Weights(base)
    ours = VllmSampler(weights, model, config)
    arguments = engine_arguments(weights, model, config, cpu=on_cpu())
    settings = {"engine": arguments, "ends": [end_of_turn(AutoTokenizer.from_pretrained(base))]}
    theirs = EngineProcess("benchmarks.plain_vllm", settings, environment(config, 0))
    try:
        theirs.wait_until_ready(config.start_seconds)
        sides = {"judgekit": partial(through_judgekit, ours), "vllm": partial(through_vllm, theirs)}
        for side in sides.values():
            side([rounds[0][0][:2]])
        return alternate(sides, rounds)
    finally:
        ours.close()
        theirs.close()


def compare_hf(base: Path, model: ModelConfig, rounds: Sequence[Phases], device: str) -> dict[str, Any]:
    """``sampler=hf`` against plain ``generate`` at its best batch size."""
    ours = HfSampler(Weights(base), model, HfConfig(device=device))
    tokenizer = AutoTokenizer.from_pretrained(base)
    plain: Any = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, model.dtype))
    plain = plain.eval().to(device_of(device))
    trial = [rounds[0][1][::4]]
    tried = {}
    for batch_size in (8, 16, 32, 64, 128):
        seconds, tokens = through_generate(plain, tokenizer, trial, batch_size)
        tried[batch_size] = round(tokens / seconds, 1)
        print(f"generate, batches of {batch_size}: {tried[batch_size]} tokens a second", file=sys.stderr)
    best = max(tried, key=lambda size: tried[size])
    through_judgekit(ours, [rounds[0][0][:2]])
    found = alternate(
        {
            "judgekit": partial(through_judgekit, ours),
            "generate": partial(through_generate, plain, tokenizer, batch_size=best),
        },
        rounds,
    )
    return found | {"generate_tokens_per_second_by_batch_size": tried, "generate_batch_size": best}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", nargs="+", choices=("vllm", "hf"), default=["vllm", "hf"])
    parser.add_argument("--instructions", type=int, default=32)
    parser.add_argument("--hf-instructions", type=int, default=8, help="plain generate is slow")
    parser.add_argument("--new-tokens", type=int, default=96, help="longest execution")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--llmbar", type=Path, help="folder of LLMBar, for longer prompts")
    parser.add_argument("--model", default="smollm2_135m", help="a model of conf/model")
    parser.add_argument("--device", default="auto", help="of sampler=hf")
    options = parser.parse_args()
    config = Composer().job([f"model={options.model}"]).config
    assert isinstance(config, RunConfig)
    model = config.model
    base = obtain(model)
    tokenizer = AutoTokenizer.from_pretrained(base)
    pairs = pairs_of(options.instructions * options.repeats, options.llmbar)

    def rounds(count: int) -> list[Phases]:
        return [
            work(pairs[number :: options.repeats][:count], tokenizer, options.new_tokens, seed=2)
            for number in range(options.repeats)
        ]

    found: dict[str, Any] = {
        "model": options.model, "dtype": model.dtype, "threads": torch.get_num_threads(),
        "plans": PLANS, "executions": EXECUTIONS,
        "new_tokens": options.new_tokens, "pairs": "llmbar" if options.llmbar else "format constraints",
    }  # fmt: skip
    if "vllm" in options.engines:
        found["vllm"] = compare_vllm(base, model, rounds(options.instructions))
        found["vllm"]["instructions"] = options.instructions
        found["ratio"] = found["vllm"]["ratio"]
    if "hf" in options.engines:
        found["hf"] = compare_hf(base, model, rounds(options.hf_instructions), options.device)
        found["hf"]["instructions"] = options.hf_instructions
        found["hf_ratio"] = found["hf"]["ratio"]
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
