"""Stages of query augmentation: the teacher writes new queries, and what is new and balanced is kept."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from judgekit.data.splits import normalised
from judgekit.randomness import digest, shuffled
from judgekit.recipes.critiquellm.config import AugmentationConfig, CritiqueLLMConfig
from judgekit.recipes.critiquellm.query_filters import Filtered, balance, drop_alike, drop_copies
from judgekit.recipes.critiquellm.query_prompts import difficulty_prompt, read_difficulty, read_queries, write_prompt
from judgekit.rows import Instruction, Message, write_rows
from judgekit.stages.lab import Lab
from judgekit.stages.stage import Made, Planned, Stage, read, unkeyed
from judgekit.stages.teaching import Question, Teacher, teacher_cost
from judgekit.store import Workspace

RATING_TOKENS = 16
"""Longest rating of a query's difficulty, tokens."""


def augment_queries(lab: Lab, teacher: Teacher, seeds: Made[Any]) -> Made[Queries]:
    """The queries of an ``instructions`` stage with new ones of the same sources and task types, in the same files."""
    rules: AugmentationConfig = lab.recipe(CritiqueLLMConfig).augmentation
    written = lab.make(WrittenQueries(seeds=seeds, teacher=teacher))
    distinct = lab.make(DistinctQueries(seeds=seeds, written=written))
    rated = lab.make(RatedQueries(distinct=distinct, teacher=teacher, expected=rules.asks * rules.per_ask))
    return lab.make(Queries(seeds=seeds, rated=rated))


@dataclass(frozen=True, kw_only=True)
class WrittenQueries(Stage):
    """What the teacher writes, each query once (``queries.jsonl``)."""

    label = "queries/written"
    seeds: Made[Any]
    teacher: Teacher
    asks: int = read("recipe.augmentation.asks")
    per_ask: int = read("recipe.augmentation.per_ask")
    examples: int = read("recipe.augmentation.examples")
    tokens: int = read("recipe.augmentation.tokens")
    style: str = read("prompt.style")
    seed: int = read("seed")

    def build(self, workspace: Workspace) -> None:
        """Ask the teacher."""
        questions: list[Question] = []
        shown: dict[str, Instruction] = {}
        for name, example, prompt in self._asked():
            # Few seeds give the same prompt again, and with it the same reply.
            if all(prompt != other.prompt for other in questions[-self.asks :]):
                questions.append(Question(name, prompt))
                shown[name] = example
        lists: dict[str, list[str]] = {}

        def read_list(name: str, text: str, truncated: bool) -> str | None:
            lists[name] = read_queries(text, truncated)
            return None if lists[name] else "no list"

        usable = self.teacher.ask(questions, read_list, workspace, "queries", tokens=self.tokens)
        known = {normalised(row.text) for row in self.seeds.rows("instructions", Instruction)}
        made: list[Instruction] = []
        for name in usable:
            for text in lists[name]:
                if normalised(text) in known:
                    workspace.drop("written twice")
                    continue
                known.add(normalised(text))
                like = shown[name]
                made.append(Instruction(f"{like.category}/new-{digest(text)}", text, like.source, like.category))
        workspace.count(queries=len(made))
        write_rows(workspace.path / "queries.jsonl", made)

    def _asked(self) -> Iterator[tuple[str, Instruction, tuple[Message, ...]]]:
        """Name, first example and prompt of every request."""
        by_type: defaultdict[str, list[Instruction]] = defaultdict(list)
        for row in self.seeds.rows("instructions", Instruction):
            by_type[row.category].append(row)
        for category, rows in by_type.items():
            for number in range(self.asks):
                name = f"{category}#{number}"
                examples = shuffled(rows, self.seed, name, "examples")[: self.examples]
                task = category.rpartition("/")[2]
                yield name, examples[0], write_prompt(self.style, task, [row.text for row in examples], self.per_ask)

    @property
    def cost(self) -> Planned:
        """Not known before the seeds are."""
        return Planned(note="as many as task types ask for")


@dataclass(frozen=True, kw_only=True)
class DistinctQueries(Stage):
    """Queries unlike the seeds and unlike each other (``queries.jsonl``)."""

    label = "queries/distinct"
    seeds: Made[Any]
    written: Made[WrittenQueries]
    rouge_limit: float = read("recipe.augmentation.rouge_limit")
    self_bleu_limit: float = read("recipe.augmentation.self_bleu_limit")

    def build(self, workspace: Workspace) -> None:
        """Filter."""
        texts = [row.text for row in self.seeds.rows("instructions", Instruction)]
        new = drop_copies(self.written.rows("queries", Instruction), texts, self.rouge_limit)
        found = drop_alike(new.kept, self.self_bleu_limit)
        _count(workspace, Filtered(found.kept, new.dropped + found.dropped))
        write_rows(workspace.path / "queries.jsonl", found.kept)


@dataclass(frozen=True, kw_only=True)
class RatedQueries(Stage):
    """The same queries with their difficulty in ``extra``; those without one are dropped (``queries.jsonl``)."""

    label = "queries/difficulty"
    version = 2
    distinct: Made[DistinctQueries]
    teacher: Teacher
    style: str = read("prompt.style")
    expected: int = unkeyed("for the plan", 0)

    def build(self, workspace: Workspace) -> None:
        """Ask the teacher."""
        rows = self.distinct.rows("queries", Instruction)
        questions = [Question(row.id, difficulty_prompt(self.style, row.text)) for row in rows]
        replies = self.teacher.ask(
            questions, lambda _, text, __: read_difficulty(self.style, text)[1], workspace, "difficulty",
            tokens=RATING_TOKENS,
        )  # fmt: skip
        rated = [
            Instruction(row.id, row.text, row.source, row.category, extra={"difficulty": level})
            for row in rows
            if row.id in replies and (level := read_difficulty(self.style, replies[row.id])[0]) is not None
        ]
        write_rows(workspace.path / "queries.jsonl", rated)

    @property
    def cost(self) -> Planned:
        """Every query once."""
        cost = teacher_cost(self.teacher, self.expected, RATING_TOKENS)
        return Planned(cost.generations, cost.tokens, "for each task type, at most")


@dataclass(frozen=True, kw_only=True)
class Queries(Stage):
    """New queries balanced over task types and difficulties, with the seeds' own (as an ``instructions`` stage)."""

    label = "queries"
    seeds: Made[Any]
    rated: Made[RatedQueries]
    count: int = read("recipe.augmentation.count")
    keep_seeds: bool = read("recipe.augmentation.keep_seeds")
    seed: int = read("seed")

    def build(self, workspace: Workspace) -> None:
        """Balance."""
        rows = self.rated.rows("queries", Instruction)
        levels = {row.id: int(row.extra["difficulty"]) for row in rows}
        found = balance(rows, levels, self.count, self.seed)
        _count(workspace, found)
        for (task, level), count in sorted(Counter((row.category, levels[row.id]) for row in found.kept).items()):
            workspace.count(**{f"{task}, difficulty {level}": count})
        old = self.seeds.rows("instructions", Instruction) if self.keep_seeds else []
        write_rows(workspace.path / "instructions.jsonl", [*old, *found.kept])
        given = self.seeds.file("given.jsonl").read_bytes() if self.keep_seeds else b""
        (workspace.path / "given.jsonl").write_bytes(given)


def _count(workspace: Workspace, found: Filtered) -> None:
    workspace.count(queries=len(found.kept))
    for reason, count in found.dropped.items():
        workspace.drop(reason, count)
