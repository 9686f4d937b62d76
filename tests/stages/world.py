"""A run without a model: replies and weights that are digests of everything they may depend on.

Sampling and training are replaced at their own interfaces, so that whatever a stage hands them shows in what comes
out. Two runs that differ in anything that matters then differ in their files.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from safetensors.numpy import save_file

from judgekit.prompts.pandalm import PandaLM, PandaLMPrompt, Parts
from judgekit.randomness import digest, pick
from judgekit.sampling.base import Generation, Request, Sampler
from judgekit.schema.composition import Composer
from judgekit.schema.config import RunConfig
from judgekit.schema.fields import allowed
from judgekit.store import file_digest
from judgekit.training.training_job import decisive
from judgekit.weights import Weights
from tests.helpers import ScriptedSampler

SIZES = [
    "model.dtype=float32", "model.max_length=4096", "data.first_round=6", "data.held_out=2", "data.validation=2",
    "data.sources.constraints.count=40", "benchmark.llmbar=null", "benchmark.starter.limit=null",
]  # fmt: skip
RUNS: dict[str, list[str]] = {
    "evalplanner": ["experiment=demo", "data.first_round=8", "data.second_round=8", "recipe.plans=3",
                    "recipe.executions=4", "data.sources.starter=null", "data.sources.maths=null",
                    "recipe.warm_start.examples=2", "recipe.validate=true", "recipe.pairs_per_instruction=2"],
    "self_taught": ["experiment=self_taught_demo", "loss=dpo", "data.sources.starter=null", "recipe.votes=3",
                    "recipe.warm_start.examples=2", "recipe.validate=true", "recipe.negative_temperature=1.0"],
    "self_rewarding": ["experiment=self_rewarding_demo", "recipe.warm_start.examples=2", "recipe.rankings=0",
                       "recipe.min_valid=1"],
    "meta_rewarding": ["experiment=meta_rewarding_demo", "recipe.warm_start.examples=2", "recipe.rankings=0",
                       "recipe.min_valid=1", "recipe.seed_data.ift=false", "recipe.meta.collapse.stop=false"],
    "pandalm": ["experiment=pandalm_demo", "recipe.warm_start.examples=3", "recipe.tuning.examples=2",
                "teacher.max_failed=1.0", "teacher.verdict=free", "bias.drop_conflicting=false"],
    "judgelm": ["experiment=judgelm_demo", "recipe.warm_start.examples=2", "teacher.max_failed=1.0"],
    "critiquellm": ["experiment=critiquellm_demo", "recipe.stand_in.examples=2", "teacher.max_failed=1.0"],
}  # fmt: skip
"""A run of every recipe that uses most of what it can."""

PANDA = PandaLM(PandaLMPrompt(style="teacher_brief"))
REPLIES: dict[str, tuple[str, ...]] = {
    "evalplanner": ("Fine. [[A]]", "Hm. [[B]]", "[[A]] or [[B]]", "Look at it."),
    "self_taught": ("Fine. [[A]]", "Hm. [[B]]", "Better: [[A]]", "No idea."),
    "self_rewarding": ("Good.\nScore: 4", "Bad.\nScore: 1", "So so.\nScore: 3", "Hm."),
    "meta_rewarding": ("Good.\nScore: 4", "Score: 1\nWinner: Judgement A", "Score: 2\nWinner: Judgement B", "Hm."),
    "pandalm": (*(PANDA.target(Parts(verdict, "so", "this")) for verdict in ("A", "B")), "1\n\n### Reason: so", "Tie"),
    "judgelm": ("8 3\nbecause", "2 9\nbecause so", "7 7\nalike", "Hm."),
    "critiquellm": ("{'Overall score': 8}", "{'Overall score': 2}", "Fine. {'Better answer': 'answer 1'}", "Hm."),
}


def config_of(recipe: str, tiny: Path, store: Path) -> RunConfig:
    """The run of a recipe."""
    overrides = [*SIZES, *RUNS[recipe], f"model.path={tiny}", f"store={store}"]
    if recipe == "judgelm":
        overrides.remove("benchmark.llmbar=null")
    config = Composer().job(overrides).config
    assert isinstance(config, RunConfig)
    return config


def speak(recipe: str) -> Callable[[Weights], Sampler]:
    """Replies that depend on weights, prompt, decoding and number, and on nothing else."""

    class Speaker(ScriptedSampler):
        def __init__(self, weights: Weights) -> None:
            super().__init__()
            self.weights = weights.digest

        def _generate(self, request: Request, sample: int, mark: str) -> Generation:
            key = digest([self.weights, list(request.prompt_ids), asdict(request.params), sample])
            if request.params.choices:
                text = pick(request.params.choices, key)
                odds = {choice: 0.9 if choice == text else 0.1 for choice in request.params.choices}
                return Generation(text, tuple(text.encode()), "eos", len(request.prompt_ids), choice_probs=odds)
            text = f"{key[:4]} {pick(REPLIES[recipe], key)}"
            text = pick(REPLIES[recipe], key) if recipe in ("pandalm", "judgelm") else text
            cut = len(text) > request.params.max_new_tokens
            shown = text[: request.params.max_new_tokens]
            finish: Literal["length", "stop", "eos"] = "length" if cut else "stop" if request.params.stop else "eos"
            return Generation(shown, tuple(shown.encode()), finish, len(request.prompt_ids))

    return Speaker


def train_by_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put digests of all they are given in the place of training and of reference log-probabilities."""
    from judgekit.training import trainer

    def train(
        task: str, rows_file: Path, start: Weights, output: Path, work: Path, optim: Any, loss: Any, settings: Any,
        seed: int, stage: str, on_step: Any, on_checkpoint: Any = None, reference_file: Path | None = None,
        reference: Weights | None = None, dtype: str = "auto", template: Any = None,
        stop_at: float | None = None, on_plan: Any = None,
    ) -> trainer.TrainResult:  # fmt: skip
        parts = [task, file_digest(rows_file), start.digest, asdict(optim), asdict(loss), decisive(settings), seed,
                 stage, dtype, template, stop_at, reference.digest if reference else None,
                 file_digest(reference_file) if reference_file else None]  # fmt: skip
        on_plan(1, 0)
        _write(output, digest(parts, 64))
        scores = {1: float(on_checkpoint(1, output))} if on_checkpoint is not None else {}
        _write(output, told := digest([*parts, scores], 64))
        on_step(1, {"loss": int(told[:6], 16) / 1e6})
        return trainer.TrainResult(1, 1, 1, 1, {}, 1, 0.0, 0.0, scores)

    def compute_reference(
        rows_file: Path, start: Weights, output: Path, work: Path, optim: Any, settings: Any, seed: int, stage: str,
        dtype: str = "auto", template: Any = None,
    ) -> int:  # fmt: skip
        parts = [file_digest(rows_file), start.digest, optim.batch_size, optim.max_steps, decisive(settings), dtype,
                 template]  # fmt: skip
        output.write_text(digest(parts, 64))
        return 1

    monkeypatch.setattr(trainer, "train", train)
    monkeypatch.setattr(trainer, "compute_reference", compute_reference)


