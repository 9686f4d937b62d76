"""PandaLM's own stages: what the teacher says, and what of it the judge learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from judgekit.data.worked_judgments import worked_judgment
from judgekit.prompts.base import name_response
from judgekit.prompts.pandalm import PandaLM, PandaLMPrompt, Parts
from judgekit.recipes.pandalm.agreed_judgments import agreed
from judgekit.rows import ORDERS, Demonstration, Judgment, Order, ResponsePair, write_rows
from judgekit.stages.candidates import CandidatePairs
from judgekit.stages.controls import RowControls, row_controls
from judgekit.stages.selecting import write_training_rows
from judgekit.stages.stage import Made, Stage, read
from judgekit.stages.teaching import TaughtJudgments
from judgekit.stages.warm_start import warm_tasks
from judgekit.store import Workspace


@dataclass(frozen=True, kw_only=True)
class WorkedReviews(Stage):
    """Judgments a program writes in the teacher's format (``rows.jsonl``)."""

    label = "worked_reviews"
    splits: Made[Any]
    asked: PandaLMPrompt
    examples: int

    def build(self, workspace: Workspace) -> None:
        """Write them."""
        protocol = PandaLM(self.asked)
        rows: list[Demonstration] = []
        for number, instruction, pair in islice(warm_tasks(self.splits), self.examples):
            worked = worked_judgment(instruction, pair, order := ORDERS[number % 2])
            position = name_response(pair.label, order)
            if worked is None or position is None:
                workspace.drop("no worked judgment for this task")
                continue
            findings = worked.execution.replace("Answer A:", "Response 1:").replace("Answer B:", "Response 2:")
            better = pair.response_a if pair.label == "A" else pair.response_b
            target = protocol.target(Parts(position, f"{worked.plan}\n{findings}", better))
            rows.append(Demonstration(f"{pair.id}/{order}", protocol.judge_prompt(pair, order), target))
        write_rows(workspace.path / "rows.jsonl", rows)
        workspace.count(demonstrations=len(rows))


@dataclass(frozen=True, kw_only=True)
class TeacherJudgments(TaughtJudgments):
    """The teacher's judgments of all pairs, whole ones only."""

    label = "teacher_judgments"
    compared: Made[CandidatePairs]
    prompt: PandaLMPrompt

    def pairs(self) -> Sequence[ResponsePair]:
        """The candidates'."""
        return self.compared.rows("pairs", ResponsePair)

    def unusable(self, text: str, truncated: bool) -> str | None:
        """Parts are missing; in the judge's format the reference comes last, so a reply cut off in it has all."""
        if truncated:
            return "cut off"
        parts = PandaLM(self.prompt).parts(text)
        return None if isinstance(parts, Parts) else parts


@dataclass(frozen=True, kw_only=True)
class Demonstrations(Stage):
    """Demonstrations in the judge's format from judgments that agree in both orders (``rows.jsonl``).

    :param asked: the teacher's format
    """

    label = "demonstrations/teacher"
    compared: Made[CandidatePairs]
    judgments: Made[TeacherJudgments]
    asked: PandaLMPrompt
    orders: tuple[Order, ...]
    drop_conflicting: bool = read("bias.drop_conflicting")
    tie_conflicts: bool = read("recipe.tie_conflicts")
    balance_labels: bool = read("bias.balance_labels")
    max_chars: int | None = read("bias.max_judgment_chars")
    prompt: PandaLMPrompt = read("prompt")
    controls: RowControls = row_controls("judgment_fault")
    seed: int = read("seed")

    def build(self, workspace: Workspace) -> None:
        """Select them."""
        protocol = PandaLM(self.prompt)
        judgments = self.controls.kept(self.judgments.rows("judgments", Judgment), workspace)
        taught = [self._rewritten(row, protocol) for row in judgments]
        found = agreed(
            taught, self.seed, orders=self.orders, drop_conflicting=self.drop_conflicting,
            tie_conflicts=self.tie_conflicts, balance_labels=self.balance_labels, max_chars=self.max_chars,
        )  # fmt: skip
        known = self.compared.rows("pairs", ResponsePair)
        write_training_rows(
            workspace, "demonstrations", "teacher's judgments", found.kept, found.dropped, known, protocol, REMEDY
        )

    def _rewritten(self, row: Judgment, protocol: PandaLM) -> Judgment:
        """A teacher's judgment as the judge is to write it."""
        parts = PandaLM(self.asked).parts(row.text)
        assert isinstance(parts, Parts), "the teacher's stage keeps whole judgments only"
        return replace(row, text=protocol.target(parts))


REMEDY = (
    "A teacher whose verdicts all change with the order is no better than chance: give a stronger one with teacher=, "
    "or warm up the stand-in with recipe.warm_start.enabled=true."
)
