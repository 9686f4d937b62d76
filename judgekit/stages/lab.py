"""The context a recipe works in: store, models, samplers, trainer and records.

A recipe describes its stages once. While planning (``judgekit check``) ``make`` builds nothing and only collects what
would run; otherwise it finds each stage in the store or builds it.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from judgekit.costs import PlannedStage
from judgekit.models import find, obtain
from judgekit.prompts.base import PairProtocol, PointProtocol, PromptConfig
from judgekit.randomness import digest
from judgekit.samplers.base import SamplerConfig
from judgekit.samplers.openai import OpenAIConfig
from judgekit.samplers.vllm import VllmConfig
from judgekit.sampling.backends import hand_over, text_sampler, used_digest
from judgekit.sampling.base import Sampler
from judgekit.sampling.session import Shard
from judgekit.sampling.text import TextSampler
from judgekit.schema.config import RunConfig
from judgekit.schema.evaluation import EvalConfig
from judgekit.schema.models import ModelConfig
from judgekit.stages.models import Judge, Model, Origin
from judgekit.stages.stage import UNKNOWN, Digest, Key, Made, Stage, key_of
from judgekit.stages.watched import Watched, filled
from judgekit.store import Store, Workspace
from judgekit.tracking.progress import ProgressDisplay
from judgekit.tracking.record import RunRecord
from judgekit.weights import Weights

log = logging.getLogger(__name__)

S = TypeVar("S", bound=Stage)
Section = TypeVar("Section")


C = TypeVar("C", RunConfig, EvalConfig)


class Maker(Generic[C]):
    """Makes stages: finds each in the store, or builds it; while planning it only notes what would run.

    :ivar config: the configuration, watched: what is looked at, and what stages read, is in ``seen``
    :ivar planned: while planning, the stages in order
    """

    def __init__(self, config: C, record: RunRecord | None, progress: ProgressDisplay | None = None) -> None:
        """Prepare; nothing is fetched or loaded.

        :param record: where the run's records go; None while planning
        :param progress: shows sampling and training
        """
        self.seen: set[str] = set()
        self.config: C = cast(Any, Watched(config, "", self.seen))
        self.store = Store(Path(config.store))
        self.planned: list[PlannedStage] = []
        self.progress = progress
        self.shard: Shard | None = None
        self._config: C = config
        self._record = record
        self._strict = isinstance(config, RunConfig) and config.trainer.strict

    @property
    def planning(self) -> bool:
        """Whether stages are only planned."""
        return self._record is None

    @property
    def record(self) -> RunRecord:
        """Where the run's records go."""
        assert self._record is not None, "nothing is recorded while planning"
        return self._record

    def use(self, section: Section) -> Section:
        """A watched section as it is, noted as looked at in all its fields."""
        return filled(section, self._config, self.seen)

    def make(self, stage: S) -> Made[S]:
        """A stage, filled in from the configuration: found in the store, or built and recorded."""
        reads: set[str] = set()
        stage = filled(stage, self._config, reads)
        self.seen |= reads
        key, name = key_of(stage, strict=self._strict), stage.name
        if self.planning:
            return self._plan(stage, key, tuple(sorted(reads)))
        self.record.begin(name)
        if stage.cost.generations and self._config.sampler.shard is not None:
            if not self.store.has(name, stage.version, key.config, key.inputs):
                self._draw_part(stage.build)
        artifact = self.store.stage(name, stage.version, key.config, key.inputs, stage.build, key.record)
        self.record.stage(name, artifact)
        return Made(artifact.digest, artifact)

    def _plan(self, stage: S, key: Key, reads: tuple[str, ...]) -> Made[S]:
        digest = self.store.digest_of(stage.name, stage.version, key.config, key.inputs)
        stored = key.known and self.store.has(stage.name, stage.version, key.config, key.inputs)
        cost = stage.cost
        tokens = cost.tokens + cost.generations * _thinking(stage)
        self.planned.append(PlannedStage(stage.name, cost.generations, tokens, stored, cost.note, digest, reads))
        return Made(digest)

    def _draw_part(self, build: Callable[[Workspace], None]) -> None:
        """Draw this shard's part of a stage into the cache, from which the whole stage is then built as usual.

        Shards work side by side, so this happens outside the stage's lock and its output is thrown away.
        """
        sampler = self._config.sampler
        assert sampler.shard is not None
        self.shard = Shard(sampler.shard, sampler.shards, sampler.shard_wait)
        try:
            with tempfile.TemporaryDirectory(prefix="judgekit-shard-") as folder:
                build(Workspace(Path(folder)))
        finally:
            self.shard = None


