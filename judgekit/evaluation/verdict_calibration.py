"""Whether a judge's probabilities mean what they say, from P(A) of constrained verdicts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from judgekit.rows import ORDERS, ResponsePair, Verdict
from judgekit.stats.calibration import Calibration, measure_calibration
from judgekit.verdict_rows import VerdictRow


def calibrate(
    pairs: Iterable[ResponsePair],
    verdicts: Iterable[VerdictRow],
    bins: int = 10,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Calibration:
    """Calibration over the verdicts with P(A) on pairs whose label is A or B; sample 0 of each order.

    At P(A) = 1/2 neither verdict is likelier and accuracy counts one half. The expected calibration error of few
    verdicts is too high even for a calibrated judge; ``overconfidence`` is not.

    :param bins: equal bins of confidence between 0 and 1, so that half of them can hold verdicts
    """
    gold = {pair.id: pair for pair in pairs if pair.label in ("A", "B")}
    known = [row for row in verdicts if row.sample == 0 and row.p_a is not None and row.id in gold]
    names = [gold[row.id].cluster for row in known]
    p_a = [row.p_a for row in known if row.p_a is not None]
    return measure_calibration(names, p_a, [gold[row.id].label == "A" for row in known], bins, resamples, seed)


def average_orders(verdicts: Iterable[VerdictRow]) -> list[VerdictRow]:
    """Take position out of the probabilities: every verdict gets the mean of P(A) over both orders.

    Pairs without P(A) in both orders (sample 0) are left out. The rows keep their orders, so that ``score`` can measure
    them; both orders then agree by construction. The verdict is the likelier response, tie at 1/2.
    """
    by_pair: defaultdict[str, dict[str, VerdictRow]] = defaultdict(dict)
    for row in verdicts:
        if row.sample == 0 and row.p_a is not None:
            by_pair[row.id][row.order] = row
    averaged = []
    for rows in by_pair.values():
        if len(rows) == len(ORDERS):
            p_a = sum(row.p_a or 0.0 for row in rows.values()) / len(ORDERS)
            verdict: Verdict = "tie" if p_a == 0.5 else "A" if p_a > 0.5 else "B"
            averaged += [replace(rows[order], verdict=verdict, invalid=None, p_a=p_a) for order in ORDERS]
    return averaged
