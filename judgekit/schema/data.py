"""``data``: the data recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from judgekit.schema.fields import setting


@dataclass(frozen=True)
class SourceConfig:
    """One source of instructions or pairs inside a data recipe."""

    kind: Literal["starter", "constraints", "maths", "gsm8k", "math", "oasst", "jsonl", "parquet", "hub"] = setting(
        "starter", "where rows come from"
    )
    pairs: Literal["near_miss", "noisy_instruction", "verified", "written", "given", "none"] = setting(
        "verified",
        "how response pairs are made: the given near miss, a modified instruction the model writes, "
        "right against wrong samples by a checker, written by program (constraints), given in the rows, or none, where "
        "a recipe's candidates write responses",
    )
    count: int | None = setting(None, "how many instructions to take; null: all", ge=1)
    path: str | None = setting(
        None, "file of a jsonl, parquet, gsm8k, math or oasst source", path=True,
        unkeyed="where the file is; its digest is in the keys",
    )  # fmt: skip
    hub_id: str | None = setting(None, "data set id of a hub source")
    revision: str | None = setting(None, "data set commit; required with hub_id")
    split: str = setting("train", "split of a hub source")
    columns: dict[str, str] = setting({}, "names of the source's columns: {our field: their column}")
    language: str | None = setting(None, "oasst: use trees whose prompt is in this language (its lang); null: all")
    license: str | None = setting(
        None, "licence of the source, for cards of models and data; null: unknown", unkeyed="a label"
    )


@dataclass(frozen=True)
class SplitSizes:
    """Instructions of one source by split."""

    first_round: int | None = setting(None, "of D1; null: the source's share of what other sources leave", ge=0)
    second_round: int | None = setting(None, "of D2; null: likewise", ge=0)
    validation: int | None = setting(None, "for choosing checkpoints; null: likewise", ge=0)
    held_out: int | None = setting(None, "for evaluation; null: likewise", ge=0)


@dataclass(frozen=True)
class DataConfig:
    """``data``: the data recipe. Splits are by instruction and depend on the seed only."""

    name: str = setting("starter", "short name, used in reports", unkeyed="a name")
    sources: dict[str, SourceConfig] = setting({}, "sources by name, the subset in reports; null takes one out")
    train_sources: tuple[str, ...] | None = setting(
        None, "sources that D1 and D2 take instructions from, while the other splits take from all; null: all"
    )
    per_source: dict[str, SplitSizes] = setting(
        {}, "sizes of splits by source, part of the sizes below; sources without one divide the rest by their size"
    )
    first_round: int | None = setting(
        64, "D1: instructions for SFT and the first DPO round; null: all that are left. Too few are counted", ge=1
    )
    second_round: int | None = setting(
        64, "D2: instructions for the second DPO round; null: all that are left. Too few are counted", ge=0
    )
    validation: int = setting(16, "instructions kept for choosing checkpoints", ge=0)
    held_out: int = setting(80, "instructions kept for evaluation, never trained on", ge=0)
    solutions: int = setting(4, "k: solutions sampled per verifiable problem", ge=2)
    solution_temperature: float = setting(0.8, "temperature of sampled responses and solutions", ge=0.0, le=2.0)
    response_tokens: int = setting(128, "longest sampled response, tokens", ge=1)
    checker_seconds: float = setting(5.0, "time limit for checking one response", gt=0)
