"""The bias report of an iteration in which a model judged itself, also as numbers of its stage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from judgekit.evaluation.iteration_bias import MetaReport, bias_numbers, report_scores, to_values
from judgekit.prompts.base import PointProtocol, PromptConfig
from judgekit.rows import Candidate, PointJudgment
from judgekit.run_folder import BIAS_FILE
from judgekit.stages.stage import Made, Stage, read
from judgekit.store import Workspace, write_json_atomic


@dataclass(frozen=True, kw_only=True)
class BiasReport(Stage):
    """Lengths, scores and their drift (``bias.json``, ``numbers.json``).

    :param pairs: the actor's pairs
    :param first: report of the first iteration, None if this is it
    """

    label = "bias/{iteration}"
    iteration: str
    responses: Made[Any]
    judgments: Made[Any]
    pairs: Made[Any]
    first: Made[Any] | None
    prompt: PromptConfig = read("prompt")
    seed: int = read("seed")

    def build(self, workspace: Workspace) -> None:
        """Measure."""
        protocol = self.prompt.protocol
        assert isinstance(protocol, PointProtocol)
        candidates = self.responses.rows("responses", Candidate)
        rows = self.judgments.rows("judgments", PointJudgment)
        first_mean = None if self.first is None else read_bias(self.first)["scores"]["mean"]["value"]
        scores = report_scores(candidates, rows, protocol.scale, first_mean, seed=self.seed)
        lengths = mean_lengths(candidates, rows) | {
            f"{side}_response_chars": self.pairs.done.info.numbers.get(f"{side}_chars")
            for side in ("chosen", "rejected")
        }
        meta, found = self.meta_report()
        write_json_atomic(workspace.path / BIAS_FILE, to_values(self.iteration, scores, meta, lengths, found))
        numbers = bias_numbers(f"bias/{self.iteration}", scores, meta, lengths)
        write_json_atomic(workspace.path / "numbers.json", numbers)
        workspace.count(responses=len(candidates), judgments=len(rows))

    def meta_report(self) -> tuple[MetaReport | None, list[str]]:
        """How the meta-judge compared, where there is one, and why it is said to have collapsed."""
        return None, []


def mean_lengths(candidates: list[Candidate], judgments: list[PointJudgment]) -> dict[str, float | None]:
    """Mean lengths of responses and of judgments in characters and tokens."""
    texts: dict[str, Sequence[Candidate | PointJudgment]] = {"response": candidates, "judgment": judgments}
    found: dict[str, float | None] = {}
    for what, rows in texts.items():
        found[f"{what}_chars"] = fmean(len(row.text) for row in rows) if rows else None
        found[f"{what}_tokens"] = fmean(row.tokens for row in rows) if rows else None
    return found


def read_bias(stage: Made[Any]) -> dict[str, Any]:
    """``bias.json`` of a report."""
    found: dict[str, Any] = json.loads(stage.file(BIAS_FILE).read_text(encoding="utf-8"))
    return found
