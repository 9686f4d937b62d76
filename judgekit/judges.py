"""Judges: what a configuration names, made ready to be asked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

import yaml

from judgekit.errors import ConfigError, DataError, ModelError, Problem
from judgekit.models import check_folder, obtain
from judgekit.prompts.base import PROMPTS, PairProtocol, PointProtocol, PromptConfig
from judgekit.prompts.shown import without_thoughts
from judgekit.prompts.wording import for_weights
from judgekit.registry import known_fields
from judgekit.run_folder import JUDGE_FILE, RunFolder, judge_folder
from judgekit.samplers.base import SamplerConfig
from judgekit.sampling.backends import MakeSampler, text_sampler, used_digest
from judgekit.sampling.base import Progress, SamplingParams
from judgekit.sampling.text import TextSampler
from judgekit.schema.judges import JudgeConfig
from judgekit.schema.models import ModelConfig
from judgekit.store import Workspace
from judgekit.weights import Weights

Row = TypeVar("Row")

LONGEST_CONTEXT = 8192
"""Context in tokens given to a model folder whose configuration names none or a longer one."""
KINDS = (
    "A judge is the folder of a finished run (it holds judge/judge.yaml), an adapter (adapter_config.json), "
    "a whole model (config.json with *.safetensors), a model of the hub (ORGANISATION/NAME@COMMIT), "
    "a name under conf/model or conf/judge, or with sampler=openai a server's model"
)

COMMIT = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True, slots=True)
class FoundJudge:
    """What a configuration names, as far as files tell without loading anything.

    :param model: base model, None for a server's model
    :param trained: folder of an adapter on the base, or of a whole model that takes its place; None: the base itself
    :param prompt: the protocol it brings, None where it brings none; how it decodes likewise
    """

    name: str | None
    model: ModelConfig | None
    trained: Path | None = None
    prompt: PromptConfig | None = None
    tokens: int | None = None
    verdict: Literal["free", "constrained"] | None = None
    beams: int | None = None
    repetition_penalty: float | None = None
    strip_thoughts: bool = False
    thinking_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Decoding:
    """How a judge's greedy judgments are decoded.

    :param tokens: longest judgment
    :param verdict: ``constrained``: chosen among the protocol's verdict tokens
    :param strip_thoughts: responses are shown without what their authors thought first
    """

    tokens: int
    verdict: Literal["free", "constrained"]
    beams: int
    repetition_penalty: float
    strip_thoughts: bool = False

    @property
    def constrained(self) -> bool:
        """Whether verdicts are chosen."""
        return self.verdict == "constrained"

    @property
    def greedy(self) -> SamplingParams:
        """One judgment."""
        return SamplingParams(0.0, 1.0, self.tokens, beams=self.beams, repetition_penalty=self.repetition_penalty)

    def drawn(self, temperature: float, top_p: float, seed: int) -> SamplingParams:
        """One of several judgments, which needs no beams."""
        return SamplingParams(temperature, top_p, self.tokens, seed=seed, repetition_penalty=self.repetition_penalty)

    def shown(self, rows: Sequence[Row], workspace: Workspace | None = None) -> Sequence[Row]:
        """The rows as the judge sees them; the workspace is told how many thoughts were taken out of responses."""
        if not self.strip_thoughts:
            return rows
        made, count = without_thoughts(rows)
        if workspace is not None:
            workspace.count(thoughts_removed=count)
        return made

    def by(self, sampler: SamplerConfig) -> SamplerConfig:
        """A back end that decodes so; its ``problems`` say what it has not got."""
        return replace(
            sampler, judge_tokens=self.tokens, verdict=self.verdict, beams=self.beams,
            repetition_penalty=self.repetition_penalty,
        )  # fmt: skip


def thinking_as(found: FoundJudge | None, sampler: SamplerConfig) -> SamplerConfig:
    """A back end with the budget for thoughts of the run that a judge comes from, unless it has one of its own."""
    if found is None or found.thinking_tokens is None or sampler.thinking_tokens is not None:
        return sampler
    return replace(sampler, thinking_tokens=found.thinking_tokens)


def decoding_of(judge: JudgeConfig, found: FoundJudge | None, sampler: SamplerConfig) -> Decoding:
    """What the judge's configuration says, otherwise the run it comes from, otherwise the sampler."""
    run = found or FoundJudge(None, None)
    return Decoding(
        judge.tokens or run.tokens or sampler.judge_tokens,
        judge.verdict or run.verdict or sampler.verdict,
        judge.beams or run.beams or sampler.beams,
        judge.repetition_penalty or run.repetition_penalty or sampler.repetition_penalty,
    )


