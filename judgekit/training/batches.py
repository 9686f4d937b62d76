"""Optimizer batches as packed trees of tokens.

Everything that follows the same tokens is computed once: completions of one prompt share the prompt, pairs under one
plan share the plan, prompts that begin alike share that beginning, and a completion used in several pairs appears
once. Sequences are laid out depth first, so node j is an ancestor of node i exactly when ``j <= i < end[j]``: one
vector gives the whole attention mask, and no branch sees another. A token's position is its depth.

Planning is plain Python and a pure function of the rows, the seed and the epoch.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from judgekit.prompts.chat import encode_prompt, encode_reply
from judgekit.prompts.templates import ChatTokenizer
from judgekit.randomness import digest, draw_bits, draw_uniform, shuffled
from judgekit.rows import Demonstration, Preference

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Unit:
    """One SFT example or DPO pair as token ids.

    :param index: place among the units of a training stage
    :param completions: the target, or chosen and rejected
    :param epoch: the only epoch it belongs to; None: all
    """

    index: int
    prompt: Ids
    completions: tuple[Ids, ...]
    epoch: int | None = None

    @property
    def sequences(self) -> tuple[Ids, ...]:
        """Prompt and completion, for each completion."""
        return tuple(self.prompt + completion for completion in self.completions)

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return len(self.prompt) + max(len(completion) for completion in self.completions)

    @property
    def packed(self) -> int:
        """Tokens this unit needs in a packed sequence of its own."""
        tree = _Tree()
        tree.add(self)
        return tree.size


@dataclass(frozen=True)
class Packed:
    """One packed sequence: L tokens, N distinct predictions, K distinct completions, M tokens of completions.

    :param ids: (L,) token ids, depth first
    :param positions: (L,) depth of each token
    :param ends: (L,) one past the last descendant of each token
    :param sources: (N,) token whose hidden state predicts
    :param targets: (N,) token id predicted
    :param entries: (M,) prediction that each completion token is
    :param owners: (M,) completion that each completion token belongs to
    :param units: the examples or pairs, and for each its completions as indices into K
    """

    ids: list[int]
    positions: list[int]
    ends: list[int]
    sources: list[int]
    targets: list[int]
    entries: list[int]
    owners: list[int]
    units: list[Unit]
    completions: list[tuple[int, ...]]


@dataclass(frozen=True)
class Share:
    """One process's part of an optimizer batch.

    :param packs: its packed sequences
    :param examples: examples or pairs of the whole batch, over all processes
    :param tokens: tokens of their first completions (the targets of SFT), likewise
    :param idle: packed sequences to compute for nothing, because another process has more and sharded weights are
        gathered by all together
    """

    packs: list[Packed]
    examples: int
    tokens: int
    idle: list[Packed]


@dataclass
class Encoded:
    """The units of a training stage, and the rows that gave none.

    :param refused: rows per reason
    :param shortest_refused: smallest budget (tokens) a row refused for ``max_tokens`` would have needed
    """

    units: list[Unit] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    shortest_refused: int | None = None


def encode_rows(
    rows: Iterable[Demonstration | Preference], tokenizer: ChatTokenizer, context: int, max_tokens: int
) -> Encoded:
    """Token ids of rows. What does not fit is refused and counted, never truncated.

    :param context: longest sequence the model can read, tokens
    :param max_tokens: longest packed sequence, tokens; a pair is never split
    """
    found = Encoded()
    for row in rows:
        texts = (row.target,) if isinstance(row, Demonstration) else (row.chosen, row.rejected)
        try:
            prompt = tuple(encode_prompt(tokenizer, row.prompt))
            completions = tuple(tuple(encode_reply(tokenizer, text, prompt=row.prompt)) for text in texts)
        except ValueError as error:
            found.refused[str(error)] += 1
            continue
        epoch = row.epoch if isinstance(row, Demonstration) else None
        unit = Unit(len(found.units), prompt, completions, epoch)
        if any(not text.strip() for text in texts):
            found.refused["empty reply"] += 1
        elif unit.longest > context:
            found.refused["longer than the model's context"] += 1
        elif unit.packed > max_tokens:
            found.refused["longer than trainer.max_tokens"] += 1
            found.shortest_refused = min(unit.packed, found.shortest_refused or unit.packed)
        else:
            found.units.append(unit)
    return found


def epoch_batches(
    units: Sequence[Unit],
    batch_size: int,
    seed: int,
    epoch: int,
    steps: int | None = None,
    *,
    spread: bool = True,
    grouped: bool = False,
) -> list[list[Unit]]:
    """The optimizer batches of one epoch, of the units that belong to it, shuffled; the last one may be smaller.

    What a batch holds is drawn without a look at prompts; prefixes are shared among whatever it drew.

    :param steps: batches there are room for; None: for all
    :param spread: where units fill more than that, take from every prompt as few as fill them, drawn at random, so that
        the steps reach all prompts; otherwise the first batches
    :param grouped: shuffle runs of up to half a batch of one prompt instead, which share more prefixes
    """
    mine = [unit for unit in units if unit.epoch in (None, epoch)]
    room = len(mine) if steps is None else steps * batch_size
    if spread:
        mine = _spread(mine, room, seed, epoch)
    runs = _runs(mine, max(1, batch_size // 2), seed, epoch) if grouped else [[unit] for unit in mine]
    order = [unit for run in shuffled(runs, seed, "batches", epoch) for unit in run][:room]
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def _by_prompt(units: Iterable[Unit]) -> list[list[Unit]]:
    prompts: dict[Ids, list[Unit]] = {}
    for unit in units:
        prompts.setdefault(unit.prompt, []).append(unit)
    return list(prompts.values())


def _spread(units: list[Unit], room: int, seed: int, epoch: int) -> list[Unit]:
    """``room`` of the units: one of every prompt, then a second one, and so on, the last turn as far as it goes."""
    if len(units) <= room:
        return units
    waiting = _by_prompt(units)
    kept: list[Unit] = []
    while len(kept) < room:
        turn = []
        for members in waiting:  # most of a prompt's units are never drawn, so they are not shuffled
            place = int(draw_uniform(seed, "turn", epoch, members[0].index, len(members)) * len(members))
            members[place], members[-1] = members[-1], members[place]
            turn.append(members.pop())
        kept += turn if len(kept) + len(turn) <= room else shuffled(turn, seed, "last turn", epoch)[: room - len(kept)]
        waiting = [members for members in waiting if members]
    return kept


def _runs(units: list[Unit], length: int, seed: int, epoch: int) -> list[list[Unit]]:
    """Runs of one prompt's units, in which those with the same chosen completion are neighbours."""
    runs: list[list[Unit]] = []
    for members in _by_prompt(units):
        rank = {ids: draw_bits(seed, "completion", epoch, digest(ids)) for u in members for ids in u.completions}
        ordered = sorted(members, key=lambda unit: ([rank[ids] for ids in unit.completions], unit.index))
        runs += [ordered[start : start + length] for start in range(0, len(ordered), length)]
    return runs


