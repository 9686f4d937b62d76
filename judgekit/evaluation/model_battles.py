"""Verdicts on pairs of models' responses, as battles between the models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from judgekit.evaluation.merging import merge_orders
from judgekit.evaluation.voting import vote
from judgekit.rows import ResponsePair
from judgekit.stats.ranking import Battle
from judgekit.verdict_rows import MergeRule, VerdictRow


def battles(pairs: Iterable[ResponsePair], verdicts: Iterable[VerdictRow]) -> list[Battle]:
    """Verdicts on pairs as battles of who wrote the responses, ``model_a`` and ``model_b``; all orders and samples.

    Verdicts on pairs whose writers are unknown or the same say nothing about a ranking and are left out.
    """
    known = {pair.id: pair for pair in pairs}
    found = []
    for row in verdicts:
        pair = known[row.id]
        if pair.model_a is not None and pair.model_b is not None and pair.model_a != pair.model_b:
            reason = row.reason if row.verdict is None else None
            found.append(Battle(pair.model_a, pair.model_b, row.verdict, pair.cluster, reason))
    return found


def merged_battles(
    pairs: Sequence[ResponsePair],
    verdicts: Iterable[VerdictRow],
    rule: MergeRule = "none",
    min_votes: int | None = None,
) -> list[Battle]:
    """Verdicts on pairs of models' responses as battles: every verdict one, or one for each pair by a merge rule.

    With a rule, of several samples first the majority counts, of ``min_votes`` valid votes at least.
    """
    if rule == "none":
        return battles(pairs, verdicts)
    merged = merge_orders(vote(verdicts, min_votes), rule)
    return [
        Battle(pair.model_a, pair.model_b, merged[pair.id].verdict, pair.cluster, merged[pair.id].invalid)
        for pair in pairs
        if pair.id in merged and pair.model_a is not None and pair.model_b is not None and pair.model_a != pair.model_b
    ]