@dataclass(frozen=True, slots=True)
class OpenJudge:
    """A judge ready to be asked.

    :param name: name in reports and file names
    :param ask: the model
    :param digest: weights as used, or what a server tells of its model
    """

    name: str
    ask: TextSampler
    protocol: PairProtocol | PointProtocol
    prompt: PromptConfig
    decoding: Decoding
    digest: str


@contextmanager
def open_judge(
    judge: JudgeConfig,
    sampler: SamplerConfig,
    prompt: PromptConfig | None,
    store: Path,
    progress: Callable[[str], Progress] | None = None,
    make_sampler: MakeSampler | None = None,
) -> Iterator[OpenJudge]:
    """Make a judge ready, and give its memory and connections back at the end. Weights are loaded when it is asked.

    :param prompt: protocol; None: the one a run's judge brings
    :param store: root of the store that keeps its replies
    :param make_sampler: builds the back end for some weights; None: the configured one
    :raises ConfigError: a judge that cannot be asked so
    :raises ModelError: not a judge, or its weights cannot be had
    """
    found = find_judge(judge, sampler)
    asked = prompt_of(found, prompt)
    if asked is None:
        raise ConfigError([needs_prompt(judge)])
    kept = judge.strip_thoughts
    stripping = bool(found and found.strip_thoughts) if kept is None else kept
    sampler = thinking_as(found, sampler)
    decoding = replace(decoding_of(judge, found, sampler), strip_thoughts=stripping)
    problems = [problem.under("judge") for problem in decoding.by(sampler).beyond]
    problems += [problem.under("prompt" if prompt else "judge.prompt") for problem in asked.problems()]
    if problems:
        raise ConfigError(problems)
    text, digest = _asked(found, sampler, store, progress, make_sampler)
    try:
        yield OpenJudge(
            name=plain_name(found.name or text.served or "judge"),
            ask=text,
            protocol=asked.protocol,
            prompt=asked,
            decoding=decoding,
            digest=digest,
        )
    finally:
        text.close()


def prompt_of(found: FoundJudge, prompt: PromptConfig | None) -> PromptConfig | None:
    """The protocol a judge is asked with, released weights in their release's words; None where it brings none.

    :param prompt: in place of its own
    """
    asked = prompt or found.prompt
    if asked is None or found.model is None or found.trained is not None:
        return asked
    return for_weights(asked, found.model.hub_id)


def _asked(
    found: FoundJudge, sampler: SamplerConfig, store: Path, progress: Callable[[str], Progress] | None,
    make_sampler: MakeSampler | None,
) -> tuple[TextSampler, str]:  # fmt: skip
    """The model of a judge and the digest its replies are kept under."""
    if found.model is None:
        text = sampler.serve(store, progress)
        return text, text.cache.weights_digest
    weights = judge_weights(found)
    text = text_sampler(weights, found.model, sampler, store, progress, make_sampler)
    return text, used_digest(weights, found.model, sampler)


def judge_weights(found: FoundJudge) -> Weights:
    """Files of a judge that is no server's model; its base is fetched where that is needed.

    :raises ModelError: they cannot be had
    """
    assert found.model is not None
    if found.trained is None:
        return Weights(obtain(found.model))
    if (found.trained / "adapter_config.json").exists():
        return Weights(obtain(found.model), found.trained)
    return Weights(check_folder(found.trained))


def find_judge(judge: JudgeConfig, sampler: SamplerConfig) -> FoundJudge:
    """What a configuration names. Reads small files only, fetches and loads nothing.

    :raises ModelError: it names nothing, or something that is no judge; the message says what judges look like
    :raises ConfigError: weights together with a server
    """
    named = judge.path or judge.hub or (judge.model.name if judge.model is not None else None)
    if not sampler.takes_weights:
        if named is not None:
            message = f"sampler={sampler.name} asks a server's own model, and {named} was given too"
            raise ConfigError([Problem("judge", message, "Leave one of them out")])
        return FoundJudge(judge.name, None, prompt=judge.prompt)
    found = _named(judge)
    assert found.model is not None
    model = replace(
        found.model,
        dtype=judge.dtype or found.model.dtype,
        max_length=judge.max_length or found.model.max_length,
    )
    return replace(found, name=judge.name or found.name, model=model, prompt=judge.prompt or found.prompt)


