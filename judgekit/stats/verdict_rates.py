"""Rates of a judge from one table: its agreement with gold labels, consistency over orders and position bias.

The table holds the number of pairs by gold label, verdict when response_a was shown first (order ``ab``) and verdict
when response_b was (``ba``). It is the sufficient statistic that the bootstrap resamples. Verdicts name responses, not
positions.

Shapes: G gold labels (A, B, tie), V outcomes (A, B, tie, invalid), S and F outcomes of verdicts merged over both
orders, ``...`` the resamples or nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from judgekit.stats.bootstrap import FloatArray

A, B, TIE, INVALID = range(4)
TABLE = (3, 4, 4)
CELLS = 48


def measure(table_GVV: FloatArray, orders: Sequence[str], invalid_is_tie: bool = False) -> dict[str, FloatArray]:
    """All rates from the table of pair counts, NaN where undefined; metrics that do not apply are left out.

    - ``accuracy_ab``, ``accuracy_ba``: correct / pairs (an invalid verdict is not correct); ``accuracy``: their mean
    - ``accuracy_low``, ``accuracy_high``: accuracy with invalid verdicts counted wrong, right
    - ``consistent_accuracy``: correct in both orders / pairs; ``consistency``: same valid verdict in both / pairs
    - ``first_position_rate``: of valid verdicts other than tie, those naming the response shown first
    - ``delta_bias``: (pairs biased to the first position - to the second) / pairs, here with its sign. With 1, -1, 0
      for the first shown response, the second, a tie, a pair is biased to the first when the two orders' verdicts
      sum to more than 0 (JudgeLM, evaluation code); a pair with an invalid verdict is biased to neither
    - ``bias_first``, ``bias_second``: pairs biased to the first position, to the second / pairs
    - ``tie_rate``, ``invalid_rate``: of all verdicts; ties apply where a label or a verdict is a tie
    - precision, recall and F1 over all verdicts, averaged over the classes that occur as label or verdict
      (``macro``) or weighted by label counts (``weighted``); an invalid verdict is of no class, so it lowers recall
      only; 0/0 is 0
    - ``cohen_kappa``: chance-corrected agreement with the labels (Cohen 1960), an invalid verdict agreeing with none

    :param table_GVV: pair counts, (..., 3 labels, 4 outcomes of ``ab``, 4 outcomes of ``ba``)
    :param orders: orders that were judged
    """
    asked_GVV = table_GVV
    if invalid_is_tie:
        table_GVV = _fold_invalid(table_GVV)
    margins = {"ab": table_GVV.sum(axis=-1), "ba": table_GVV.sum(axis=-2)}
    asked = {"ab": asked_GVV.sum(axis=-1), "ba": asked_GVV.sum(axis=-2)}
    pooled_GV = np.sum([margins[order] for order in orders], axis=0)
    asked_GV = np.sum([asked[order] for order in orders], axis=0)
    pairs = table_GVV.sum(axis=(-3, -2, -1))
    rates = {f"accuracy_{order}": _share(_correct(margins[order]), pairs) for order in orders}
    rates |= _judged(pooled_GV, asked_GV)
    first, named = _positions(margins, orders)
    rates["first_position_rate"] = _share(first, named)
    if len(orders) == 2:
        rates |= _both_orders(table_GVV)
    return rates


def measure_merged(table_GSF: FloatArray) -> dict[str, FloatArray]:
    """The rates of verdicts merged over both orders, NaN where undefined.

    :param table_GSF: pair counts, (..., 3 labels, 4 merged outcomes, 4 merged outcomes after the rule for invalid
        verdicts); the rates are those of the last, bounds and ``invalid_rate`` those of the one before
    """
    asked_GV, merged_GV = table_GSF.sum(axis=-1), table_GSF.sum(axis=-2)
    return _judged(merged_GV, asked_GV)


def decided(orders: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Cells of the flat table with a valid verdict other than tie in an order that was judged."""
    _, ab, ba = np.indices(TABLE).reshape(3, CELLS)
    found = np.zeros(CELLS, dtype=np.bool_)
    for order, verdict in (("ab", ab), ("ba", ba)):
        if order in orders:
            found |= verdict <= B
    return found