class Lab(Maker[RunConfig]):
    """Everything a recipe needs beyond its own logic."""

    def __init__(
        self,
        config: RunConfig,
        record: RunRecord | None,
        make_sampler: Callable[[Weights], Sampler] | None = None,
        progress: ProgressDisplay | None = None,
    ) -> None:
        """Prepare as ``Maker`` does.

        :param make_sampler: builds the back end for some weights
        """
        super().__init__(config, record, progress)
        self._make_sampler = make_sampler
        self._held: tuple[str, TextSampler] | None = None
        self._base: Path | None = None

    def recipe(self, kind: type[Section]) -> Section:
        """The recipe's section, known to be of its kind."""
        assert isinstance(self._config.recipe, kind)
        return cast(Section, self.config.recipe)

    def prompt(self, kind: type[Section]) -> Section:
        """The protocol's section, known to be of its kind because configurations are checked for it."""
        assert isinstance(self._config.prompt, kind)
        self.seen.add("prompt")
        return self._config.prompt

    @property
    def protocol_config(self) -> PromptConfig:
        """The protocol's section."""
        self.seen.add("prompt")
        return self._config.prompt

    @property
    def protocol(self) -> PairProtocol | PointProtocol:
        """The protocol judges are asked with."""
        return self.protocol_config.protocol

    @property
    def sampler(self) -> SamplerConfig:
        """The run's back end."""
        self.seen |= {"sampler.name", "sampler.options", "sampler.thinking_tokens"}
        return self._config.sampler

    def base(self) -> Path:
        """Folder of the seed model, fetched on first use."""
        if self._base is None:
            self._base = obtain(self._config.model)
        return self._base

    @property
    def seed(self) -> Judge:
        """The seed model as it is."""
        return Judge("seed", self.origin(None, lambda: Weights(self.base())))

    def origin(self, model: ModelConfig | None, fetch: Callable[[], Weights]) -> Origin:
        """Weights from outside the store, named by the digest of their files.

        :param model: what they are, or what they adapt; None: the seed
        :param fetch: gives them
        """
        if self.planning and find(self.use(model) or self._config.model) is None:
            return Origin(Digest(UNKNOWN), fetch)
        return Origin(Digest(fetch().digest), fetch)

    def trained(self, stage: Made[Any], base: Callable[[], Weights] | None = None) -> Origin:
        """What a training stage wrote: an adapter on the seed (on ``base``), or a whole model."""
        return Origin(Digest(stage.digest), lambda: self.weights_in(stage.path / "judge", base), stage)

    def weights_in(self, folder: Path, base: Callable[[], Weights] | None = None) -> Weights:
        """Weights that training wrote: an adapter on the seed (on ``base``), or a whole model."""
        if (folder / "adapter_config.json").exists():
            return Weights(base().base if base is not None else self.base(), folder)
        return Weights(folder)

    def model(
        self, judge: Judge | Origin, model: ModelConfig | None = None, sampler: SamplerConfig | None = None
    ) -> Model:
        """A judge as a stage asks it.

        :param model: what its weights are of; None: the seed
        :param sampler: back end; None: the run's
        """
        origin = judge.origin if isinstance(judge, Judge) else judge
        self.seen |= set() if model else {"model.dtype", "model.max_length", "model.template"}
        loaded = self.use(model) or self._config.model
        asked = self.use(sampler) or self.sampler
        options: dict[str, Any] = dict(asked.options) if isinstance(asked, VllmConfig) else {}
        if asked.thinking_tokens is not None:
            options["thinking_tokens"] = asked.thinking_tokens
        return Model(
            origin.weights, loaded.dtype, asked.name, options, loaded.max_length,
            lambda: self.ask(origin.fetch(), loaded, asked), dict(loaded.template),
        )  # fmt: skip

    def server(self, sampler: OpenAIConfig) -> Model:
        """A server's model; a request that times out at last is refused and the others go on."""
        asked = self.use(sampler)

        def make() -> TextSampler:
            from judgekit.sampling.openai import server_sampler

            return server_sampler(asked, self.store.root, self.progress, True)

        name = Digest(digest(["server", asked.base_url, asked.served_model], 32))
        options = {"dialect": asked.dialect} | ({"extra_body": asked.extra_body} if asked.extra_body else {})
        return Model(
            name, None, asked.name, options, None,
            lambda: self._hold(digest(["server", asdict(asked)]), make),
        )  # fmt: skip

    def ask(
        self, weights: Weights, model: ModelConfig | None = None, sampler: SamplerConfig | None = None
    ) -> TextSampler:
        """The model with these weights, ready to be asked. One model is held at a time.

        :param model: what the weights are of; None: the seed
        :param sampler: back end; None: the run's
        """
        model, sampler = model or self._config.model, sampler or self._config.sampler
        return self._hold(
            digest([used_digest(weights, model, sampler), asdict(model), asdict(sampler)]),
            lambda: text_sampler(weights, model, sampler, self.store.root, self.progress, self._make_sampler),
        )

    def _hold(self, key: str, make: Callable[[], TextSampler]) -> TextSampler:
        if self._held is None or self._held[0] != key:
            old, self._held = self._held, (key, make())
            if old is not None:
                hand_over(old[1], self._held[1])
        return replace(self._held[1], shard=self.shard)

    def release(self) -> None:
        """Give the held model's memory and files back, for example before training."""
        if self._held is not None:
            self._held[1].close()
        self._held = None


def _thinking(stage: Stage) -> int:
    """Tokens that a reply may think for, on top of those of its answer, in a stage that asks a model."""
    asked = [getattr(holder, "model", None) for holder in (stage, getattr(stage, "teacher", None))]
    return max((model.options.get("thinking_tokens", 0) for model in asked if isinstance(model, Model)), default=0)
