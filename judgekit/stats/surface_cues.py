"""How well surface cues alone tell the better of two texts from the worse one: a number for each cue.

Where one is above a half by more than its interval, what was meant to be learned can be had without reading: labels
leak, through how the texts were made (a cut end, a tag, a length) or through a taste of whoever labelled them.

Each cue is a bag of features of a text. A logistic regression on the difference of two texts' features, without
intercept and with an L2 penalty of 1, is fitted on four fifths of the groups and names the better text in the others;
a pair whose texts look alike to it counts a half. No pair is seen with its own group.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from judgekit.randomness import draw_bits, shuffled
from judgekit.stats.bootstrap import Estimate, FloatArray, estimate_ratio

FOLDS = 5
MOST = 5000
"""Pairs that are looked at, drawn at random: they give a number to within about 1.4 points."""
PENALTY = 1.0
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Contrast:
    """The better and the worse of two texts; those of one ``group`` share a prompt."""

    group: str
    better: str
    worse: str


def _length(text: str) -> Iterable[str]:
    """Steps of a ninth of the length each, in characters, up to the text's own: so a cut at some length shows too."""
    return map(str, range(round(8 * math.log2(1 + len(text)))))


def _first_words(text: str) -> Iterable[str]:
    words = text.lower().split()[:3]
    return (" ".join(words[: number + 1]) for number in range(len(words)))


def _end(text: str) -> Iterable[str]:
    """The last three words and the last character: a whole answer ends in a full stop, a cut one anywhere."""
    words = text.lower().split()[-3:]
    return (*(" ".join(words[place:]) for place in range(len(words))), f"{text.rstrip()[-1:]}$")


def _markup(text: str) -> Iterable[str]:
    """Line breaks, digits' places, and what is neither letter nor digit, as it stands together."""
    return re.findall(r"[^\w\s]+|\n+", text)


def _words(text: str) -> Iterable[str]:
    return re.findall(r"\w+|[^\w\s]", text.lower())


CUES: Mapping[str, Callable[[str], Iterable[str]]] = {
    "length": _length, "first_words": _first_words, "end": _end, "markup": _markup, "words": _words,
}  # fmt: skip
"""Features of a text by cue; ``words`` is the bag of words."""


def cue_accuracy(contrasts: Sequence[Contrast], seed: int) -> dict[str, Estimate]:
    """Cross-validated accuracy of each cue, with the interval of a bootstrap over groups.

    :return: empty where there are fewer groups than folds
    """
    drawn = sorted(range(len(contrasts)), key=lambda place: draw_bits(seed, "cues", place))[:MOST]
    found = [contrasts[place] for place in sorted(drawn)]
    groups = shuffled(sorted({one.group for one in found}), seed, "folds")
    if len(groups) < FOLDS:
        return {}
    fold_of = {group: place % FOLDS for place, group in enumerate(groups)}
    fold_N = np.array([fold_of[one.group] for one in found])
    names = [one.group for one in found]
    estimates = {}
    for cue, features in CUES.items():
        x_NF = _differences(found, features)
        right_N = np.zeros(len(found))
        for fold in range(FOLDS):
            held_N = fold_N == fold
            margin_N = x_NF[held_N] @ _fit(x_NF[~held_N])
            right_N[held_N] = np.where(margin_N == 0, 0.5, margin_N > 0)
        estimates[cue] = estimate_ratio(names, right_N, np.ones(len(found)), RESAMPLES, seed)
    return estimates


def _differences(contrasts: Sequence[Contrast], features: Callable[[str], Iterable[str]]) -> Any:
    """(N, F) sparse: log(1 + count) of each feature in the better text less that in the worse one."""
    columns: dict[str, int] = {}
    values, places, starts = list[float](), list[int](), [0]
    for one in contrasts:
        row: Counter[int] = Counter()
        for sign, text in ((1.0, one.better), (-1.0, one.worse)):
            for feature, count in Counter(features(text)).items():
                row[columns.setdefault(feature, len(columns))] += sign * math.log1p(count)  # type: ignore[assignment]
        kept = {column: value for column, value in row.items() if value}
        values += kept.values()
        places += kept
        starts.append(len(values))
    from scipy.sparse import csr_array  # slow to import, and planning imports this module

    return csr_array((np.array(values), np.array(places, dtype=np.int64), starts), (len(contrasts), len(columns) or 1))


def _fit(x_NF: Any) -> FloatArray:
    """Weights w (F,) with the smallest sum of log(1 + exp(-x w)) + PENALTY / 2 |w|²."""

    def loss(w_F: FloatArray) -> tuple[float, FloatArray]:
        margin_N = x_NF @ w_F
        slope_N = -np.exp(-np.logaddexp(0, margin_N))
        total = np.logaddexp(0, -margin_N).sum() + PENALTY / 2 * (w_F @ w_F)
        return float(total), x_NF.T @ slope_N + PENALTY * w_F

    from scipy.optimize import minimize

    return np.asarray(minimize(loss, np.zeros(x_NF.shape[1]), jac=True, method="L-BFGS-B").x, dtype=np.float64)
