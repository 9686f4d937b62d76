"""Stages that classify instructions with the seed and select among them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from judgekit.recipes.self_taught.classification import Classification, classify_prompt, read_classification
from judgekit.recipes.self_taught.config import SelectionConfig
from judgekit.recipes.self_taught.instruction_choice import choose
from judgekit.rows import Instruction, ResponsePair, write_rows
from judgekit.sampling.base import SamplingParams
from judgekit.sampling.text import TextRequest
from judgekit.stages.data import PROMPT_TOKENS, planned_rows
from judgekit.stages.lab import Lab
from judgekit.stages.models import Model
from judgekit.stages.stage import Made, Planned, Stage, read, unkeyed
from judgekit.store import Workspace


@dataclass(frozen=True, kw_only=True)
class Classes(Stage):
    """Category and complexity of every instruction, in ``extra`` of its row; greedy (``classes.jsonl``)."""

    label = "classes"
    version = 2
    instructions: Made[Any]
    model: Model
    categories: tuple[str, ...] = read("recipe.selection.categories")
    tokens: int = read("recipe.selection.tokens")
    expected: int = unkeyed("for the plan", 0)

    def build(self, workspace: Workspace) -> None:
        """Ask the seed."""
        rows = self.instructions.rows("instructions", Instruction)
        params = SamplingParams(0.0, 1.0, self.tokens)
        requests = [TextRequest(row.id, classify_prompt(row.text, self.categories), params) for row in rows]
        replies = self.model.ask(requests, workspace, "classes").generations
        classified = []
        for row in rows:
            if (row.id, 0) not in replies:
                continue  # too long to be asked; counted by the sampler
            found = read_classification(replies[row.id, 0].text, self.categories)
            if found.invalid is not None:
                workspace.drop(found.invalid)
            else:
                workspace.count(**{str(found.category): 1, f"complexity {found.complexity}": 1})
            classified.append(Instruction(**asdict(row) | {"extra": asdict(found)}))
        write_rows(workspace.path / "classes.jsonl", classified)

    @property
    def cost(self) -> Planned:
        """Every instruction once."""
        return Planned(self.expected, self.expected * (PROMPT_TOKENS + self.tokens), "at most")


@dataclass(frozen=True, kw_only=True)
class SelectedInstructions(Stage):
    """The selected rows of an ``instructions`` stage, in the same files."""

    label = "selected"
    instructions: Made[Any]
    classes: Made[Classes]
    keep: tuple[str, ...] | None = read("recipe.selection.keep")
    per_category: int | None = read("recipe.selection.per_category")
    complexity_min: int = read("recipe.selection.complexity_min")
    complexity_max: int = read("recipe.selection.complexity_max")
    seed: int = read("seed")

    def build(self, workspace: Workspace) -> None:
        """Select."""
        rules = SelectionConfig(
            keep=self.keep, per_category=self.per_category, complexity_min=self.complexity_min,
            complexity_max=self.complexity_max,
        )  # fmt: skip
        rows = self.classes.rows("classes", Instruction)
        found = {row.id: Classification(**row.extra) for row in rows}
        kept, dropped = choose(self.instructions.rows("instructions", Instruction), found, rules, self.seed)
        for reason, count in dropped.items():
            workspace.drop(reason, count)
        workspace.count(instructions=len(kept))
        write_rows(workspace.path / "instructions.jsonl", kept)
        ids = {row.id for row in kept}
        given = self.instructions.rows("given", ResponsePair)
        write_rows(workspace.path / "given.jsonl", [pair for pair in given if pair.group in ids])


def select_instructions(lab: Lab, instructions: Made[Any]) -> Made[SelectedInstructions]:
    """The selected rows of an ``instructions`` stage, in the same files."""
    expected = sum(map(planned_rows, lab.config.data.sources.values()))
    classes = lab.make(Classes(instructions=instructions, model=lab.model(lab.seed), expected=expected))
    return lab.make(SelectedInstructions(instructions=instructions, classes=classes))
