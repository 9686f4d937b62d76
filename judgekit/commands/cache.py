"""``judgekit cache``: what the cache of generations holds, and making it smaller."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from judgekit.errors import DataError
from judgekit.sampling.cache_maintenance import (
    HeldGenerations,
    compact,
    everything,
    of_weights,
    older_than,
    prune,
    survey,
)


def print_info(store: Path) -> None:
    """A table of weights and their generations.

    :raises DataError: there is no such store
    """
    found = survey(store)
    if not found:
        print(f"{store} holds no generations.")
        return
    table = Table(show_footer=True)
    table.add_column("weights", footer="all")
    table.add_column("what they are", overflow="fold")
    table.add_column("generations", justify="right", footer=f"{sum(held.generations for held in found):,}")
    table.add_column("size", justify="right", footer=decimal(sum(held.size for held in found)))
    table.add_column("segments", justify="right", footer=str(sum(held.segments for held in found)))
    table.add_column("corrupt lines", justify="right", footer=str(sum(held.corrupt for held in found)))
    table.add_column("last used")
    for held in found:
        table.add_row(
            held.weights, held.about, f"{held.generations:,}", decimal(held.size), str(held.segments),
            str(held.corrupt), f"{held.used:%Y-%m-%d %H:%M} UTC",
        )  # fmt: skip
    Console(width=None if Console().is_terminal else 160).print(table)


def prune_cache(store: Path, *, days: float | None, weights: str | None, dry_run: bool) -> None:
    """Remove generations and say which: those of some weights, those unused for some days, or without either all.

    :raises DataError: there is no such store, or it holds nothing of these weights
    """
    wanted: Callable[[HeldGenerations], bool] = everything
    if days is not None:
        wanted = older_than(timedelta(days=days))
    elif weights is not None:
        wanted = of_weights(weights)
        matching = {held.weights for held in survey(store) if wanted(held)}
        if len(matching) != 1:
            count = "no weights" if not matching else f"{len(matching)} weights"
            raise DataError(f"the digests of {count} begin with {weights!r}; see `judgekit cache info`", file=store)
    removed, verb = 0, "would be removed" if dry_run else "removed"
    for held, free in prune(store, wanted, dry_run=dry_run):
        removed += held.size if free else 0
        state = verb if free else "in use by a process, kept"
        print(f"{held.weights} ({_age(held)}, {decimal(held.size)}): {state}")
    print(f"{decimal(removed)} {verb}.")


def compact_cache(store: Path) -> None:
    """Join segments and say what that saved.

    :raises DataError: there is no such store
    """
    for before, after in compact(store):
        print(f"{before.weights}: {before.segments} segments, now 1; {decimal(before.size)}, now {decimal(after.size)}")


def _age(held: HeldGenerations) -> str:
    return f"unused for {(datetime.now(UTC) - held.used).days} days"
