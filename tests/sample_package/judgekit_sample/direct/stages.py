"""The stage of ``recipe=direct``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from judgekit.prompts.base import PromptConfig, name_response, pair_protocol
from judgekit.randomness import draw_bits
from judgekit.rows import Demonstration, ResponsePair, write_rows
from judgekit.stages.data import orders
from judgekit.stages.stage import Made, Stage, read
from judgekit.store import Workspace

POSITIONS = ("A", "B", "tie")
"""In the order of ``verdict_tokens``."""


@dataclass(frozen=True, kw_only=True)
class BareVerdicts(Stage):
    """What a judge that knew the label would answer, for D1 pairs in every order (``rows.jsonl``)."""

    label = "demonstrations/direct"
    splits: Made[Any]
    share: float = read("recipe.share")
    both_orders: bool = read("bias.both_orders")
    prompt: PromptConfig = read("prompt")
    seed: int = read("seed")

    def build(self, workspace: Workspace) -> None:
        """Write them."""
        protocol = pair_protocol(self.prompt)
        verdicts = dict(zip(POSITIONS, protocol.verdict_tokens, strict=False))
        pairs = sorted(
            self.splits.rows("d1", ResponsePair), key=lambda pair: draw_bits(self.seed, pair.id, "share of direct")
        )
        rows = []
        for pair in pairs[: max(1, round(self.share * len(pairs)))]:
            for order in orders(self.both_orders):
                verdict = verdicts.get(str(name_response(pair.label, order)))
                if verdict is None:
                    workspace.drop("no verdict for this label")
                else:
                    rows.append(Demonstration(f"{pair.id}/{order}", protocol.judge_prompt(pair, order), verdict))
        write_rows(workspace.path / "rows.jsonl", rows)
        workspace.count(demonstrations=len(rows))
