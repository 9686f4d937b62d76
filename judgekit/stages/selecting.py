"""Stages that sample judgments of a training split, and training rows of selected ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judgekit.errors import StageError
from judgekit.evaluation.judging import judge_pairs
from judgekit.preferences.judgment_balance import JudgmentPair
from judgekit.prompts.base import PairProtocol
from judgekit.rows import Demonstration, Judgment, Preference, ResponsePair, write_rows
from judgekit.stages.data import PROMPT_TOKENS, orders
from judgekit.stages.models import Drawing, Judging, Model
from judgekit.stages.stage import Made, Planned, Stage, read, unkeyed
from judgekit.store import Workspace


@dataclass(frozen=True, kw_only=True)
class SampledJudgments(Stage):
    """``count`` judgments of every D1 pair and order, right, wrong and invalid ones alike (``judgments.jsonl``).

    :param first: number of the first sample
    """

    label = "judgments/{iteration}"
    version = 2
    iteration: str
    splits: Made[Any]
    model: Model
    count: int
    first: int = 0
    judging: Judging = Judging()
    drawing: Drawing = Drawing()
    both_orders: bool = read("bias.both_orders")
    expected: int = unkeyed("for the plan", 0)

    def build(self, workspace: Workspace) -> None:
        """Ask the judge."""
        pairs = self.splits.rows("d1", ResponsePair)
        verdicts = judge_pairs(
            self.model.open(), self.judging.protocol, pairs, orders(self.both_orders),
            self.drawing.params(self.judging.tokens), samples=range(self.first, self.first + self.count),
            constrained=self.judging.constrained, whole=True, workspace=workspace, title=self.name,
        )  # fmt: skip
        for row in verdicts:
            if row.verdict is None:
                workspace.drop(f"judgment without a verdict: {row.reason}")
        labels = {pair.id: pair.label for pair in pairs}
        workspace.count(pairs=len(pairs), judgments=len(verdicts))
        workspace.count(valid=sum(row.verdict is not None for row in verdicts))
        workspace.count(correct=sum(row.verdict is not None and row.verdict == labels[row.id] for row in verdicts))
        rows = [Judgment(v.id, v.order, v.sample, v.verdict, v.invalid, v.text, v.p_a) for v in verdicts]
        write_rows(workspace.path / "judgments.jsonl", rows)

    @property
    def cost(self) -> Planned:
        """Every pair, order and sample."""
        total = self.expected * len(orders(self.both_orders)) * self.count
        return Planned(total, total * (PROMPT_TOKENS + self.judging.tokens), "at most")


def write_training_rows(
    workspace: Workspace,
    kind: str,
    source: str,
    selected: Sequence[Judgment] | Sequence[JudgmentPair],
    dropped: Mapping[str, int],
    pairs: Sequence[ResponsePair],
    protocol: PairProtocol,
    remedy: str,
) -> None:
    """Write ``rows.jsonl`` of what was selected, on the plain judge prompt, and count what was dropped.

    :param kind: ``demonstrations`` or ``preferences``
    :param source: what was selected from, for the message
    :param remedy: what helps when nothing could be selected
    :raises StageError: when that is so
    """
    for reason, count in dropped.items():
        workspace.drop(reason, count)
    if not selected:
        reasons = "; ".join(f"{count} x {reason}" for reason, count in dropped.items()) or "there are none"
        raise StageError(f"No {kind} could be selected from the {source} ({reasons}). {remedy}")
    by_id = {pair.id: pair for pair in pairs}
    made = [
        _preference(row, by_id, protocol) if isinstance(row, JudgmentPair) else _demonstration(row, by_id, protocol)
        for row in selected
    ]
    write_rows(workspace.path / "rows.jsonl", made)
    workspace.count(**{kind: len(made)})


def _demonstration(row: Judgment, by_id: Mapping[str, ResponsePair], protocol: PairProtocol) -> Demonstration:
    prompt = protocol.judge_prompt(by_id[row.id], row.order)
    return Demonstration(f"{row.id}/{row.order}/{row.sample}", prompt, row.text)


def _preference(pair: JudgmentPair, by_id: Mapping[str, ResponsePair], protocol: PairProtocol) -> Preference:
    chosen, rejected = pair.chosen, pair.rejected
    prompt = protocol.judge_prompt(by_id[chosen.id], chosen.order)
    return Preference(
        f"{chosen.id}/{chosen.order}/{chosen.sample}-{rejected.sample}", prompt, chosen.text, rejected.text
    )
