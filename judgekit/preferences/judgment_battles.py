"""From compared judgments to a judge's DPO pairs (Meta-Rewarding, arXiv 2407.19594 §2.3).

Of every prompt the response whose judgments disagree most is taken, and all pairs of its judgments are compared in both
orders by the meta-judge. Verdicts are weighted by position, summed into a battle matrix, and Elo picks the best and the
worst judgment.

Shapes: P prompts, J judgments of one response.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations, groupby

import numpy as np
import numpy.typing as npt

from judgekit.randomness import pick
from judgekit.rows import Candidate, Judgment, PointJudgment
from judgekit.stats.bradley_terry import ALPHA, DIGITS, FloatArray, estimate

IntArray = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Contest:
    """A response whose judgments are compared; ``judgments`` are valid, of different texts, in order of samples."""

    candidate: Candidate
    judgments: tuple[PointJudgment, ...]

    @property
    def pairs(self) -> list[tuple[str, PointJudgment, PointJudgment]]:
        """Every two judgments with the id of their comparison."""
        return [(comparison(self.candidate, a, b), a, b) for a, b in combinations(self.judgments, 2)]


@dataclass
class Contests:
    """At most one of every prompt, in the order of the prompts, and what was dropped, by reason."""

    kept: list[Contest] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class PositionWeights:
    """How often the meta-judge preferred the judgment shown first and the one shown second, over a whole run.

    ω1 weighs a win of the judgment shown first, ω2 one of the judgment shown second; they sum to 1, and a win from the
    position that wins more often counts less. Without any win both are one half.
    """

    first: int
    second: int

    @property
    def omega1(self) -> float:
        """ω1 = second / (first + second)."""
        wins = self.first + self.second
        return self.second / wins if wins else 0.5

    @property
    def omega2(self) -> float:
        """ω2 = first / (first + second)."""
        return 1.0 - self.omega1


@dataclass(frozen=True, slots=True)
class JudgePair:
    """Two judgments of one response with their strengths in log odds."""

    candidate: Candidate
    chosen: PointJudgment
    rejected: PointJudgment
    chosen_strength: float
    rejected_strength: float


@dataclass
class JudgePairs:
    """Pairs in the order of the contests, and what was dropped, by reason."""

    kept: list[JudgePair] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


def comparison(candidate: Candidate, one: PointJudgment, two: PointJudgment) -> str:
    """Id of the comparison of two judgments of a response."""
    return f"{candidate.id}#{one.sample}-{two.sample}"


def contests(
    candidates: Sequence[Candidate], judgments: Iterable[PointJudgment], min_valid: int, seed: int
) -> Contests:
    """The response of largest score variance of every prompt; among equals one is drawn.

    Judgments of the same text count once here: one against itself has no winner.

    :param candidates: those of one prompt follow each other
    :param min_valid: valid judgments a response needs
    """
    valid: dict[str, list[PointJudgment]] = {}
    for row in sorted(judgments, key=lambda row: row.sample):
        if row.score is not None:
            valid.setdefault(row.id, []).append(row)
    found = Contests()
    for prompt, members in groupby(candidates, key=lambda row: row.prompt_id):
        usable = [row for row in members if len(valid.get(row.id, ())) >= max(2, min_valid)]
        if not usable:
            found.dropped["prompt without a response with enough valid judgments"] += 1
            continue
        variances = [round(_variance(valid[row.id]), DIGITS) for row in usable]
        top = [row for row, variance in zip(usable, variances, strict=True) if variance == max(variances)]
        chosen = pick(top, seed, prompt, "highest variance")
        different = {row.text.strip(): row for row in reversed(valid[chosen.id])}
        rows = tuple(sorted(different.values(), key=lambda row: row.sample))
        if len(rows) < 2:
            found.dropped["prompt whose judgments to compare are all the same"] += 1
        else:
            found.kept.append(Contest(chosen, rows))
    return found


def _variance(rows: Sequence[PointJudgment]) -> float:
    return float(np.var([row.score for row in rows if row.score is not None]))


def outcomes(found: Sequence[Contest], verdicts: Iterable[Judgment]) -> IntArray:
    """r[p, m, n]: 1 if judgment m, shown first, was preferred to n, −1 if n was, 0 without a winner, (P, J, J).

    J is the largest number of judgments; rows and columns of judgments that are not there are 0.
    """
    most = max((len(contest.judgments) for contest in found), default=0)
    places = {
        name: (number, m, n)
        for number, contest in enumerate(found)
        for (name, _, _), (m, n) in zip(contest.pairs, combinations(range(len(contest.judgments)), 2), strict=True)
    }
    r_PJJ = np.zeros((len(found), most, most), dtype=np.int8)
    for row in verdicts:
        number, m, n = places[row.id]
        if row.verdict in ("A", "B"):
            first, second = (m, n) if row.order == "ab" else (n, m)
            r_PJJ[number, first, second] = 1 if (row.verdict == "A") == (row.order == "ab") else -1
    return r_PJJ


def position_weights(r_PJJ: IntArray) -> PositionWeights:
    """Wins by position over all comparisons of a run."""
    return PositionWeights(int((r_PJJ == 1).sum()), int((r_PJJ == -1).sum()))


def battle_matrices(r_PJJ: IntArray, weights: PositionWeights) -> FloatArray:
    """B[p, m, n] = ω1·1[r_mn = 1] + ω2·1[r_nm = −1]: what m won against n, (P, J, J)."""
    won_first = r_PJJ == 1
    won_second = np.swapaxes(r_PJJ, -1, -2) == -1
    return np.asarray(weights.omega1 * won_first + weights.omega2 * won_second, dtype=np.float64)


def strengths(r_PJJ: IntArray, weights: PositionWeights, alpha: float = ALPHA) -> FloatArray:
    """Maximum-likelihood strengths from the battle matrices, in log odds, (P, J).

    They maximise Σ B_mn log σ(ε_m − ε_n) − α Σ ε². The papers give neither penalty nor scale; without a penalty a
    judgment that never loses has no finite strength. Judgments that are not there get 0 and change nothing.
    """
    return np.asarray(estimate(battle_matrices(r_PJJ, weights), alpha).round(DIGITS))


def contest_pairs(
    found: Sequence[Contest],
    verdicts: Iterable[Judgment],
    *,
    seed: int,
    alpha: float = ALPHA,
    max_chars: int | None = None,
) -> JudgePairs:
    """The strongest against the weakest judgment of every contest; among equals one is drawn.

    :param max_chars: drop pairs whose chosen judgment is longer, characters
    """
    r_PJJ = outcomes(found, verdicts)
    strengths_PJ = strengths(r_PJJ, position_weights(r_PJJ), alpha)
    pairs = JudgePairs()
    for contest, row_J in zip(found, strengths_PJ, strict=True):
        values = [float(value) for value in row_J[: len(contest.judgments)]]
        best, worst = max(values), min(values)
        if best == worst:
            pairs.dropped["prompt whose judgments are equally strong"] += 1
            continue
        ranked = list(zip(contest.judgments, values, strict=True))
        name = contest.candidate.id
        chosen = pick([row for row, value in ranked if value == best], seed, name, "chosen judgment")
        rejected = pick([row for row, value in ranked if value == worst], seed, name, "rejected judgment")
        if max_chars is not None and len(chosen.text) > max_chars:
            pairs.dropped["chosen judgment over max_judgment_chars"] += 1
            continue
        pairs.kept.append(JudgePair(contest.candidate, chosen, rejected, best, worst))
    return pairs
