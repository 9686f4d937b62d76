"""The context a recipe works in: store, seed model, samplers, trainer and records.

A recipe calls stages through a ``Lab``. While planning (``judgekit check``) the same calls build nothing and only
collect what would run, so that a recipe describes its stages once.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from judgekit.costs import PlannedStage
from judgekit.models import find, obtain
from judgekit.randomness import digest
from judgekit.samplers.base import SamplerConfig
from judgekit.samplers.openai import OpenAIConfig
from judgekit.sampling.backends import hand_over, text_sampler, used_digest
from judgekit.sampling.base import Sampler, SamplingParams
from judgekit.sampling.session import Shard
from judgekit.sampling.text import TextSampler
from judgekit.schema.config import RunConfig
from judgekit.schema.models import ModelConfig
from judgekit.store import Artifact, Store, Workspace, file_digest
from judgekit.tracking.progress import ProgressDisplay
from judgekit.tracking.record import RunRecord
from judgekit.weights import Weights

log = logging.getLogger(__name__)

Section = TypeVar("Section")

UNKNOWN = "not obtained yet"


@dataclass(frozen=True, slots=True)
class Planned:
    """A stage that is only planned: it has a digest, but files only when the store holds it."""

    digest: str


Handle = Artifact | Planned
"""What a stage gives: while planning a ``Planned``, otherwise an ``Artifact``."""


@dataclass(frozen=True, slots=True)
class Start:
    """A model other than the seed that training starts from.

    :param weights: fetches its files
    :param digest: what stands for it among a stage's inputs
    """

    weights: Callable[[], Weights]
    digest: str


@dataclass(frozen=True, slots=True)
class Judge:
    """A model at some point of a recipe.

    :param name: as in reports: ``seed``, ``warm``, ``sft``, ``dpo1`` ...
    :param stage: training stage whose folder ``judge`` holds the adapter; None for a model as it is
    :param start: which model that is; None: the seed
    :param votes: its verdicts are majorities over so many samples; 0: greedy judgments
    """

    name: str
    stage: Handle | None
    start: Start | None = None
    votes: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The judges a recipe made, the benchmark pairs, and verdicts by (judge, benchmark).

    :param repeated: verdicts once more, by (judge, benchmark), for how many flip
    :param scores: of ranked responses, by (judge, benchmark), for judges that score single responses
    :param bias: reports by iteration, in order, for recipes with an actor
    """

    judges: list[Judge]
    benchmarks: dict[str, Handle]
    verdicts: dict[tuple[str, str], Handle]
    repeated: dict[tuple[str, str], Handle] = field(default_factory=dict)
    scores: dict[tuple[str, str], Handle] = field(default_factory=dict)
    bias: dict[str, Handle] = field(default_factory=dict)

    @property
    def final(self) -> Judge:
        """The judge a run leaves: the last one, asked as judges are, without votes."""
        return next(judge for judge in reversed(self.judges) if not judge.votes)


