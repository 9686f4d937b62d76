"""Stages that classify instructions with the seed and select among them."""

from __future__ import annotations

from dataclasses import asdict

from judgekit.data.selection import choose
from judgekit.prompts.classification import Classification, classify_prompt, read_classification
from judgekit.recipes.lab import Handle, Lab, section
from judgekit.recipes.stages import PROMPT_TOKENS
from judgekit.rows import Instruction, ResponsePair, read_rows, write_rows
from judgekit.sampling.text import TextRequest
from judgekit.schema.recipes import SelectionConfig
from judgekit.store import Artifact, Workspace
from judgekit.weights import Weights


def select_instructions(lab: Lab, instructions: Handle, rules: SelectionConfig) -> Handle:
    """The selected rows of an ``instructions`` stage, in the same files."""
    classes = _classify(lab, instructions, rules)
    settings = section(rules, "keep", "per_category", "complexity_min", "complexity_max") | {"seed": lab.config.seed}

    def build(workspace: Workspace) -> None:
        assert isinstance(instructions, Artifact) and isinstance(classes, Artifact)
        rows = read_rows(classes.file("classes.jsonl"), Instruction)
        found = {row.id: Classification(**row.extra) for row in rows}
        kept, dropped = choose(
            read_rows(instructions.file("instructions.jsonl"), Instruction), found, rules, lab.config.seed
        )
        for reason, count in dropped.items():
            workspace.drop(reason, count)
        workspace.count(instructions=len(kept))
        write_rows(workspace.path / "instructions.jsonl", kept)
        ids = {row.id for row in kept}
        given = read_rows(instructions.file("given.jsonl"), ResponsePair)
        write_rows(workspace.path / "given.jsonl", [pair for pair in given if pair.group in ids])

    return lab.stage("selected", 1, settings, [instructions, classes], build)


def _classify(lab: Lab, instructions: Handle, rules: SelectionConfig) -> Handle:
    """Category and complexity of every instruction, in ``extra`` of its row; greedy."""

    def build(workspace: Workspace) -> None:
        assert isinstance(instructions, Artifact)
        rows = read_rows(instructions.file("instructions.jsonl"), Instruction)
        params = lab.greedy(rules.tokens)
        requests = [TextRequest(row.id, classify_prompt(row.text, rules.categories), params) for row in rows]
        replies = lab.ask(Weights(lab.base())).ask(requests, workspace, "classes").generations
        classified = []
        for row in rows:
            if (row.id, 0) not in replies:
                continue  # too long to be asked; counted by the sampler
            found = read_classification(replies[row.id, 0].text, rules.categories)
            if found.invalid is not None:
                workspace.drop(found.invalid)
            else:
                workspace.count(**{str(found.category): 1, f"complexity {found.complexity}": 1})
            classified.append(Instruction(**asdict(row) | {"extra": asdict(found)}))
        write_rows(workspace.path / "classes.jsonl", classified)

    counts = [source.count or 0 for source in lab.config.data.sources.values()]
    return lab.stage(
        "classes", 1, section(rules, "categories", "tokens"), [instructions, lab.seed_digest()], build,
        generations=sum(counts), tokens=sum(counts) * (PROMPT_TOKENS + rules.tokens), note="at most",
    )  # fmt: skip
