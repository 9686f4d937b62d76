"""Which of a teacher's judgments to imitate: those that stay the same when the responses change places.

PandaLM (arXiv 2306.05087) asks its teacher in both orders and drops what conflicts; whether a verdict in one order and
a tie in the other conflict is not documented.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from judgekit.preferences.judgment_balance import CUT, balance_positions
from judgekit.rows import ORDERS, Judgment, Order

CONFLICT = "pair whose verdict changes sides with the order"
HALF_CONFLICT = "pair with a verdict in one order and a tie in the other"
HALF = "pair with a usable judgment in one order only"
OVER_LENGTH = "judgment over bias.max_judgment_chars"


@dataclass
class Agreed:
    """Judgments kept, in the order of the pairs, and what was dropped, by reason."""

    kept: list[Judgment] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


def agreed(
    judgments: Iterable[Judgment],
    seed: int,
    *,
    orders: Sequence[Order] = ORDERS,
    drop_conflicting: bool = True,
    tie_conflicts: bool = True,
    balance_labels: bool = False,
    max_chars: int | None = None,
) -> Agreed:
    """Judgments to imitate, one for every order of a pair that is kept.

    :param judgments: valid ones, at most one for each pair and order
    :param orders: in which the teacher was asked; with one there are no conflicts
    :param drop_conflicting: drop pairs whose verdicts conflict, or that have a judgment in one order only
    :param tie_conflicts: a verdict in one order and a tie in the other is a conflict
    :param balance_labels: as many judgments that name the first position as name the second; ties stay
    :param max_chars: longest judgment, characters
    :raises ValueError: a second judgment of the same pair and order
    """
    found, by_pair = Agreed(), dict[str, dict[Order, Judgment]]()
    for row in judgments:
        of_pair = by_pair.setdefault(row.id, {})
        if row.order in of_pair:
            raise ValueError(f"pair {row.id} has two judgments in order {row.order}")
        of_pair[row.order] = row
    for rows in by_pair.values():
        reason = _conflict(rows, orders, tie_conflicts) if drop_conflicting and len(orders) > 1 else None
        if reason is not None:
            found.dropped[reason] += 1
            continue
        for order in orders:
            if order in rows and max_chars is not None and len(rows[order].text) > max_chars:
                found.dropped[OVER_LENGTH] += 1
            elif order in rows:
                found.kept.append(rows[order])
    if balance_labels:
        kept = balance_positions(found.kept, seed)
        if len(kept) < len(found.kept):
            found.dropped[CUT] += len(found.kept) - len(kept)
        found.kept = kept
    return found


def _conflict(rows: dict[Order, Judgment], orders: Sequence[Order], tie_conflicts: bool) -> str | None:
    """Why a pair is dropped, None when its judgments agree."""
    if any(order not in rows for order in orders):
        return HALF
    said = {row.verdict for row in rows.values()}
    if said == {"A", "B"}:
        return CONFLICT
    return HALF_CONFLICT if len(said) > 1 and tie_conflicts else None
