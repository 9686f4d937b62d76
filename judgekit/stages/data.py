"""Stages that make the data of a run: instructions, response pairs of them, splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from judgekit.data.checking import Checker
from judgekit.data.pairs import CUT, Question, Replies, build_pairs, without_responses
from judgekit.data.sources import load_source
from judgekit.data.splits import distinct, normalised, split_instructions
from judgekit.prompts.shown import without_thoughts
from judgekit.rows import ORDERS, Instruction, Order, ResponsePair, write_rows
from judgekit.sampling.base import SamplingParams
from judgekit.sampling.text import TextRequest
from judgekit.schema.data import DataConfig, SourceConfig, SplitSizes
from judgekit.stages.controls import RowControls, row_controls
from judgekit.stages.lab import Lab
from judgekit.stages.models import Model
from judgekit.stages.stage import Digest, Made, Planned, Stage, file_inputs, read
from judgekit.stages.surface_cues import PairCues
from judgekit.store import Workspace

PROMPT_TOKENS = 300
"""Rough length of a prompt for planning: short pairs need half of it, long ones several times as much."""
LACKING = " lacking"
"""Ends the name of the count of instructions that a split lacks."""
UNKNOWN_INSTRUCTIONS = 1000
"""Instructions assumed of a source that is only read when the run comes to it."""


@dataclass(frozen=True, kw_only=True)
class Instructions(Stage):
    """All instructions of the sources (``instructions.jsonl``), and the pairs that come with some (``given.jsonl``)."""

    label = "instructions"
    version = 2
    files: tuple[Digest, ...]
    sources: dict[str, SourceConfig] = read("data.sources")
    seed: int = read("seed")

    def build(self, workspace: Workspace) -> None:
        """Read the sources."""
        rows: list[Instruction] = []
        given: list[ResponsePair] = []
        groups: dict[str, str] = {}
        for name, source in self.sources.items():
            found = load_source(source, self.seed, partial(_drop_from, workspace, name))
            for row in found:
                if isinstance(row, ResponsePair):
                    # Pairs of one instruction stay together, whether or not the rows say that they belong together.
                    group = row.group or groups.setdefault(normalised(row.instruction), row.id)
                    given.append(replace(row, subset=name, group=group))
                    rows.append(Instruction(group, row.instruction, name, f"{name}/given"))
                else:
                    rows.append(replace(row, category=f"{name}/{row.category}"))
            workspace.count(**{name: len(found)})
        write_rows(workspace.path / "instructions.jsonl", rows)
        write_rows(workspace.path / "given.jsonl", given)


@dataclass(frozen=True, kw_only=True)
class Pairs(Stage):
    """Response pairs of every instruction that allows one (``pairs.jsonl``).

    :param model: writes responses, for sources whose pairs are sampled
    """

    label = "pairs"
    version = 2
    instructions: Made[Any]
    model: Model | None
    sources: dict[str, SourceConfig] = read("data.sources")
    solutions: int = read("data.solutions")
    temperature: float = read("data.solution_temperature")
    top_p: float = read("sampler.top_p")
    tokens: int = read("data.response_tokens")
    checker_seconds: float = read("data.checker_seconds")
    max_chars: int | None = read("bias.max_response_chars")
    strip_thoughts: bool = read("bias.strip_thoughts", off=False)
    controls: RowControls = row_controls("pair_fault")
    seed: int = read("seed")

    def build(self, workspace: Workspace) -> None:
        """Make the pairs, source by source."""
        rows = self.instructions.rows("instructions", Instruction)
        made = self.instructions.rows("given", ResponsePair)
        data = DataConfig(solutions=self.solutions, response_tokens=self.tokens)

        with Checker(self.checker_seconds) as checker:
            for name, source in self.sources.items():
                if source.pairs == "given":
                    continue
                members = [row for row in rows if row.category.startswith(f"{name}/")]
                if source.pairs == "none":
                    made += [_named(pair, name) for pair in without_responses(members)]
                    workspace.count(**{name: len(members)})
                    continue
                found = build_pairs(
                    members, source, data, seed=self.seed, ask=partial(self._ask, workspace),
                    verify=partial(_verify, workspace, checker), max_chars=self.max_chars,
                    drop=partial(_drop_from, workspace, name),
                )  # fmt: skip
                made += [_named(pair, name) for pair in found]
                workspace.count(**{name: len(found)})
        made = answers_alone(made, workspace) if self.strip_thoughts else made
        write_rows(workspace.path / "pairs.jsonl", self.controls.kept(made, workspace))

    def _ask(self, workspace: Workspace, questions: Sequence[Question]) -> Replies:
        if self.model is None:
            return {}
        params = SamplingParams(self.temperature, self.top_p, self.tokens, seed=self.seed)
        requests = [
            TextRequest(
                question.id, question.prompt,
                params if question.tokens is None else replace(params, max_new_tokens=question.tokens),
                tuple(range(question.samples)),
            )
            for question in questions
        ]  # fmt: skip
        replies = self.model.ask(requests, workspace, "responses").generations
        workspace.count(cut_off=sum(reply.finish == CUT for reply in replies.values()))
        return {key: replace(reply, text=reply.text.strip()) for key, reply in replies.items()}

    @property
    def cost(self) -> Planned:
        """Solutions of verifiable problems, or two responses an instruction."""
        count = sum(
            planned_rows(source) * (self.solutions if source.pairs == "verified" else 2)
            for source in self.sources.values()
            if is_sampled(source)
        )
        return Planned(count, count * (self.tokens + 64), "at most" if count else "")


def answers_alone(pairs: Sequence[ResponsePair], workspace: Workspace) -> list[ResponsePair]:
    """The pairs without the thoughts of their responses, and without those in which one never ends its thought."""
    stripped, count = without_thoughts(pairs)
    workspace.count(thoughts_removed=count)
    kept = []
    for old, new in zip(pairs, stripped, strict=True):
        if new != old and not (new.response_a.strip() and new.response_b.strip()):
            workspace.drop("response without an answer after its thought")
        else:
            kept.append(new)
    return kept


def is_sampled(source: SourceConfig) -> bool:
    """Whether a model writes responses of a source's pairs."""
    return source.pairs not in ("written", "given", "none")


