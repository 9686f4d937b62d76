"""Stages of query augmentation: the teacher writes new queries, and what is new and balanced is kept."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from judgekit.data.queries import Filtered, balance, drop_alike, drop_copies
from judgekit.data.splits import normalised
from judgekit.prompts.queries import difficulty_prompt, read_difficulty, read_queries, write_prompt
from judgekit.randomness import digest, shuffled
from judgekit.recipes.lab import Handle, Lab, section
from judgekit.recipes.stages import PROMPT_TOKENS
from judgekit.recipes.teaching import Question, Teacher
from judgekit.rows import Instruction, read_rows, write_rows
from judgekit.schema.critiquellm import AugmentationConfig
from judgekit.store import Artifact, Workspace

RATING_TOKENS = 16
"""Longest rating of a query's difficulty, tokens."""


def augment_queries(lab: Lab, teacher: Teacher, seeds: Handle, rules: AugmentationConfig, style: str) -> Handle:
    """The queries of an ``instructions`` stage with new ones of the same sources and task types, in the same files.

    :param style: language of the teacher's prompts, as ``prompt.style``
    """
    written = _write(lab, teacher, seeds, rules, style)
    distinct = _distinct(lab, seeds, written, rules)
    rated = _rate(lab, teacher, distinct, rules, style)

    def build(workspace: Workspace) -> None:
        rows = _rows(rated, "queries.jsonl")
        levels = {row.id: int(row.extra["difficulty"]) for row in rows}
        found = balance(rows, levels, rules.count, lab.config.seed)
        _count(workspace, found)
        for (task, level), count in sorted(Counter((row.category, levels[row.id]) for row in found.kept).items()):
            workspace.count(**{f"{task}, difficulty {level}": count})
        old = _rows(seeds, "instructions.jsonl") if rules.keep_seeds else []
        write_rows(workspace.path / "instructions.jsonl", [*old, *found.kept])
        assert isinstance(seeds, Artifact)
        given = seeds.file("given.jsonl").read_bytes() if rules.keep_seeds else b""
        (workspace.path / "given.jsonl").write_bytes(given)

    config = section(rules, "count", "keep_seeds") | {"seed": lab.config.seed}
    return lab.stage("queries", 1, config, [seeds, rated], build)


def _write(lab: Lab, teacher: Teacher, seeds: Handle, rules: AugmentationConfig, style: str) -> Handle:
    """What the teacher writes, each query once."""

    def build(workspace: Workspace) -> None:
        by_type: defaultdict[str, list[Instruction]] = defaultdict(list)
        for row in _rows(seeds, "instructions.jsonl"):
            by_type[row.category].append(row)
        questions: list[Question] = []
        shown: dict[str, Instruction] = {}
        for category, rows in by_type.items():
            for number in range(rules.asks):
                name = f"{category}#{number}"
                examples = shuffled(rows, lab.config.seed, name, "examples")[: rules.examples]
                task = category.rpartition("/")[2]
                prompt = write_prompt(style, task, [row.text for row in examples], rules.per_ask)
                # Few seeds give the same prompt again, and with it the same reply.
                if all(prompt != other.prompt for other in questions[-rules.asks :]):
                    questions.append(Question(name, prompt))
                    shown[name] = examples[0]

        lists: dict[str, list[str]] = {}

        def read(name: str, text: str, truncated: bool) -> str | None:
            lists[name] = read_queries(text, truncated)
            return None if lists[name] else "no list"

        usable = teacher.ask(questions, read, workspace, "queries", tokens=rules.tokens)
        known = {normalised(row.text) for rows in by_type.values() for row in rows}
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

    config = section(rules, "asks", "per_ask", "examples", "tokens") | {"style": style} | teacher.settings
    return lab.stage("queries/written", 1, config, [seeds, teacher.source], build, note="as many as task types ask for")


def _distinct(lab: Lab, seeds: Handle, written: Handle, rules: AugmentationConfig) -> Handle:
    """Queries unlike the seeds and unlike each other."""

    def build(workspace: Workspace) -> None:
        new = drop_copies(
            _rows(written, "queries.jsonl"), [row.text for row in _rows(seeds, "instructions.jsonl")], rules.rouge_limit
        )
        found = drop_alike(new.kept, rules.self_bleu_limit)
        _count(workspace, Filtered(found.kept, new.dropped + found.dropped))
        write_rows(workspace.path / "queries.jsonl", found.kept)

    return lab.stage("queries/distinct", 1, section(rules, "rouge_limit", "self_bleu_limit"), [seeds, written], build)


def _rate(lab: Lab, teacher: Teacher, distinct: Handle, rules: AugmentationConfig, style: str) -> Handle:
    """The same queries with their difficulty in ``extra``; those without one are dropped."""

    def build(workspace: Workspace) -> None:
        rows = _rows(distinct, "queries.jsonl")
        questions = [Question(row.id, difficulty_prompt(style, row.text)) for row in rows]
        replies = teacher.ask(
            questions, lambda _, text, __: read_difficulty(style, text)[1], workspace, "difficulty",
            tokens=RATING_TOKENS,
        )  # fmt: skip
        rated = [
            Instruction(row.id, row.text, row.source, row.category, extra={"difficulty": level})
            for row in rows
            if row.id in replies and (level := read_difficulty(style, replies[row.id])[0]) is not None
        ]
        write_rows(workspace.path / "queries.jsonl", rated)

    most = rules.asks * rules.per_ask
    return lab.stage(
        "queries/difficulty", 1, {"style": style} | teacher.settings, [distinct, teacher.source], build,
        generations=most, tokens=most * (PROMPT_TOKENS + RATING_TOKENS), note="for each task type, at most",
    )  # fmt: skip


def _rows(stage: Handle, name: str) -> Sequence[Instruction]:
    assert isinstance(stage, Artifact)
    return read_rows(stage.file(name), Instruction)


def _count(workspace: Workspace, found: Filtered) -> None:
    workspace.count(queries=len(found.kept))
    for reason, count in found.dropped.items():
        workspace.drop(reason, count)
