"""What must hold on a GPU as on a CPU: attention paths agree, resuming changes nothing, judgments are the same.

And sampling, timed against ``generate``.
"""

from __future__ import annotations

import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_setup import MODELS, Setup, batches_of, memory, synchronize
from benchmarks.train_sides import SEED, Job, optim_of
from judgekit.kernels import no_cudnn_attention

SHORT: dict[str, Any] = {"num_hidden_layers": 2, "max_position_embeddings": 131072}
LENGTHS_SECONDS = 40.0
"""No further length is tried after this."""


def guarded(part: Callable[[], Any]) -> Any:
    """What a part found, or why it failed."""
    try:
        return part()
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"[:400]}


def attention(setup: Setup) -> Iterator[dict[str, Any]]:
    """Losses and gradients of one packed batch under each attention, in both precisions."""
    from judgekit.training.attention import choose_attention

    device = torch.device(setup.device)
    other = "flex" if setup.device == "cuda" else "tree"
    yield {"auto": {str(size): choose_attention("auto", device, size) for size in (1024, 4096)}}
    with no_cudnn_attention():
        for name, dtype in (("layers", "bfloat16"), ("layers", "float32"), ("small", "float32"), ("small", "bfloat16")):
            yield {f"{name}_{dtype}": guarded(partial(_agreement, setup, name, dtype, ("sdpa", other)))}
            if (name, dtype) == ("layers", "float32"):
                yield {"lengths": guarded(partial(_many_lengths, setup, other))}


def _agreement(setup: Setup, name: str, dtype: str, kinds: Sequence[str]) -> dict[str, Any]:
    """Mean loss of a batch's completions, its gradient at the embeddings and the time of both passes.

    :param name: ``small``, or ``layers``: a few of an 8B model's
    """
    packed = _packs(setup)[0]
    figures: dict[str, Any] = {"tokens": len(packed.ids)}
    slopes = {}
    for kind in kinds:
        model = _model(setup, name, dtype, kind)
        passes = partial(_loss_and_slope, model, packed, setup.device)
        began = time.perf_counter()
        loss, slopes[kind] = passes()
        first = time.perf_counter() - began
        times = []
        for _ in range(5):
            began = time.perf_counter()
            passes()
            times.append(time.perf_counter() - began)
        median = round(statistics.median(times), 4)
        figures[kind] = {"loss": loss, "first_seconds": round(first, 2), "seconds": median}
        del model
    one, other = (figures[kind]["loss"] for kind in kinds)
    difference = (slopes[kinds[0]] - slopes[kinds[1]]).norm() / slopes[kinds[0]].norm()
    return figures | {"loss_difference": abs(one - other), "gradient_difference": float(difference)}


def _model(setup: Setup, name: str, dtype: str, kind: str) -> Any:
    from transformers import AutoModelForCausalLM, LlamaConfig

    from judgekit.training.attention import choose_attention

    names = {"attn_implementation": choose_attention(kind, torch.device(setup.device), 4096)}
    precision = getattr(torch, dtype)
    model: Any
    if name == "small":
        model = AutoModelForCausalLM.from_pretrained(setup.small, dtype=precision, **names)
        model.to(setup.device)
    else:
        config = LlamaConfig(**MODELS["tiny" if setup.tiny else "llama-3.1-8b"] | SHORT)
        torch.manual_seed(SEED)
        with torch.device(setup.device):
            model = AutoModelForCausalLM.from_config(config, dtype=precision, **names)  # type: ignore[no-untyped-call]
    model.requires_grad_(False)
    model.get_input_embeddings().weight.requires_grad_()
    return model.train()


def _loss_and_slope(model: Any, packed: Any, device: str) -> tuple[float, torch.Tensor]:
    from judgekit.training.logprobs import token_logps

    weight = model.get_input_embeddings().weight
    weight.grad = None
    loss = -token_logps(model, packed, torch.device(device)).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    synchronize()
    return loss.item(), weight.grad.float().flatten()[: 2**24].clone()


def _packs(setup: Setup, max_tokens: int = 4096) -> list[Any]:
    from judgekit.training.batches import pack

    return [found for batch in batches_of(setup.job("dpo", setup.small)) for found in pack(batch, max_tokens)]


def _many_lengths(setup: Setup, kind: str) -> dict[str, Any]:
    """Seconds of a step for packed sequences of many lengths: none may wait for a compiler again and again."""
    packs = {len(found.ids): found for size in (1200, 2048, 4096) for found in _packs(setup, size)}
    model = _model(setup, "layers", "bfloat16", kind)
    times: list[tuple[int, float]] = []
    started = time.perf_counter()
    for length in list(packs)[:24]:
        if time.perf_counter() - started > LENGTHS_SECONDS:
            break
        began = time.perf_counter()
        _loss_and_slope(model, packs[length], setup.device)
        times.append((length, round(time.perf_counter() - began, 3)))
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    return {"seconds_by_length": times, "graphs": graphs}


def resume(setup: Setup) -> Iterator[dict[str, Any]]:
    """Training of a small model that is killed halfway and goes on, against one that is not killed."""
    kinds: dict[str, dict[str, Any]] = {
        "dpo_lora": {"task": "dpo"},
        "dpo_lora_short": {"task": "dpo", "max_tokens": 1500},
        "dpo_lora_checkpointing": {"task": "dpo", "gradient_checkpointing": True},
        "sft_full": {"task": "sft", "adapter": "full", "gradient_checkpointing": True},
        "sft_dora": {"task": "sft", "adapter": "dora"},
        "sft_dropout": {"task": "sft", "lora_dropout": 0.1},
    }
    for name, settings in kinds.items():
        yield {name: guarded(partial(_resume, setup, **settings))}


