"""Splits by instruction, fixed by the seed: one instruction is in one split only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from judgekit.errors import ConfigError, Problem
from judgekit.randomness import draw_bits
from judgekit.rows import Instruction

SPLITS = ("held_out", "validation", "warm", "d1", "d2")
"""Order in which splits are filled: what is held out does not move when training sizes change."""


def normalised(text: str) -> str:
    """Text by which two instructions are the same one, whatever their ids."""
    return " ".join(text.casefold().split())


def split_instructions(
    sources: Mapping[str, Sequence[Instruction]], sizes: Mapping[str, int], seed: int
) -> dict[str, list[Instruction]]:
    """Divide instructions into splits, each source in proportion to its share.

    Instructions with the same text count as one. ``warm`` takes only instructions with a checker. Where an
    instruction goes is drawn by its id, so that a row more or less in a source leaves nearly all others in place.

    :param sizes: instructions wanted by split, over all sources
    :raises ConfigError: when the sources hold too few
    """
    pools = {
        name: sorted(rows, key=lambda row: draw_bits(seed, "split", row.id))
        for name, rows in _distinct(sources).items()
    }
    total = {name: len(pool) for name, pool in pools.items()}
    splits: dict[str, list[Instruction]] = {}
    for split in SPLITS:
        wanted = sizes.get(split, 0)
        weights = {name: total[name] for name, pool in pools.items() if _usable(split, pool)}
        chosen: list[Instruction] = []
        for name, count in _shares(wanted, weights, {name: len(pools[name]) for name in weights}).items():
            chosen += pools[name][:count]
            pools[name] = pools[name][count:]
        if len(chosen) < wanted:
            have = sum(total.values())
            raise ConfigError(
                [
                    Problem(
                        "data",
                        f"the sources hold {have} distinct instructions, not enough for split '{split}' ({wanted})",
                        "Lower data.held_out, data.validation, data.first_round or data.second_round, or add a source",
                    )
                ]
            )
        splits[split] = sorted(chosen, key=lambda row: draw_bits(seed, "split order", row.id))
    return splits


def _distinct(sources: Mapping[str, Sequence[Instruction]]) -> dict[str, list[Instruction]]:
    """The first instruction of every text."""
    first: dict[str, tuple[str, Instruction]] = {}
    for name, rows in sources.items():
        for row in rows:
            first.setdefault(normalised(row.text), (name, row))
    return {name: [row for owner, row in first.values() if owner == name] for name in sources}


def _usable(split: str, pool: Sequence[Instruction]) -> bool:
    return bool(pool) and (split != "warm" or all(row.checker is not None for row in pool))


def _shares(wanted: int, weights: Mapping[str, int], available: Mapping[str, int]) -> dict[str, int]:
    """``wanted`` divided in proportion to the weights (largest remainder), no share over what is available."""
    shares = {name: 0 for name in weights}
    open_names = [name for name in weights if available[name]]
    left = wanted
    while left and open_names:
        scale = sum(weights[name] for name in open_names)
        exact = {name: left * weights[name] / scale for name in open_names}
        gains = {name: min(int(exact[name]), available[name] - shares[name]) for name in open_names}
        if not any(gains.values()):
            best = max(open_names, key=lambda name: (exact[name], name))
            gains = {best: 1}
        for name, gain in gains.items():
            shares[name] += gain
            left -= gain
        open_names = [name for name in open_names if shares[name] < available[name]]
    return shares
