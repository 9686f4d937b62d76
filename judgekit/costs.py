"""What a run would cost, as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """One stage a run would go through.

    :param generations: replies to sample
    :param tokens: about how many tokens they need, prompts included
    :param stored: whether the store holds its result; None when earlier stages decide it
    :param note: anything a user should know, for example why a number is an upper bound
    :param digest: of everything that determines it
    :param reads: dotted keys of the configuration it depends on by itself, not counting those of its inputs
    """

    name: str
    generations: int
    tokens: int
    stored: bool | None
    note: str = ""
    digest: str = ""
    reads: tuple[str, ...] = ()


def print_plan(stages: Sequence[PlannedStage], name: str) -> None:
    """Print stages, generations and tokens, and what is left after what is stored already.

    :param name: name of the run
    """
    from rich.console import Console
    from rich.table import Table

    left = [stage for stage in stages if not stage.stored]
    table = Table(title=f"{name}: the configuration is valid", title_justify="left", show_footer=True)
    table.add_column("stage", footer="left to do")
    table.add_column("generations", justify="right", footer=f"{sum(stage.generations for stage in left):,}")
    table.add_column("tokens, about", justify="right", footer=f"{sum(stage.tokens for stage in left):,}")
    table.add_column("stored")
    table.add_column("note", overflow="fold")
    words = {True: "yes", False: "no", None: "known later"}
    for stage in stages:
        table.add_row(stage.name, f"{stage.generations:,}", f"{stage.tokens:,}", words[stage.stored], stage.note)
    Console().print(table)
