"""Gold pairs and verdict rows brought together: one outcome for each labelled pair and judged order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from judgekit.errors import DataError
from judgekit.rows import ORDERS, VERDICTS, Order, ResponsePair
from judgekit.stats.verdict_rates import INVALID
from judgekit.verdict_rows import VerdictRow

CODES: Mapping[str | None, int] = {**{name: code for code, name in enumerate(VERDICTS)}, None: INVALID}
"""Verdicts as ``stats.verdict_rates`` counts them."""
MISSING = "missing"
"""Invalid reason of a pair without a row in an order that was judged."""

_ABSENT = 255


@dataclass(frozen=True, slots=True)
class LabelledVerdicts:
    """What a judge said on the labelled pairs, in their order.

    :param pairs: the labelled pairs, and ``gold`` the codes of their labels (``CODES``)
    :param verdicts: for each order that was judged, the code of sample 0 on each pair
    :param reasons: verdict rows without a verdict, by reason
    """

    pairs: list[ResponsePair]
    gold: Sequence[int]
    verdicts: dict[Order, Sequence[int]]
    reasons: Counter[str]


def collect(pairs: Sequence[ResponsePair], rows: Iterable[VerdictRow], source: str = "verdicts") -> LabelledVerdicts:
    """Look up the verdicts of the labelled pairs.

    An order counts as judged when there is any row of it; a pair without a row in a judged order is invalid with
    reason ``missing``.

    :param source: what to call the verdicts in messages
    :raises DataError: for repeated pair ids, verdicts on unknown pairs, two rows for one (id, order, sample)
    """
    places = index_pairs(pairs)
    codes = {order: bytearray([_ABSENT]) * len(pairs) for order in ORDERS}
    judged: set[str] = set()
    reasons: Counter[str] = Counter()
    others: set[tuple[int, str, int]] = set()
    for number, row in enumerate(rows, start=1):
        place = places.get(row.id)
        if place is None:
            message = f"there is no gold pair '{row.id}'; score the verdicts against the pairs that were judged"
            raise DataError(message, file=source, line=number, field="id")
        key = (place, row.order, row.sample)
        if (codes[row.order][place] != _ABSENT) if row.sample == 0 else (key in others):
            message = f"pair '{row.id}' has two rows of order {row.order}, sample {row.sample}; keep one"
            raise DataError(message, file=source, line=number, field="sample")
        judged.add(row.order)
        if row.sample != 0:
            others.add(key)
            continue
        codes[row.order][place] = CODES[row.verdict]
        if row.verdict is None and pairs[place].label is not None:
            reasons[row.reason] += 1

    labelled = [place for place, pair in enumerate(pairs) if pair.label is not None]
    verdicts: dict[Order, Sequence[int]] = {}
    for order in ORDERS:
        if order in judged:
            found = bytes(codes[order][place] for place in labelled)
            if absent := found.count(_ABSENT):
                reasons[MISSING] += absent
            verdicts[order] = found.replace(bytes([_ABSENT]), bytes([INVALID]))
    gold = bytes(CODES[pairs[place].label] for place in labelled)
    return LabelledVerdicts([pairs[place] for place in labelled], gold, verdicts, reasons)


def index_pairs(pairs: Sequence[ResponsePair]) -> dict[str, int]:
    """Place of each pair by id.

    :raises DataError: for an id that appears twice
    """
    places: dict[str, int] = {}
    for place, pair in enumerate(pairs):
        if places.setdefault(pair.id, place) != place:
            message = f"'{pair.id}' appears twice; give every pair its own id"
            raise DataError(message, file="gold pairs", line=place + 1, field="id")
    return places
