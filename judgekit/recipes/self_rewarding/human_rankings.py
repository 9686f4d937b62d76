"""Seed data from responses that people ranked (Self-Rewarding, arXiv 2401.10020 §2.1 and §3.1).

IFT demonstrations are prompts with the response ranked first. EFT demonstrations are judgments of ranked responses that
order them as people do.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from judgekit.randomness import draw_bits, pick
from judgekit.rows import PointJudgment, ScoredResponse


def first_ranked(rows: Iterable[ScoredResponse], seed: int) -> list[ScoredResponse]:
    """The best response of every group, in the order of the groups; among equals one is drawn."""
    return [
        pick([row for row in group if row.score == max(one.score for one in group)], seed, name, "first ranked")
        for name, group in by_group(rows).items()
    ]


def by_group(rows: Iterable[ScoredResponse]) -> dict[str, list[ScoredResponse]]:
    """Responses by group."""
    groups: defaultdict[str, list[ScoredResponse]] = defaultdict(list)
    for row in rows:
        groups[row.group].append(row)
    return dict(groups)


def agreeing(
    rows: Iterable[ScoredResponse], judgments: Iterable[PointJudgment]
) -> tuple[list[PointJudgment], Counter[str]]:
    """Judgments of every group that order its responses as people do, and why groups have none.

    A group's judgments of one sample index belong together; the first index whose valid scores agree is taken. They
    agree when every response that people rank higher has the higher score.
    """
    given = {(row.id, row.sample): row for row in judgments}
    samples = sorted({sample for _, sample in given})
    kept: list[PointJudgment] = []
    dropped: Counter[str] = Counter()
    for group in by_group(rows).values():
        tries = [[given.get((row.id, sample)) for row in group] for sample in samples]
        whole = [found for found in tries if all(one is not None and one.score is not None for one in found)]
        right = next((found for found in whole if _agree(group, found)), None)
        if right is not None:
            kept += [one for one in right if one is not None]
        elif whole:
            dropped["group whose scores never order it as people do"] += 1
        else:
            dropped["group without a valid judgment of every response"] += 1
    return kept, dropped


def _agree(group: Sequence[ScoredResponse], judgments: Sequence[PointJudgment | None]) -> bool:
    pairs = combinations(zip(group, judgments, strict=True), 2)
    for (one, judged_one), (two, judged_two) in pairs:
        assert judged_one is not None and judged_two is not None
        assert judged_one.score is not None and judged_two.score is not None
        if (one.score - two.score) * (judged_one.score - judged_two.score) <= 0 and one.score != two.score:
            return False
    return True


def resample_scores(judgments: Sequence[PointJudgment], share: float, seed: int) -> list[PointJudgment]:
    """Cut frequent scores, drawn by id, until no score holds more than ``share`` of what is left.

    Where that cannot be (fewer different scores than 1 / share) all scores are cut to the rarest one's count.

    :param judgments: all of them valid
    """
    members: defaultdict[float, list[PointJudgment]] = defaultdict(list)
    for row in judgments:
        assert row.score is not None
        members[row.score].append(row)
    most = _cap({score: len(rows) for score, rows in members.items()}, share)
    kept: set[tuple[str, int]] = set()
    for rows in members.values():
        ranked = sorted(rows, key=lambda row: draw_bits(seed, row.id, row.sample, "resample"))
        kept |= {(row.id, row.sample) for row in ranked[:most]}
    return [row for row in judgments if (row.id, row.sample) in kept]


def _cap(counts: Mapping[float, int], share: float) -> int:
    """The most that may be kept of one score."""
    if not counts:
        return 0
    low, high = min(counts.values()), max(counts.values())
    allowed = (cap for cap in range(high, low, -1) if cap <= share * sum(min(n, cap) for n in counts.values()) + 1e-9)
    return next(allowed, low)
