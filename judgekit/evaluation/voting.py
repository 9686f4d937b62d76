"""Several samples of a judgment: the majority verdict, and what more samples bring."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from judgekit.errors import DataError
from judgekit.evaluation.labelled_verdicts import CODES, index_pairs
from judgekit.randomness import draw_bits
from judgekit.rows import ORDERS, ResponsePair, Verdict
from judgekit.stats.bootstrap import Estimate, estimate_ratio
from judgekit.stats.verdict_rates import INVALID
from judgekit.verdict_rows import VerdictRow

CurveMetric = Literal["accuracy", "consistent_accuracy", "consistency"]
Codes: TypeAlias = npt.NDArray[np.int64]


NO_MAJORITY, TOO_FEW = "no_majority", "too_few_votes"
"""Invalid reasons of a vote: equally many valid votes for two verdicts; fewer valid votes than it takes."""


def vote(verdicts: Iterable[VerdictRow], min_votes: int | None = None) -> list[VerdictRow]:
    """The majority verdict over the samples of each pair and order, as sample 0.

    Invalid samples do not vote. A verdict with more valid votes than any other wins; without one the vote is invalid,
    reason ``no_majority``. With too few valid votes the reason is ``too_few_votes``, with none the samples' most
    frequent one. Scores and P(A) are means over the samples that have them.

    :param min_votes: valid votes it takes; None: more than half of the samples
    """
    samples: defaultdict[tuple[str, str], list[VerdictRow]] = defaultdict(list)
    for row in verdicts:
        samples[row.id, row.order].append(row)
    return [_vote(sorted(rows, key=lambda row: row.sample), min_votes) for rows in samples.values()]


def _vote(rows: Sequence[VerdictRow], min_votes: int | None) -> VerdictRow:
    first = rows[0]
    votes: Counter[Verdict] = Counter(row.verdict for row in rows if row.verdict)
    verdict: Verdict | None = None
    invalid: str | None
    if not votes:
        invalid = Counter(row.reason for row in rows).most_common(1)[0][0]
    elif votes.total() < _needed(len(rows), min_votes):
        invalid = TOO_FEW
    else:
        (leading, most), *others = votes.most_common(2)
        verdict, invalid = (None, NO_MAJORITY) if others and others[0][1] == most else (leading, None)
    return VerdictRow(
        id=first.id,
        order=first.order,
        sample=0,
        verdict=verdict,
        invalid=invalid,
        text=next((row.text for row in rows if row.verdict == verdict), ""),
        p_a=_mean(row.p_a for row in rows),
        score_a=_mean(row.score_a for row in rows),
        score_b=_mean(row.score_b for row in rows),
    )


def _needed(samples: int, min_votes: int | None) -> int:
    """Valid votes it takes of so many samples."""
    return samples // 2 + 1 if min_votes is None else min_votes


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A metric of the majority verdict over ``samples`` samples."""

    samples: int
    estimate: Estimate


def majority_curve(
    pairs: Iterable[ResponsePair],
    verdicts: Iterable[VerdictRow],
    sizes: Sequence[int] | None = None,
    metric: CurveMetric = "accuracy",
    *,
    draws: int = 20,
    resamples: int = 1000,
    seed: int = 0,
) -> list[CurvePoint]:
    """A metric of the vote over k samples, for each k: the mean over random choices of k of the samples there are.

    Votes are those of ``vote``. A sample that some pair lacks counts as invalid.

    :param sizes: numbers of samples k; None: 1, 3, 5 ... and all
    :param draws: random choices of k samples
    :raises DataError: for verdicts on unknown pairs, no labelled pair, no verdicts, or more samples than there are
    """
    pairs = list(pairs)
    codes_PON, judged = _sample_codes(pairs, verdicts)
    count = codes_PON.shape[2]
    wanted = sorted({*range(1, count + 1, 2), count}) if sizes is None else list(sizes)
    if any(not 1 <= size <= count for size in wanted):
        raise DataError(f"there are {count} samples, not {max(wanted)}; ask for 1 to {count}", file="verdicts")
    gold = np.array([CODES[pair.label] for pair in pairs])
    known = np.array([pair.label is not None for pair in pairs])
    names = [pair.cluster for pair, label in zip(pairs, known, strict=True) if label]
    generator = np.random.default_rng(draw_bits("majority", seed))
    # One shuffle serves all sizes: the first k of shuffled samples are k of them at random.
    shuffles = [generator.random(codes_PON.shape).argsort(axis=2) for _ in range(draws)]
    points = []
    for size in wanted:
        right = np.mean(
            [
                _success(_majority(np.take_along_axis(codes_PON, drawn[:, :, :size], axis=2)), gold, judged, metric)
                for drawn in shuffles
            ],
            axis=0,
        )[known]
        points.append(CurvePoint(size, estimate_ratio(names, right, np.ones(len(right)), resamples, seed)))
    return points


def _sample_codes(pairs: Sequence[ResponsePair], verdicts: Iterable[VerdictRow]) -> tuple[Codes, list[int]]:
    """Codes of all samples, (pairs, 2 orders, samples), and which of the orders were judged."""
    places = index_pairs(pairs)
    if not any(pair.label for pair in pairs):
        raise DataError("no pair has a label, so there is nothing to measure", file="gold pairs", field="label")
    found: defaultdict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for row in verdicts:
        if row.id not in places:
            raise DataError(f"there is no gold pair '{row.id}'", file="verdicts", field="id")
        found[places[row.id], ORDERS.index(row.order)].append((row.sample, CODES[row.verdict]))
    if not found:
        raise DataError("there are no verdicts to measure", file="verdicts")
    codes = np.full((len(pairs), len(ORDERS), max(map(len, found.values()))), INVALID)
    for (place, order), samples in found.items():
        codes[place, order, : len(samples)] = [code for _, code in sorted(samples)]
    return codes, sorted({order for _, order in found})


def _majority(codes_PON: Codes) -> Codes:
    """The votes of ``vote``: (pairs, orders)."""
    votes_POV = np.stack([(codes_PON == code).sum(axis=2) for code in range(INVALID)], axis=2)
    alone_PO = (votes_POV == votes_POV.max(axis=2, keepdims=True)).sum(axis=2) == 1
    enough_PO = votes_POV.sum(axis=2) >= _needed(codes_PON.shape[2], None)
    return np.where(alone_PO & enough_PO, votes_POV.argmax(axis=2), INVALID)


def _success(codes_PO: Codes, gold: Codes, judged: list[int], metric: CurveMetric) -> npt.NDArray[np.float64]:
    """How far each pair succeeds, 0 to 1."""
    if metric == "accuracy":
        return np.asarray((codes_PO[:, judged] == gold[:, None]).mean(axis=1))
    if len(judged) < len(ORDERS):
        raise DataError(f"{metric} needs verdicts of both orders, ab and ba", file="verdicts", field="order")
    same = (codes_PO[:, 0] == codes_PO[:, 1]) & (codes_PO[:, 0] != INVALID)
    right = same & (codes_PO[:, 0] == gold) if metric == "consistent_accuracy" else same
    return np.asarray(right, dtype=np.float64)