def share(units: Sequence[Unit], max_tokens: int, rank: int, processes: int, level: bool = False) -> Share:
    """The part of an optimizer batch that process ``rank`` of ``processes`` computes.

    :param level: give every process the same number of sequences, some of them idle
    """
    parts = split(units, processes)
    packs = pack(parts[rank], max_tokens)
    idle: list[Packed] = []
    if level:
        every = [packs if part is parts[rank] else pack(part, max_tokens) for part in parts]
        most = max(every, key=len)
        idle = most[len(packs) :]
    return Share(packs, len(units), sum(len(unit.completions[0]) for unit in units), idle)


def split(units: Sequence[Unit], parts: int) -> list[list[Unit]]:
    """Units in ``parts`` groups that need about the same number of tokens; those that share beginnings stay together.

    A group may be empty.
    """
    if parts == 1:
        return [list(units)]
    order = sorted(units, key=lambda unit: (unit.sequences, unit.index))
    tree, ends = _Tree(), []
    for unit in order:
        tree.add(unit)
        ends.append(tree.size)
    groups: list[list[Unit]] = [[] for _ in range(parts)]
    for unit, before, end in zip(order, [0, *ends], ends, strict=False):
        groups[min(parts - 1, (before + end) * parts // (2 * tree.size))].append(unit)
    return groups


def pack(units: Sequence[Unit], max_tokens: int) -> list[Packed]:
    """The packed sequences of one optimizer batch, each of at most ``max_tokens`` tokens.

    :raises ValueError: a unit that needs more on its own; ``encode_rows`` refuses those
    """
    trees: list[_Tree] = []
    for unit in sorted(units, key=lambda unit: (unit.sequences, unit.index)):
        if not trees or trees[-1].size + trees[-1].growth(unit) > max_tokens:
            trees.append(_Tree())
        trees[-1].add(unit)
        if trees[-1].size > max_tokens:
            raise ValueError(f"a unit needs {trees[-1].size} tokens, more than {max_tokens}")
    return [_lay_out(tree.units) for tree in trees]


class _Tree:
    """Units whose sequences share their beginnings, and how many tokens they need together."""

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self.size = 0
        self._inputs: list[Ids] = []

    def add(self, unit: Unit) -> None:
        self.size += self.growth(unit)
        self.units.append(unit)
        for sequence in unit.sequences:
            bisect.insort(self._inputs, sequence[:-1])

    def growth(self, unit: Unit) -> int:
        """Tokens that ``unit`` would add."""
        inputs = list(self._inputs)
        total = 0
        for sequence in unit.sequences:
            new = sequence[:-1]  # the last token predicts nothing
            place = bisect.bisect_left(inputs, new)
            total += len(new) - max((_shared(new, near) for near in inputs[max(0, place - 1) : place + 1]), default=0)
            inputs.insert(place, new)
        return total


def _shared(left: Ids, right: Ids) -> int:
    """Length of the common beginning."""
    for place, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return place
    return min(len(left), len(right))


def _lay_out(units: list[Unit]) -> Packed:
    """Write the tree of all sequences depth first; sorted order visits every branch once."""
    packed = Packed([], [], [], [], [], [], [], units, [])
    names = {key: name for name, key in enumerate(sorted({key for unit in units for key in _keys(unit)}))}
    predictions: dict[tuple[int, int], int] = {}
    path: list[int] = []
    previous: Ids = ()
    for (sequence, prompt_length), name in names.items():
        inputs = sequence[:-1]
        shared = _shared(previous, inputs)
        _close(packed, path, shared)
        for depth in range(shared, len(inputs)):
            path.append(len(packed.ids))
            packed.ids.append(inputs[depth])
            packed.positions.append(depth)
            packed.ends.append(-1)
        for place in range(prompt_length, len(sequence)):
            entry = predictions.setdefault((path[place - 1], sequence[place]), len(predictions))
            packed.entries.append(entry)
            packed.owners.append(name)
        previous = inputs
    _close(packed, path, 0)
    packed.sources.extend(source for source, _ in predictions)
    packed.targets.extend(target for _, target in predictions)
    packed.completions.extend(tuple(names[key] for key in _keys(unit)) for unit in units)
    return packed


def _keys(unit: Unit) -> list[tuple[Ids, int]]:
    """What tells completions apart: the whole sequence and where the reply begins."""
    return [(sequence, len(unit.prompt)) for sequence in unit.sequences]


def _close(packed: Packed, path: list[int], depth: int) -> None:
    """End the branches of ``path`` from ``depth`` on."""
    for node in path[depth:]:
        packed.ends[node] = len(packed.ids)
    del path[depth:]