class Lab:
    """Everything a recipe needs beyond its own logic.

    :param record: where the run's records go; None while planning
    :param make_sampler: builds the back end for some weights
    :param progress: shows sampling and training
    """

    def __init__(
        self,
        config: RunConfig,
        record: RunRecord | None,
        make_sampler: Callable[[Weights], Sampler] | None = None,
        progress: ProgressDisplay | None = None,
    ) -> None:
        self.config = config
        self.store = Store(Path(config.store))
        self.planned: list[PlannedStage] = []
        self._record = record
        self._make_sampler = make_sampler
        self.progress = progress
        self._held: tuple[str, TextSampler] | None = None
        self._base: Path | None = None
        self._shard: Shard | None = None

    def recipe(self, kind: type[Section]) -> Section:
        """The recipe's section, known to be of its kind."""
        assert isinstance(self.config.recipe, kind)
        return self.config.recipe

    def prompt(self, kind: type[Section]) -> Section:
        """The protocol's section, known to be of its kind because configurations are checked for it."""
        assert isinstance(self.config.prompt, kind)
        return self.config.prompt

    @property
    def planning(self) -> bool:
        """Whether stages are only planned."""
        return self._record is None

    @property
    def record(self) -> RunRecord:
        """Where the run's records go."""
        assert self._record is not None, "nothing is recorded while planning"
        return self._record

    def stage(
        self,
        name: str,
        version: int,
        config: Mapping[str, Any],
        inputs: Sequence[Handle | str],
        build: Callable[[Workspace], None],
        *,
        generations: int = 0,
        tokens: int = 0,
        note: str = "",
    ) -> Handle:
        """One stage: found in the store, or built and recorded.

        :param generations: how many samples it draws at most, for planning; ``tokens`` likewise, prompts included
        :param note: what a reader of the plan should know
        """
        digests = [item if isinstance(item, str) else item.digest for item in inputs]
        if self.planning:
            key = self.store.digest_of(name, version, config, digests)
            known = all(item != UNKNOWN for item in digests)
            stored = known and self.store.has(name, version, config, digests)
            self.planned.append(PlannedStage(name, generations, tokens, stored, note))
            return Planned(key)
        self.record.begin(name)
        if generations and self.config.sampler.shard is not None and not self.store.has(name, version, config, digests):
            self._draw_part(build)
        artifact = self.store.stage(name, version, config, digests, build)
        self.record.stage(name, artifact)
        return artifact

    def _draw_part(self, build: Callable[[Workspace], None]) -> None:
        """Draw this shard's part of a stage into the cache, from which the whole stage is then built as usual.

        Shards work side by side, so this happens outside the stage's lock and its output is thrown away.
        """
        sampler = self.config.sampler
        assert sampler.shard is not None
        self._shard = Shard(sampler.shard, sampler.shards, sampler.shard_wait)
        try:
            with tempfile.TemporaryDirectory(prefix="judgekit-shard-") as folder:
                build(Workspace(Path(folder)))
        finally:
            self._shard = None

    def base(self) -> Path:
        """Folder of the seed model, fetched on first use."""
        if self._base is None:
            self._base = obtain(self.config.model)
        return self._base

    def seed_digest(self) -> str:
        """Digest of the seed's weights as used, or ``UNKNOWN`` while planning without having them."""
        if self.planning:
            folder = find(self.config.model)
            return UNKNOWN if folder is None else self._digest(Weights(folder))
        return self._digest(Weights(self.base()))

    def weights(self, judge: Judge) -> Weights:
        """Files of a judge."""
        if judge.stage is None:
            return Weights(self.base()) if judge.start is None else judge.start.weights()
        assert isinstance(judge.stage, Artifact)
        return self.trained(judge.stage.path / "judge")

    def trained(self, folder: Path) -> Weights:
        """Weights that training wrote: an adapter on the seed, or a whole model."""
        if (folder / "adapter_config.json").exists():
            return Weights(self.base(), folder)
        return Weights(folder)

    def source(self, judge: Judge) -> Handle | str:
        """What stands for a judge among a stage's inputs."""
        if judge.stage is not None:
            return judge.stage
        return self.seed_digest() if judge.start is None else judge.start.digest

    def ask(
        self, weights: Weights, model: ModelConfig | None = None, sampler: SamplerConfig | None = None
    ) -> TextSampler:
        """The model with these weights, ready to be asked. One model is held at a time.

        :param model: what the weights are of; None: the seed
        :param sampler: back end; None: the run's
        """
        model, sampler = model or self.config.model, sampler or self.config.sampler
        return self._hold(
            used_digest(weights, model, sampler) + digest(asdict(sampler)),
            lambda: text_sampler(weights, model, sampler, self.store.root, self.progress, self._make_sampler),
        )

    def ask_server(self, sampler: OpenAIConfig) -> TextSampler:
        """A server's model, ready to be asked; a request that times out at last is refused and the others go on."""
        from judgekit.sampling.openai import server_sampler

        return self._hold(
            digest(["server", asdict(sampler)]), lambda: server_sampler(sampler, self.store.root, self.progress, True)
        )

    def _hold(self, key: str, make: Callable[[], TextSampler]) -> TextSampler:
        if self._held is None or self._held[0] != key:
            old, self._held = self._held, (key, make())
            if old is not None:
                hand_over(old[1], self._held[1])
        return replace(self._held[1], shard=self._shard)

    def release(self) -> None:
        """Give the held model's memory and files back, for example before training."""
        if self._held is not None:
            self._held[1].close()
        self._held = None

    def params(self, tokens: int, stop: tuple[str, ...] = ()) -> SamplingParams:
        """Sampling as configured, for at most ``tokens`` new tokens."""
        sampler = self.config.sampler
        return SamplingParams(sampler.temperature, sampler.top_p, tokens, stop, (), self.config.seed)

    def greedy(self, tokens: int) -> SamplingParams:
        """Greedy decoding of at most ``tokens`` new tokens."""
        return SamplingParams(0.0, 1.0, tokens)

    def file_inputs(self, *paths: str | None) -> list[str]:
        """Digests of files from outside, as inputs of a stage."""
        return [file_digest(Path(path)) for path in paths if path is not None and Path(path).is_file()]

    def _digest(self, weights: Weights) -> str:
        return used_digest(weights, self.config.model, self.config.sampler)


def section(config: Any, *names: str) -> dict[str, Any]:
    """The named fields of a config dataclass as JSON values: what determines a stage, and nothing else."""
    values = asdict(config)
    return {name: values[name] for name in names} if names else values
