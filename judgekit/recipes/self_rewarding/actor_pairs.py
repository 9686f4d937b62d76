"""From scored responses to an actor's DPO pairs (Self-Rewarding, arXiv 2401.10020 §2.3; Meta-Rewarding, 2407.19594).

A response's score is the plain mean of its valid judgments. A pair is the best against the worst response of a prompt;
length control looks for a short one among the best and a long one among the worst.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from judgekit.randomness import pick
from judgekit.rows import Candidate, PointJudgment

ROUNDING = 1e-9
"""Forgives the last bits of means and of the edges of tiers."""


@dataclass(frozen=True, slots=True)
class ActorRules:
    """The choices that select an actor's pairs.

    :param rho: strength ρ of length control, 0 to 1; None: none, best against worst, drawn at random among equals
    :param min_valid: valid judgments a response needs to have a score
    :param max_chars: longest chosen response, characters
    """

    seed: int
    rho: float | None
    min_valid: int = 1
    max_chars: int | None = None


@dataclass(frozen=True, slots=True)
class ActorPair:
    """Two responses to one prompt with their scores."""

    chosen: Candidate
    rejected: Candidate
    chosen_score: float
    rejected_score: float


@dataclass
class ActorPairs:
    """Pairs in the order of the prompts, and what was dropped, by reason."""

    kept: list[ActorPair] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


def response_scores(judgments: Iterable[PointJudgment], min_valid: int) -> dict[str, float]:
    """The mean score of every response that has at least ``min_valid`` valid judgments, by its id."""
    sums: defaultdict[str, float] = defaultdict(float)
    counts: Counter[str] = Counter()
    # In order of samples: the order of rows must not change the last bit of a sum.
    for row in sorted(judgments, key=lambda row: row.sample):
        if row.score is not None:
            sums[row.id] += row.score
            counts[row.id] += 1
    return {name: total / counts[name] for name, total in sums.items() if counts[name] >= min_valid}


def length_controlled(scores: Sequence[float], lengths: Sequence[int], rho: float) -> tuple[int, int] | None:
    """Places of the chosen and the rejected response of a prompt (Meta-Rewarding §2.2, length control).

    Chosen is the shortest response that scores in [(1 − ρ)·Smax + ρ·Smin, Smax], rejected the longest one in
    [Smin, (1 − ρ)·Smin + ρ·Smax]. Of equally long ones the better is chosen and the worse rejected, then the first.
    From ρ = 0.5 on the tiers meet, and the chosen response need not score higher than the rejected one.

    :param lengths: in characters
    :return: None where Smax = Smin, or where both would be the same response
    """
    best, worst = max(scores), min(scores)
    if best - worst <= ROUNDING:
        return None
    lowest = (1 - rho) * best + rho * worst - ROUNDING
    highest = (1 - rho) * worst + rho * best + ROUNDING
    places = range(len(scores))
    chosen = min((i for i in places if scores[i] >= lowest), key=lambda i: (lengths[i], -scores[i]))
    rejected = min((i for i in places if scores[i] <= highest), key=lambda i: (-lengths[i], scores[i]))
    return None if chosen == rejected else (chosen, rejected)


def actor_pairs(candidates: Sequence[Candidate], judgments: Iterable[PointJudgment], rules: ActorRules) -> ActorPairs:
    """At most one pair of every prompt.

    :param candidates: those of one prompt follow each other
    """
    scores = response_scores(judgments, rules.min_valid)
    found = ActorPairs()
    for prompt, members in groupby(candidates, key=lambda row: row.prompt_id):
        rows = list(members)
        scored = [row for row in rows if row.id in scores]
        found.dropped["response with too few valid judgments"] += len(rows) - len(scored)
        pair = _pair(prompt, scored, scores, rules)
        if isinstance(pair, str):
            found.dropped[pair] += 1
        else:
            found.kept.append(pair)
    found.dropped += Counter()  # forget zero counts
    return found


def _pair(prompt: str, rows: Sequence[Candidate], scores: Mapping[str, float], rules: ActorRules) -> ActorPair | str:
    """The pair of a prompt, or why there is none."""
    if len(rows) < 2:
        return "prompt with fewer than two scored responses"
    values = [scores[row.id] for row in rows]
    best, worst = max(values), min(values)
    if best - worst <= ROUNDING:
        return "prompt whose responses all score the same"
    if rules.rho is None:
        chosen = pick([row for row in rows if scores[row.id] >= best - ROUNDING], rules.seed, prompt, "chosen")
        rejected = pick([row for row in rows if scores[row.id] <= worst + ROUNDING], rules.seed, prompt, "rejected")
    else:
        places = length_controlled(values, [len(row.text) for row in rows], rules.rho)
        if places is None:
            return "prompt whose shortest good and longest bad response are the same"
        chosen, rejected = rows[places[0]], rows[places[1]]
    if rules.max_chars is not None and len(chosen.text) > rules.max_chars:
        return "chosen response over max_response_chars"
    return ActorPair(chosen, rejected, scores[chosen.id], scores[rejected.id])