def _judged(found_GV: FloatArray, asked_GV: FloatArray) -> dict[str, FloatArray]:
    """Rates that compare verdicts with labels.

    :param found_GV: verdicts by label and outcome
    :param asked_GV: the same before a rule turned invalid ones into something else
    """
    total = found_GV.sum(axis=(-2, -1))
    invalid = asked_GV[..., INVALID].sum(axis=-1)
    right = _correct(asked_GV)
    rates = {
        "accuracy": _share(_correct(found_GV), total),
        "invalid_rate": _share(invalid, total),
        "accuracy_low": _share(right, total),
        "accuracy_high": _share(right + invalid, total),
    }
    ties = found_GV[..., TIE].sum(axis=-1)
    if (ties + found_GV[..., TIE, :].sum(axis=-1)).any():
        rates["tie_rate"] = _share(ties, total)
    return rates | _classification(found_GV)


def _fold_invalid(table_GVV: FloatArray) -> FloatArray:
    folded = table_GVV.copy()
    folded[..., TIE, :] += folded[..., INVALID, :]
    folded[..., INVALID, :] = 0
    folded[..., :, TIE] += folded[..., :, INVALID]
    folded[..., :, INVALID] = 0
    return folded


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(whole > 0, part / whole, np.nan), dtype=np.float64)


def _correct(margin_GV: FloatArray) -> FloatArray:
    return np.asarray(np.trace(margin_GV[..., :INVALID], axis1=-2, axis2=-1), dtype=np.float64)


def _positions(margins: Mapping[str, FloatArray], orders: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """Verdicts naming the response shown first, and all that name one response."""
    shown_first = {"ab": A, "ba": B}
    first = np.sum([margins[order][..., shown_first[order]].sum(axis=-1) for order in orders], axis=0)
    named = np.sum([margins[order][..., (A, B)].sum(axis=(-2, -1)) for order in orders], axis=0)
    return first, named


def _both_orders(table_GVV: FloatArray) -> dict[str, FloatArray]:
    n = table_GVV.sum(axis=(-3, -2, -1))
    verdicts_VV = table_GVV.sum(axis=-3)
    classes = (A, B, TIE)
    right = np.sum([table_GVV[..., code, code, code] for code in classes], axis=0)
    same = np.sum([verdicts_VV[..., code, code] for code in classes], axis=0)
    # In order ab the first position holds A, in order ba it holds B.
    value_ab, value_ba = np.array([1, -1, 0, 0]), np.array([-1, 1, 0, 0])
    valid = np.array([1, 1, 1, 0])
    lean_VV = np.sign(value_ab[:, None] + value_ba) * valid[:, None] * valid
    return {
        "consistent_accuracy": _share(right, n),
        "consistency": _share(same, n),
        "delta_bias": _share((verdicts_VV * lean_VV).sum(axis=(-2, -1)), n),
        "bias_first": _share((verdicts_VV * (lean_VV > 0)).sum(axis=(-2, -1)), n),
        "bias_second": _share((verdicts_VV * (lean_VV < 0)).sum(axis=(-2, -1)), n),
    }


def _classification(pooled_GV: FloatArray) -> dict[str, FloatArray]:
    hits_G = np.diagonal(pooled_GV[..., :INVALID], axis1=-2, axis2=-1)
    gold_G = pooled_GV.sum(axis=-1)
    named_G = pooled_GV[..., :INVALID].sum(axis=-2)
    parts = {
        "precision": np.nan_to_num(_share(hits_G, named_G)),
        "recall": np.nan_to_num(_share(hits_G, gold_G)),
        "f1": np.nan_to_num(_share(2 * hits_G, gold_G + named_G)),
    }
    occurs_G = (gold_G + named_G) > 0
    total = gold_G.sum(axis=-1)
    rates = {}
    for name, values_G in parts.items():
        rates[f"{name}_macro"] = _share((values_G * occurs_G).sum(axis=-1), occurs_G.sum(axis=-1))
        rates[f"{name}_weighted"] = _share((values_G * gold_G).sum(axis=-1), total)
    agreement = hits_G.sum(axis=-1) * total
    chance = (gold_G * named_G).sum(axis=-1)
    return rates | {"cohen_kappa": _share(agreement - chance, total * total - chance)}