def _named(judge: JudgeConfig) -> FoundJudge:
    if judge.path is not None:
        return _in_folder(Path(judge.path), judge)
    if judge.hub is not None:
        hub_id, _, commit = judge.hub.partition("@")
        if not COMMIT.fullmatch(commit):
            raise ModelError(f"judge.hub={judge.hub} does not name a commit. Write {hub_id}@COMMIT.")
        name = hub_id.rpartition("/")[2]
        return FoundJudge(name, ModelConfig(name=name, hub_id=hub_id, revision=commit))
    if judge.model is not None:
        return FoundJudge(judge.model.name, judge.model)
    raise ModelError(f"No judge is named: give judge=. {KINDS}.")


def _in_folder(folder: Path, judge: JudgeConfig) -> FoundJudge:
    if (left := judge_folder(folder)) is not None:
        return _left_by_run(left, judge)
    if (folder / "adapter_config.json").is_file():
        return FoundJudge(_name(folder), judge.model or _base_of(folder), folder)
    if (folder / "config.json").is_file():
        return FoundJudge(_name(folder), _whole(check_folder(folder)))
    if RunFolder(folder).manifest.is_file():
        raise ModelError(f"{folder} is a run that has left no judge: give its command again to finish it. {KINDS}.")
    raise ModelError(f"{folder} is not a judge{'' if folder.is_dir() else ': there is no such folder'}. {KINDS}.")


def _left_by_run(folder: Path, judge: JudgeConfig) -> FoundJudge:
    """The judge a run left, with its protocol and decoding.

    :raises DataError: its description cannot be used
    """
    file = folder / JUDGE_FILE
    try:
        held = yaml.safe_load(file.read_text(encoding="utf-8"))
        decoding = held["decoding"]
        trained = folder if any(folder.glob("*.safetensors")) else None
        base = judge.model or known_fields(ModelConfig, held["base_model"])
        prompt = PROMPTS.read(held["protocol"])
        return FoundJudge(
            str(held["judge"]), base, trained, prompt, int(decoding["max_new_tokens"]), decoding["verdict"],
            decoding.get("beams"), decoding.get("repetition_penalty"), decoding.get("strip_thoughts", False),
            decoding.get("thinking_tokens"),
        )  # fmt: skip
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        message = f"does not describe a judge ({type(error).__name__}: {error}). Give the run's command again"
        raise DataError(message, file=file) from error


def _base_of(adapter: Path) -> ModelConfig:
    """The base model an adapter names: a folder, or a model of the hub with its commit.

    :raises ModelError: it names none that can be had
    """
    file = adapter / "adapter_config.json"
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        base, revision = held.get("base_model_name_or_path"), held.get("revision")
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{file} cannot be read as an adapter's configuration: {error}.") from error
    if isinstance(base, str) and Path(base).is_dir():
        return _whole(check_folder(Path(base)))
    if isinstance(base, str) and isinstance(revision, str) and COMMIT.fullmatch(revision):
        return ModelConfig(name=base.rpartition("/")[2], hub_id=base, revision=revision)
    raise ModelError(
        f"{file} names as its base {base!r}, which is no folder here and has no commit. Give the base with "
        f"model@judge.model=NAME (and judge.model.path=FOLDER where it lies elsewhere)."
    )


def _whole(folder: Path) -> ModelConfig:
    """A model folder as configuration; no longer context than its own."""
    held = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    own = held.get("max_position_embeddings")
    length = min(own, LONGEST_CONTEXT) if isinstance(own, int) and own >= 64 else LONGEST_CONTEXT
    return ModelConfig(name=_name(folder), path=str(folder), max_length=length)


def _name(folder: Path) -> str:
    return folder.absolute().name


def starter_pairs(judge: JudgeConfig) -> Path | None:
    """The held-out pairs of the run a judge comes from, None where it comes from none that has any."""
    if judge.path is None:
        return None
    places = (Path(judge.path), Path(judge.path).absolute().parent)
    files = (RunFolder(folder).pairs("starter") for folder in places)
    return next((file for file in files if file.is_file()), None)


def plain_name(name: str) -> str:
    """A name as it can stand in file names and in ``eval/JUDGE/BENCHMARK/METRIC``."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-_") or "judge"


def needs_prompt(judge: JudgeConfig) -> Problem:
    """The mistake of asking a judge that brings no protocol without one."""
    message = f"{judge.path or judge.hub or 'this judge'} does not say how it is asked"
    return Problem("prompt", message, "Add prompt=pairwise, or prompt=rating for scores")