def _write(folder: Path, told: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"w": np.frombuffer(bytes.fromhex(told), dtype=np.uint8)}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 1}))


def leaves(section: Any, place: str = "") -> Iterator[tuple[str, Any, dataclasses.Field[Any]]]:
    """(dotted key, type, field) of every value of a configuration."""
    hints = get_type_hints(type(section))
    for field in fields(section):
        value, key = getattr(section, field.name), f"{place}{field.name}"
        if is_dataclass(value):
            yield from leaves(value, f"{key}.")
        elif isinstance(value, dict) and value and all(is_dataclass(item) for item in value.values()):
            for name, item in value.items():
                yield from leaves(item, f"{key}.{name}.")
        else:
            yield key, hints[field.name], field


def changed(config: Any, key: str, value: Any) -> Any:
    """The configuration with one value changed."""
    name, _, rest = key.partition(".")
    held = config[name] if isinstance(config, dict) else getattr(config, name)
    new = changed(held, rest, value) if rest else value
    return config | {name: new} if isinstance(config, dict) else replace(config, **{name: new})


def value_of(config: Any, key: str) -> Any:
    """The value of a dotted key."""
    for part in key.split("."):
        config = config[part] if isinstance(config, dict) else getattr(config, part)
    return config


def others(hint: Any, field: dataclasses.Field[Any], value: Any) -> list[Any]:
    """Other values a field may have, by its type and range."""
    options = [item for item in get_args(hint) if item is not type(None)]
    kind = options[0] if type(None) in get_args(hint) and get_origin(hint) is not Literal and options else hint
    if get_origin(kind) is Literal:
        return [option for option in get_args(kind) if option != value]
    if kind is bool:
        return [not value]
    if kind in (int, float):
        limits = allowed(field)
        held = value if value is not None else 0.5 if kind is float else 1
        tried = [held + 1, held - 1, held * 2] if kind is int else [held * 0.9 + 0.01, held * 0.5, held + 0.07]
        return [new for new in tried if _within(new, limits) and new != value] or ([None] if value is not None else [])
    if kind is str:
        return [f"{value or ''}x"]
    if get_origin(kind) is tuple and value:
        return [value[:-1]] if Ellipsis in get_args(kind) else [tuple(item * 0.9 for item in value)]
    return []


def _within(value: float, limits: Any) -> bool:
    return (
        (limits.ge is None or value >= limits.ge) and (limits.gt is None or value > limits.gt)
        and (limits.le is None or value <= limits.le) and (limits.lt is None or value < limits.lt)
    )  # fmt: skip
