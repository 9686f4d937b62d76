"""Sampling that survives being killed: cached samples are not drawn again, new ones are kept batch by batch."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from judgekit.errors import StageError
from judgekit.randomness import digest
from judgekit.sampling.base import Batch, Finished, Generation, Item, Prices, Progress, Refusal, Request, Sampler
from judgekit.sampling.cache import GenerationCache
from judgekit.store import Workspace, storage_errors, write_json_atomic


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several processes that share the work of a sampling stage.

    :param index: 0-based
    :param wait: seconds it waits for the others after its own part; None: as long as it takes
    """

    index: int
    count: int
    wait: float | None = None

    def takes(self, number: int, batches: int) -> bool:
        """Whether batch ``number`` of so many is this shard's: short runs of neighbours, which share beginnings."""
        run = max(1, batches // (self.count * RUNS_PER_SHARD))
        return (number // run) % self.count == self.index


RUNS_PER_SHARD = 8
"""Runs of neighbouring batches a shard gets at least, so that all shards get long and short ones."""


class Samples(Mapping[tuple[str, int], Generation]):
    """Generations by (request id, sample index), read from the cache when they are asked for.

    :ivar refused: why requests were refused, by request id; they have no generations here
    """

    def __init__(
        self, cache: GenerationCache, keys: dict[tuple[str, int], str], refused: Mapping[str, Refusal]
    ) -> None:
        """Look ``keys`` up in ``cache``."""
        self._cache, self.refused = cache, refused
        self._keys = {name: key for name, key in keys.items() if name[0] not in refused}

    def __getitem__(self, name: tuple[str, int]) -> Generation:
        """One generation.

        :raises StageError: when its row was damaged after it was found
        """
        return _kept(self._cache, self._keys[name])

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Names in the order of the requests."""
        return iter(self._keys)

    def __len__(self) -> int:
        """Samples asked for."""
        return len(self._keys)


def _kept(cache: GenerationCache, key: str) -> Generation:
    generation = cache.get(key)
    if generation is None:
        raise StageError(
            f"A generation in {cache.folder} was damaged while it was in use. Run the same command again: "
            f"the damaged line is skipped and made anew."
        )
    return generation


def sample_all(
    sampler: Sampler,
    cache: GenerationCache,
    requests: Sequence[Request],
    *,
    workspace: Workspace | None = None,
    progress: Progress | None = None,
    shard: Shard | None = None,
    prices: Prices | None = None,
    thought: Callable[[Request, Generation], int] | None = None,
) -> Samples:
    """All samples of all requests, drawing those that the cache lacks.

    The batches are planned from what was missing when the stage first began and the plan is kept in the workspace's
    scratch folder. After a kill the plan is resumed: a batch that is wholly in the cache is skipped, any other is
    done again in its old composition, so that the same samples come out and at most one batch is repeated (of a back
    end that batches on its own: what it was working on).

    A shard plans all samples, whether or not they are cached, so that all shards have the same plan and the result
    does not depend on their number; it draws its own batches and waits until the others have drawn theirs.

    A request that the back end refuses has no samples, not even those of it that were not refused.

    :param requests: ids are unique; requests with equal prompt and parameters share their samples
    :param workspace: of the stage; receives the counts of generations and tokens. None: nothing to resume
    :param shard: draw only this part
    :param prices: adds the cost of what was sampled to the workspace
    :param thought: tokens of a reply that are thought, which the workspace is told of; None: nobody counts them
    :raises StageError: other shards have not drawn their part in time
    :raises ValueError: when a sample is asked for twice or the sampler breaks its protocol
    """
    items = _keys_by_item(cache, requests)
    keys = {(requests[index].id, sample): key for (index, sample), key in items.items()}
    if len(keys) != sum(len(request.samples) for request in requests):
        raise ValueError("a (request id, sample index) was asked for twice")
    cache.refresh()
    first = {key: item for item, key in reversed(items.items())}
    missing = [key for key in first if key not in cache]
    if progress is not None:
        progress.begin(len(first), len(first) - len(missing))
    record = _Record(workspace.scratch if workspace else None, digest(list(items.values())))
    planned = {items[item] for batch in record.batches for item in batch}
    wanted = first if shard is not None else missing
    if uncovered := {first[key] for key in wanted if key not in planned}:
        record.extend(_plan(sampler, requests, uncovered))
    count = len(record.batches)
    own = [batch for number, batch in enumerate(record.batches) if shard is None or shard.takes(number, count)]
    finished = sampler.stream(requests, _lacking(cache, own, items, progress))
    refused = _keep(finished, cache, items, record, progress)
    missing = [key for key in first if key not in cache and key not in refused]
    if unfinished := {items[item] for batch in own for item in batch}.intersection(missing):
        raise ValueError(f"the sampler left out {len(unfinished)} samples")
    if shard is not None:
        _await_others(cache, missing, shard)
    samples = Samples(cache, keys, {name: refused[key] for (name, _), key in keys.items() if key in refused})
    if workspace is not None:
        rests_on = {key: item for key, item in first.items() if key not in refused}
        _count(workspace, cache, requests, items, record, rests_on, prices, thought)
    return samples


def _keep(
    finished: Iterator[Finished],
    cache: GenerationCache,
    items: Mapping[Item, str],
    record: _Record,
    progress: Progress | None,
) -> dict[str, Refusal]:
    """Write what comes to the cache; give refusals by key."""
    numbers = {item: number for number, batch in enumerate(record.batches) for item in batch}
    refused: dict[str, Refusal] = {}
    for outcomes in finished:
        made = [(item, outcome) for item, outcome in outcomes if isinstance(outcome, Generation)]
        refused |= {items[item]: outcome for item, outcome in outcomes if isinstance(outcome, Refusal)}
        new = sum(items[item] not in cache for item, _ in outcomes)
        # Noted before it is kept: a sample found in the cache after a kill counts as this stage's own.
        record.begin({numbers[item] for item, _ in made})
        if made:
            cache.put_batch([(items[item], generation) for item, generation in made])
        if progress is not None:
            progress.advance(new, sum(generation.tokens for _, generation in made))
    return refused


def _keys_by_item(cache: GenerationCache, requests: Sequence[Request]) -> dict[Item, str]:
    items: dict[Item, str] = {}
    for index, request in enumerate(requests):
        keys = cache.keys_of(request.prompt, request.params, request.samples)
        items.update(zip(((index, sample) for sample in request.samples), keys, strict=True))
    return items


def _plan(sampler: Sampler, requests: Sequence[Request], wanted: set[Item]) -> list[Batch]:
    """Batches of exactly the wanted samples; requests keep their indices."""
    narrowed = [
        replace(request, samples=tuple(sample for sample in request.samples if (index, sample) in wanted))
        for index, request in enumerate(requests)
    ]
    batches = sampler.plan(narrowed)
    if sorted(item for batch in batches for item in batch) != sorted(wanted):
        raise ValueError("the sampler's plan does not hold each sample exactly once")
    return batches


REFRESH_SECONDS = 1.0
"""Pause between two looks at what other processes have generated meanwhile."""


def _await_others(cache: GenerationCache, missing: list[str], shard: Shard) -> None:
    """Wait until other shards have drawn what is missing.

    :raises StageError: not in time
    """
    started, pause = time.monotonic(), 0.05
    while missing:
        waited = time.monotonic() - started
        if shard.wait is not None and waited >= shard.wait:
            raise StageError(
                f"Shard {shard.index} of {shard.count} has drawn its part; {len(missing)} samples of other shards are "
                f"missing. Run those shards, or the same command without sampler.shard to draw the rest here."
            )
        time.sleep(pause if shard.wait is None else min(pause, shard.wait - waited))
        pause = min(2 * pause, LONGEST_PAUSE)
        cache.refresh()
        missing = [key for key in missing if key not in cache]


LONGEST_PAUSE = 10.0
"""Seconds between two looks for what other shards have drawn, at most."""


def _lacking(
    cache: GenerationCache, batches: Sequence[Batch], items: Mapping[Item, str], progress: Progress | None
) -> Iterator[Batch]:
    """Batches that are not wholly in the cache when their turn comes."""
    looked = float("-inf")
    for batch in batches:
        lacking = [item for item in batch if items[item] not in cache]
        if not lacking:
            continue
        if time.monotonic() - looked > REFRESH_SECONDS:
            cache.refresh()
            looked = time.monotonic()
        if any(items[item] not in cache for item in batch):
            yield batch
        elif progress is not None:
            progress.advance(len(lacking), 0)


@dataclass
class _Tally:
    """What generations took, added up one by one: a stage may rest on more than fit into memory."""

    thought: Callable[[Request, Generation], int] | None
    tokens: Counter[str] = field(default_factory=lambda: Counter(prompt=0, generated=0))
    count: int = 0

    def add(self, request: Request, generation: Generation) -> None:
        self.count += 1
        self.tokens["prompt"] += generation.prompt_tokens
        self.tokens["generated"] += generation.tokens
        if self.thought is not None and (thought := self.thought(request, generation)):
            self.tokens["thought"] += thought

    def cost(self, prices: Prices | None) -> float | None:
        """The price of the tokens."""
        if prices is None:
            return None
        return (self.tokens["prompt"] * prices.prompt + self.tokens["generated"] * prices.generated) / 1e6


def _count(
    workspace: Workspace,
    cache: GenerationCache,
    requests: Sequence[Request],
    items: Mapping[Item, str],
    record: _Record,
    rests_on: Mapping[str, Item],
    prices: Prices | None,
    thought: Callable[[Request, Generation], int] | None,
) -> None:
    """Record what this stage sampled, replies to requests that were then refused included: they cost as much.

    :param rests_on: samples it has, by key, whoever drew them
    """
    drawn, used, changed = _Tally(thought), _Tally(thought), Counter[str]()
    for item in (item for number in record.begun for item in record.batches[number]):
        generation = _kept(cache, items[item])
        drawn.add(requests[item[0]], generation)
        changed.update(f"asked {told}" for told in (generation.served or {}).get("changed", ()))
    for key, item in rests_on.items():
        used.add(requests[item[0]], _kept(cache, key))
    workspace.generations(sampled=drawn.count, cached=len(rests_on) - drawn.count)
    workspace.count(**changed)
    workspace.tokens(drawn.tokens["prompt"], drawn.tokens["generated"], drawn.cost(prices), drawn.tokens["thought"])
    cost = used.cost(prices)
    workspace.rests_on(**used.tokens, **({} if cost is None else {"cost": cost}))


class _Record:
    """The batches of one call and which of them this stage began itself, over all its attempts.

    :ivar batches: the plan; only ever extended
    :ivar begun: numbers of the batches that were generated here and not found in the cache
    """

    def __init__(self, scratch: Path | None, fingerprint: str) -> None:
        self.batches: list[Batch] = []
        self.begun: set[int] = set()
        self._plan_file = scratch / f"batches-{fingerprint}.json" if scratch else None
        self._begun_file = scratch / f"begun-{fingerprint}.txt" if scratch else None
        if self._plan_file is not None and self._plan_file.exists():
            stored = json.loads(self._plan_file.read_text())
            self.batches = [tuple((index, sample) for index, sample in batch) for batch in stored]
        if self._begun_file is not None and self._begun_file.exists():
            self.begun = {int(line) for line in self._begun_file.read_text().split()}

    def extend(self, batches: list[Batch]) -> None:
        self.batches += batches
        if self._plan_file is not None:
            write_json_atomic(self._plan_file, self.batches)

    def begin(self, numbers: set[int]) -> None:
        new = sorted(numbers - self.begun)
        self.begun.update(new)
        if self._begun_file is not None and new:
            with storage_errors(self._begun_file.parent), self._begun_file.open("a") as file:
                file.write("".join(f"{number}\n" for number in new))