def _verify(workspace: Workspace, checker: Checker, items: Sequence[tuple[Instruction, str]]) -> list[bool | None]:
    checks = checker.check(items) if items else []
    for reason, count in Counter(check.reason for check in checks if check.reason).items():
        workspace.drop(f"solution not verified: {reason}", count)
    return [check.correct for check in checks]


def _drop_from(workspace: Workspace, source: str, reason: str) -> None:
    workspace.drop(f"{source}: {reason}")


def _named(pair: ResponsePair, source: str) -> ResponsePair:
    return replace(pair, subset=source, group=pair.group or pair.id)


def one_each(pairs: Sequence[ResponsePair]) -> list[ResponsePair]:
    """The first pair of every instruction, for those who want the instruction alone."""
    return list({pair.group or pair.id: pair for pair in reversed(pairs)}.values())[::-1]


def planned_rows(source: SourceConfig) -> int:
    """Rows of a source, as far as is known while planning: its count, or the lines of its file."""
    if source.count is not None:
        return source.count
    if source.path is None or not source.path.endswith(".jsonl") or not Path(source.path).is_file():
        return UNKNOWN_INSTRUCTIONS
    with Path(source.path).open("rb") as file:
        return sum(1 for _ in file)


def planned_size(data: DataConfig, split: Literal["first_round", "second_round"]) -> int:
    """Instructions of D1 or D2, as far as is known while planning."""
    size: int | None = getattr(data, split)
    if size is not None:
        return size
    before = data.held_out + data.validation + (data.first_round or 0) * (split == "second_round")
    return max(1, sum(map(planned_rows, data.sources.values())) - before)


