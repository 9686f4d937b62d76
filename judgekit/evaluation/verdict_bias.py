"""What moves a judge's verdicts besides quality: position, length, authorship; and how it treats identical answers.

Effects come from one logistic model of the verdicts that names a response, in which the gold label stands for quality:

    log odds(A over B) = q · label + p · position + l · log(length_a / length_b) + s · own

with label, position and own 1 where they speak for response_a, -1 for response_b, 0 for neither. It has no intercept:
which response is called A is arbitrary, and exchanging the names changes no effect.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from judgekit.evaluation.labelled_verdicts import collect
from judgekit.rows import Order, ResponsePair, Verdict
from judgekit.stats.bootstrap import Estimate, estimate_ratio
from judgekit.stats.logistic import Coefficient, fit_logistic
from judgekit.stats.verdict_rates import INVALID, A, B
from judgekit.verdict_rows import VerdictRow


@dataclass(frozen=True, slots=True)
class PreferenceRates:
    """How often a kind of response is preferred, by the judge and by the labels; a tie counts one half."""

    judge: Estimate
    gold: Estimate


def effects(
    pairs: Iterable[ResponsePair], verdicts: Iterable[VerdictRow], own: str | None = None
) -> dict[str, Coefficient]:
    """Effects of quality, position, length and authorship on the verdicts.

    ``quality``, ``position`` and ``length`` (characters) are always in the model, ``own`` when a model is named. A
    covariate that is 0 on every row has no effect to estimate. Verdicts of all judged orders count; ties and invalid
    ones do not.

    :param own: the judge's own name among ``model_a`` and ``model_b`` (self-preference)
    """
    outcomes = collect(list(pairs), verdicts)
    covariates: dict[str, Callable[[ResponsePair, Order], float]] = {
        "quality": lambda pair, _: _side(pair.label),
        "position": lambda _, order: 1.0 if order == "ab" else -1.0,
        "length": lambda pair, _: log_length_ratio(pair),
    }
    if own is not None:
        covariates["own"] = lambda pair, _: float(pair.model_a == own) - float(pair.model_b == own)
    names: list[str] = []
    said: list[float] = []
    rows: list[list[float]] = []
    for order, codes in outcomes.verdicts.items():
        for pair, code in zip(outcomes.pairs, codes, strict=True):
            if code in (A, B):
                names.append(pair.cluster)
                said.append(float(code == A))
                rows.append([covariate(pair, order) for covariate in covariates.values()])
    found = fit_logistic(np.array(rows).reshape(-1, len(covariates)), np.array(said), names)
    return dict(zip(covariates, found, strict=True))


def log_length_ratio(pair: ResponsePair) -> float:
    """log(length_a / length_b) in characters, an empty response counting as one character."""
    return math.log(max(1, len(pair.response_a)) / max(1, len(pair.response_b)))


def _side(verdict: Verdict | None) -> float:
    return 1.0 if verdict == "A" else -1.0 if verdict == "B" else 0.0


def preference_rates(
    pairs: Iterable[ResponsePair],
    verdicts: Iterable[VerdictRow],
    favoured: Mapping[str, Verdict],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> PreferenceRates:
    """How often the favoured response of a pair is preferred, by the judge and by the labels.

    A judge that errs at random prefers it less often than the labels do when those favour it, so the difference of the
    two alone is no bias; ``effects`` takes the labels into account.

    :param favoured: the favoured response (A or B) by id of the pair; other pairs do not count
    """
    outcomes = collect(list(pairs), verdicts)
    chosen = [(index, pair) for index, pair in enumerate(outcomes.pairs) if favoured.get(pair.id) in ("A", "B")]
    names, gold, judge_names, judge = [], [], [], []
    for index, pair in chosen:
        side = A if favoured[pair.id] == "A" else B
        names.append(pair.cluster)
        gold.append(_credit(outcomes.gold[index], side))
        for codes in outcomes.verdicts.values():
            if codes[index] != INVALID:
                judge_names.append(pair.cluster)
                judge.append(_credit(codes[index], side))
    return PreferenceRates(
        judge=estimate_ratio(judge_names, judge, [1.0] * len(judge), resamples, seed),
        gold=estimate_ratio(names, gold, [1.0] * len(gold), resamples, seed),
    )


def _credit(code: int, side: int) -> float:
    return 1.0 if code == side else 0.0 if code in (A, B) else 0.5


def longer_responses(pairs: Iterable[ResponsePair]) -> dict[str, Verdict]:
    """The longer response (in characters) of each pair whose responses differ in length."""
    return {
        pair.id: "A" if len(pair.response_a) > len(pair.response_b) else "B"
        for pair in pairs
        if len(pair.response_a) != len(pair.response_b)
    }


def own_responses(pairs: Iterable[ResponsePair], own: str) -> dict[str, Verdict]:
    """The response a model wrote itself, of each pair with just one such response."""
    return {
        pair.id: "A" if pair.model_a == own else "B" for pair in pairs if (pair.model_a == own) != (pair.model_b == own)
    }


def decisiveness(
    pairs: Iterable[ResponsePair], verdicts: Iterable[VerdictRow], *, resamples: int = 1000, seed: int = 0
) -> Estimate:
    """Share of valid verdicts that name a winner although both responses are the same text.

    Such pairs need no label; give them any or none.
    """
    same = {pair.id: pair for pair in pairs if pair.response_a == pair.response_b}
    rows = [row for row in verdicts if row.id in same and row.sample == 0 and row.verdict is not None]
    names = [same[row.id].cluster for row in rows]
    return estimate_ratio(names, [float(row.verdict != "tie") for row in rows], [1.0] * len(rows), resamples, seed)


def bias_errors(
    subsets: Mapping[str, Mapping[str, float | list[float] | None]],
) -> dict[str, tuple[float, tuple[float, float]]]:
    """Error rate and its interval for each kind of bias, from ``VerdictMetrics.subsets``.

    A judge errs where it is misled: 1 - accuracy. Subsets without verdicts are left out.
    """
    errors = {}
    for name, values in subsets.items():
        accuracy, ends = values.get("accuracy"), values.get("accuracy_ci95")
        if isinstance(accuracy, float) and isinstance(ends, list):
            errors[name] = (1 - accuracy, (1 - ends[1], 1 - ends[0]))
    return errors
