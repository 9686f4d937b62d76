"""One verdict of the two orders of a pair, by a named rule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from judgekit.evaluation.voting import NO_MAJORITY
from judgekit.rows import ORDERS, Verdict
from judgekit.verdict_rows import MergeRule, VerdictRow


@dataclass(frozen=True, slots=True)
class Merged:
    """The verdict on a pair after both orders; ``invalid`` says why there is none."""

    verdict: Verdict | None
    invalid: str | None


def merge_orders(
    verdicts: Iterable[VerdictRow], rule: MergeRule, invalid_as: Literal["tie"] | None = None
) -> dict[str, Merged]:
    """One verdict for each pair, from sample 0 of both orders.

    - ``panda`` (PandaLM, its authors' rule): the verdicts contradict each other → tie, otherwise that of order ``ab``;
      so (A, tie) is A and (tie, A) a tie
    - ``panda_symmetric``: the same whichever order is named first: of a verdict and a tie the verdict, in both cases
    - ``both_agree`` (CritiqueLLM, Auto-J): the verdict both give; otherwise invalid, reason ``conflict``
    - ``judgebench`` (JudgeBench, its code): A counts 1, B counts -1, a tie or an invalid verdict 0; the sign of the
      sum; invalid only when both are
    - ``fastchat`` (MT-Bench, ``show_result.py``): the verdict both give; any disagreement, a verdict against a tie
      included, is a tie
    - ``average_score``: the response with the higher mean score over both orders; equal means tie
    - ``average_probability``: the response with P > 1/2 after averaging P(A) over both orders; 1/2 means tie

    Except by ``judgebench``, a pair with an invalid verdict in one order (or without the scores or probabilities that
    are averaged) is invalid with that reason. A vote that found no majority has means to be averaged all the same.

    :param invalid_as: ``tie`` takes an invalid verdict as the verdict tie, with equal scores, before merging
    :raises ValueError: for another rule
    """
    if rule not in RULES:
        raise ValueError(f"'{rule}' is no merge rule; choose one of {', '.join(RULES)}")
    by_pair: defaultdict[str, dict[str, VerdictRow]] = defaultdict(dict)
    for row in verdicts:
        if row.sample == 0:
            by_pair[row.id][row.order] = row
    return {name: _merge(rows, RULES[rule], invalid_as == "tie") for name, rows in by_pair.items()}


def one_a_pair(verdicts: Iterable[VerdictRow], rule: MergeRule) -> list[VerdictRow]:
    """The merged verdicts as rows of order ``ab``; where one order only was judged, its own rows."""
    rows = [row for row in verdicts if row.sample == 0]
    if len({row.order for row in rows}) < len(ORDERS):
        return rows
    merged = merge_orders(rows, rule).items()
    return [VerdictRow(name, "ab", 0, found.verdict, found.invalid, "") for name, found in merged]


_NAMED: Mapping[str, Verdict] = {"A": "A", "B": "B", "tie": "tie"}

Rule: TypeAlias = Callable[[VerdictRow, VerdictRow], str]
"""The verdict of two orders, or the reason why there is none."""


def _merge(rows: Mapping[str, VerdictRow], rule: Rule, invalid_is_tie: bool) -> Merged:
    found = []
    for order in ORDERS:
        row = rows.get(order, VerdictRow("", order, 0, None, "missing", ""))
        if row.verdict is None and invalid_is_tie:
            row = VerdictRow("", order, 0, "tie", None, "", p_a=0.5, score_a=0.0, score_b=0.0)
        averaged = rule in (_average_score, _average_probability) and row.invalid == NO_MAJORITY
        if row.verdict is None and rule is not _judgebench and not averaged:
            return Merged(None, row.reason)
        found.append(row)
    said = rule(*found)
    verdict = _NAMED.get(said)
    return Merged(verdict, None if verdict else said)


def _panda(ab: VerdictRow, ba: VerdictRow) -> str:
    return "tie" if {ab.verdict, ba.verdict} == {"A", "B"} else str(ab.verdict)


def _panda_symmetric(ab: VerdictRow, ba: VerdictRow) -> str:
    return _sign(sum({"A": 1, "B": -1}.get(str(row.verdict), 0) for row in (ab, ba)))


def _both_agree(ab: VerdictRow, ba: VerdictRow) -> str:
    return str(ab.verdict) if ab.verdict == ba.verdict else "conflict"


def _judgebench(ab: VerdictRow, ba: VerdictRow) -> str:
    if ab.verdict is None and ba.verdict is None:
        return ab.reason
    return _sign(sum({"A": 1, "B": -1}.get(str(row.verdict), 0) for row in (ab, ba)))


def _fastchat(ab: VerdictRow, ba: VerdictRow) -> str:
    return str(ab.verdict) if ab.verdict == ba.verdict else "tie"


def _average_score(ab: VerdictRow, ba: VerdictRow) -> str:
    scores = (ab.score_a, ba.score_a, ab.score_b, ba.score_b)
    ab_a, ba_a, ab_b, ba_b = scores
    if ab_a is None or ba_a is None or ab_b is None or ba_b is None:
        return "no_score"
    return _sign((ab_a + ba_a) - (ab_b + ba_b))


def _average_probability(ab: VerdictRow, ba: VerdictRow) -> str:
    return "no_probability" if ab.p_a is None or ba.p_a is None else _sign(ab.p_a + ba.p_a - 1.0)


def _sign(value: float) -> Verdict:
    return "tie" if value == 0 else "A" if value > 0 else "B"


RULES: Mapping[str, Rule] = {
    "panda": _panda,
    "panda_symmetric": _panda_symmetric,
    "both_agree": _both_agree,
    "judgebench": _judgebench,
    "fastchat": _fastchat,
    "average_score": _average_score,
    "average_probability": _average_probability,
}