@dataclass(frozen=True, kw_only=True)
class Splits(Stage):
    """Pairs by split (``held_out``, ``validation``, ``warm``, ``d1``, ``d2``), with the instructions of ``warm``.

    All pairs of an instruction are in its split. A split with fewer instructions than wanted counts what it lacks.

    :param warm: instructions set apart for a warm start, of ``warm_categories`` (None: all)
    :param second_round: instructions of D2; None: all that are left
    """

    label = "splits"
    version = 4
    instructions: Made[Any]
    pairs: Made[Pairs]
    warm: int
    warm_categories: tuple[str, ...] | None
    second_round: int | None
    names: tuple[str, ...]
    held_out: int = read("data.held_out")
    validation: int = read("data.validation")
    first_round: int | None = read("data.first_round")
    per_source: dict[str, SplitSizes] = read("data.per_source")
    train_sources: tuple[str, ...] | None = read("data.train_sources")
    seed: int = read("seed")

    def build(self, workspace: Workspace) -> None:
        """Divide the pairs by instruction."""
        sizes = {
            "held_out": self.held_out, "validation": self.validation, "warm": self.warm, "d1": self.first_round,
            "d2": self.second_round,
        }  # fmt: skip
        pairs: dict[str, list[ResponsePair]] = {}
        for pair in self.pairs.rows("pairs", ResponsePair):
            pairs.setdefault(str(pair.group), []).append(pair)
        known: dict[str, Instruction] = {}
        for row in self.instructions.rows("instructions", Instruction):
            if row.id in pairs:
                known.setdefault(row.id, row)
        by_source = distinct(
            {name: [row for row in known.values() if row.category.startswith(f"{name}/")] for name in self.names}
        )
        repeated = set(known) - {row.id for rows in by_source.values() for row in rows}
        if repeated:
            workspace.drop("pair of an instruction that is there twice", sum(len(pairs[name]) for name in repeated))
        found = split_instructions(
            by_source, sizes, self.seed, self.warm_categories, self.train_sources, self._fixed(second_round=sizes["d2"])
        )
        for split, members in found.items():
            rows = [pair for row in members for pair in pairs[row.id]]
            write_rows(workspace.path / f"{split}.jsonl", rows)
            workspace.count(**{split: len(members)})
            if len(rows) > len(members):
                workspace.count(**{f"{split} pairs": len(rows)})
            lack = (sizes[split] or 0) - len(members)
            if lack > 0:
                workspace.count(**{f"{split}{LACKING}": lack})
        write_rows(workspace.path / "warm_instructions.jsonl", found["warm"])

    def _fixed(self, second_round: int | None) -> dict[str, dict[str, int]]:
        """Sizes by split and source; none where the recipe does not use a split."""
        fields = {"held_out": "held_out", "validation": "validation", "d1": "first_round", "d2": "second_round"}
        return {
            split: {name: size for name, one in self.per_source.items() if (size := getattr(one, field)) is not None}
            for split, field in fields.items()
            if split != "d2" or second_round != 0
        }


def make_splits(
    lab: Lab,
    warm: int,
    warm_categories: Collection[str] | None = None,
    *,
    second_round: bool = True,
    choose: Callable[[Made[Any]], Made[Any]] | None = None,
) -> Made[Splits]:
    """Instructions -> response pairs -> splits.

    :param warm: instructions set apart for a warm start
    :param warm_categories: categories those are taken from; None: all
    :param second_round: whether the recipe trains on D2; otherwise that split stays empty
    :param choose: from the stage of all instructions to one that holds the selected ones
    """
    data = lab.config.data
    files = file_inputs(*(source.path for source in data.sources.values()))
    instructions: Made[Any] = lab.make(Instructions(files=files))
    if choose is not None:
        instructions = choose(instructions)
    asked = any(is_sampled(source) for source in data.sources.values())
    pairs = lab.make(Pairs(instructions=instructions, model=lab.model(lab.seed) if asked else None))
    if any(source.pairs != "none" for source in data.sources.values()):
        lab.make(PairCues(data="pairs", rows=pairs))
    splits = lab.make(
        Splits(
            instructions=instructions,
            pairs=pairs,
            warm=warm,
            warm_categories=tuple(warm_categories) if warm_categories is not None else None,
            second_round=data.second_round if second_round else 0,
            names=tuple(data.sources),
        )
    )
    for name, count in splits.done.info.rows.items() if not lab.planning else ():
        if name.endswith(LACKING):
            lab.record.note(f"Split {name.removesuffix(LACKING)} has {count} instructions fewer than were wanted.")
    return splits


def orders(both: bool) -> tuple[Order, ...]:
    """The orders responses are shown in (``bias.both_orders``)."""
    return ORDERS if both else ORDERS[:1]
