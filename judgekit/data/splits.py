"""Splits by instruction, fixed by the seed: one instruction is in one split only."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from judgekit.errors import ConfigError, Problem
from judgekit.randomness import draw_bits
from judgekit.rows import Instruction

SPLITS = ("held_out", "validation", "warm", "d1", "d2")
"""Order in which splits are filled: what is held out does not move when training sizes change."""


def normalised(text: str) -> str:
    """Text by which two instructions are the same one, whatever their ids."""
    return " ".join(text.casefold().split())


def split_instructions(
    sources: Mapping[str, Sequence[Instruction]],
    sizes: Mapping[str, int | None],
    seed: int,
    warm_categories: Collection[str] | None = None,
    train_sources: Collection[str] | None = None,
    per_source: Mapping[str, Mapping[str, int]] | None = None,
) -> dict[str, list[Instruction]]:
    """Divide instructions into splits, each source in proportion to its share where nothing else is said.

    Instructions with the same text count as one. ``warm`` takes only instructions with a checker. Where an
    instruction goes is drawn by its id, so that a row more or less in a source leaves nearly all others in place.
    A split that finds too few instructions takes those there are.

    :param sizes: instructions wanted by split, over all sources; None: all that are left
    :param warm_categories: categories ``warm`` takes from; None: all
    :param train_sources: sources ``d1`` and ``d2`` take from; None: all
    :param per_source: instructions wanted by split and source, where that is fixed
    :raises ConfigError: when nothing is left for a split that wants some
    """
    pools = {
        name: sorted(rows, key=lambda row: draw_bits(seed, "split", row.id)) for name, rows in distinct(sources).items()
    }
    total = {name: len(pool) for name, pool in pools.items()}
    splits: dict[str, list[Instruction]] = {}
    for split in SPLITS:
        wanted, fixed = sizes.get(split, 0), (per_source or {}).get(split, {})
        usable = {
            name: [row for row in pool if _usable(row, split, warm_categories)]
            for name, pool in pools.items()
            if split not in ("d1", "d2") or train_sources is None or name in train_sources
        }
        weights = {name: total[name] for name, members in usable.items() if members and name not in fixed}
        available = {name: len(usable[name]) for name in weights}
        left = sum(available.values()) if wanted is None else max(0, wanted - sum(fixed.values()))
        chosen: list[Instruction] = []
        for name, count in {**fixed, **_shares(left, weights, available)}.items():
            taken = usable.get(name, [])[:count]
            chosen += taken
            ids = {row.id for row in taken}
            pools[name] = [row for row in pools[name] if row.id not in ids]
        if not chosen and wanted != 0:
            remedy = (
                "Lower recipe.warm_start.examples or name more recipe.warm_start.categories"
                if split == "warm"
                else "Lower data.held_out, data.validation, data.first_round or data.second_round, or add a source "
                "(to data.train_sources, where that names some)"
            )
            have = f"the sources hold {sum(total.values())} distinct instructions, none of them left for"
            size = "all" if wanted is None else wanted
            raise ConfigError([Problem("data", f"{have} split '{split}' ({size} wanted)", remedy)])
        splits[split] = sorted(chosen, key=lambda row: draw_bits(seed, "split order", row.id))
    return splits


def distinct(sources: Mapping[str, Sequence[Instruction]]) -> dict[str, list[Instruction]]:
    """The first instruction of every text."""
    first: dict[str, tuple[str, Instruction]] = {}
    for name, rows in sources.items():
        for row in rows:
            first.setdefault(normalised(row.text), (name, row))
    return {name: [row for owner, row in first.values() if owner == name] for name in sources}


def _usable(row: Instruction, split: str, warm_categories: Collection[str] | None) -> bool:
    if split != "warm":
        return True
    return row.checker is not None and (warm_categories is None or row.category in warm_categories)


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