class _KilledError(Exception):
    """Ends a training between two checkpoints."""


def _resume(setup: Setup, task: str, **settings: Any) -> dict[str, Any]:
    job = replace(setup.job(task, setup.small), settings=settings)
    with tempfile.TemporaryDirectory(dir=job.folder) as scratch:
        whole, again, repeat = Path(scratch, "whole"), Path(scratch, "again"), Path(scratch, "repeat")
        began = time.perf_counter()
        losses = _train(job, whole)
        seconds = time.perf_counter() - began
        try:
            _train(job, again, killed_at=3)
        except _KilledError:
            pass
        else:
            raise AssertionError("was not killed")
        later = _train(job, again)
        _train(job, repeat)
        return {
            "losses": losses,
            "seconds": round(seconds, 2),
            "first_loss_minus_ln2": losses[0] - math.log(2) if task == "dpo" else None,
            "resumed_steps": len(later),
            "difference_of_resumed": _difference(whole, again),
            "difference_of_repeated": _difference(whole, repeat),
        }


def _train(job: Job, folder: Path, killed_at: int | None = None) -> list[float]:
    from judgekit.losses.dpo import DpoLoss
    from judgekit.schema.trainer import TrainerConfig
    from judgekit.training.trainer import train
    from judgekit.weights import Weights

    losses: list[float] = []

    def watch(step: int, series: dict[str, float]) -> None:
        losses.append(series["loss"])
        if step == killed_at:
            raise _KilledError

    optim = replace(optim_of(job), max_steps=4, checkpoint_every=2)
    trainer = TrainerConfig(**job.settings)
    train("sft" if job.shape.task == "sft" else "dpo", Path(job.folder, "rows.jsonl"), Weights(Path(job.base)),
          folder / "judge", folder / "work", optim, DpoLoss(), trainer, SEED, "bench", watch,
          dtype="bfloat16")  # fmt: skip
    return losses


def _difference(one: Path, other: Path) -> float:
    """Largest difference of any weight of two trained judges."""
    from safetensors.torch import load_file

    (path,) = (one / "judge").glob("*.safetensors")
    left, right = load_file(path), load_file(other / "judge" / path.name)
    return max(float((left[name].float() - right[name].float()).abs().max()) for name in left)


def judge(setup: Setup) -> dict[str, Any]:
    """Greedy judgments of the seed model in fp32: how many texts are those computed elsewhere."""
    from transformers import AutoTokenizer

    from benchmarks.sample import pairs_of, work
    from judgekit.samplers.hf import HfConfig
    from judgekit.sampling.hf import HfSampler
    from judgekit.schema.models import ModelConfig
    from judgekit.weights import Weights

    tokenizer = AutoTokenizer.from_pretrained(setup.seed)
    pairs, tokens = (1, 8) if setup.tiny else (8, 64)
    phases = work(pairs_of(pairs, None), tokenizer, tokens, SEED)
    greedy = replace(phases[1][0].params, temperature=0.0, top_p=1.0)
    requests = [replace(request, params=greedy, samples=(0,)) for request in phases[1]]
    sampler = HfSampler(Weights(setup.seed), ModelConfig(dtype="float32"), HfConfig(device=setup.device))
    batches = sampler.plan(requests)
    texts = {
        requests[index].id: made.text  # type: ignore[union-attr]
        for finished in sampler.stream(requests, iter(batches))
        for (index, _), made in finished
    }
    if setup.texts is None:
        return {"texts": len(texts), "distinct": len(set(texts.values()))}
    if not setup.texts.exists():
        setup.texts.write_text(json.dumps(texts, indent=1), encoding="utf-8")
    expected = json.loads(setup.texts.read_text(encoding="utf-8"))
    equal = sum(expected[name] == text for name, text in texts.items())
    return {"texts": len(texts), "distinct": len(set(texts.values())), "equal": equal}


def sample(setup: Setup) -> Iterator[dict[str, Any]]:
    """``sampler=hf`` on an 8B model against plain ``generate`` at several batch sizes."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from benchmarks.sample import pairs_of, through_generate, through_judgekit, work
    from judgekit.samplers.hf import HfConfig
    from judgekit.sampling.hf import HfSampler
    from judgekit.schema.models import ModelConfig
    from judgekit.weights import Weights

    base = setup.model("llama-3.1-8b")
    tokenizer = AutoTokenizer.from_pretrained(base)
    instructions, new_tokens = (2, 8) if setup.tiny else (16, 64)
    phases = work(pairs_of(instructions, None), tokenizer, new_tokens, SEED)
    sizes = (4, 8) if setup.tiny else (64, 256)
    model_config = ModelConfig(dtype="bfloat16")
    found: dict[str, Any] = {
        "samples": sum(len(request.samples) for phase in phases for request in phase),
        "mean_prompt_tokens": round(statistics.mean(len(request.prompt_ids) for request in phases[1])),
        "judgekit": {},
        "generate": {},
    }
    sampler = HfSampler(Weights(base), model_config, HfConfig(device=setup.device))
    through_judgekit(sampler, [phases[0][:2]])  # loads
    for size in sizes:
        sampler.config = HfConfig(device=setup.device, batch_size=size, batch_tokens=2**18)
        seconds, tokens = through_judgekit(sampler, phases)
        found["judgekit"][str(size)] = round(tokens / seconds, 1)
    found |= memory()
    yield found
    sampler.close()
    plain: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    plain.eval().to(setup.device)
    with no_cudnn_attention():
        for size in reversed(sizes):
            seconds, tokens = through_generate(plain, tokenizer, phases, size)
            found["generate"][str(size)] = round(tokens / seconds, 1)
            yield found
    found["ratio"] = round(max(found["judgekit"].values()) / max(found["generate"].values()), 2)
    yield found
