"""Agreement of a judge with people, or of people with each other, beyond plain accuracy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from judgekit.evaluation.labelled_verdicts import CODES, collect
from judgekit.rows import VERDICTS, ResponsePair
from judgekit.stats.agreement import PairAgreement, table_agreement
from judgekit.stats.bootstrap import Estimate, estimate_ratio
from judgekit.stats.verdict_rates import INVALID, TIE
from judgekit.verdict_rows import VerdictRow


@dataclass(frozen=True, slots=True)
class TieAgreement:
    """Agreement with the labels where ties are not simply right or wrong.

    :param tie_half: share of valid verdicts that agree, one half where just one of verdict and label is a tie
    :param ties_dropped: the same among rows where neither is a tie
    """

    tie_half: Estimate
    ties_dropped: Estimate


def tie_agreement(
    pairs: Iterable[ResponsePair], verdicts: Iterable[VerdictRow], *, resamples: int = 1000, seed: int = 0
) -> TieAgreement:
    """Agreement with ties as one half and with ties dropped, as Meta-Rewarding's Tables 3 and 7 report it.

    All orders that were judged count; invalid verdicts are left out, ``score`` reports how many there are.
    """
    outcomes = collect(list(pairs), verdicts)
    names: list[str] = []
    halves: list[float] = []
    firm: list[float] = []
    for codes in outcomes.verdicts.values():
        for pair, label, said in zip(outcomes.pairs, outcomes.gold, codes, strict=True):
            if said != INVALID:
                names.append(pair.cluster)
                halves.append(float(said == label) if said == label or TIE not in (said, label) else 0.5)
                firm.append(float(TIE not in (said, label)))
    right = [half * counts for half, counts in zip(halves, firm, strict=True)]
    return TieAgreement(
        tie_half=estimate_ratio(names, halves, [1.0] * len(names), resamples, seed),
        ties_dropped=estimate_ratio(names, right, firm, resamples, seed),
    )


def judge_agreement(
    pairs: Iterable[ResponsePair],
    first: Iterable[VerdictRow],
    second: Iterable[VerdictRow],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> PairAgreement:
    """Agreement of two judges on the same pairs and orders, sample 0 of each, labelled or not.

    Where either gave no verdict the two cannot be compared; such rows are left out, and so are unknown pairs.
    """
    clusters = {pair.id: pair.cluster for pair in pairs}
    ours, theirs = (
        {(row.id, row.order): CODES[row.verdict] for row in rows if row.sample == 0 and row.verdict is not None}
        for rows in (first, second)
    )
    both = [key for key in ours if key in theirs and key[0] in clusters]
    names = (clusters[key[0]] for key in both)
    return table_agreement(names, ((ours[key], theirs[key]) for key in both), len(VERDICTS), resamples, seed)
