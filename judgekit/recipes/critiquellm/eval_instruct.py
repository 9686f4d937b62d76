"""From a teacher's critiques to SFT rows (Eval-Instruct of CritiqueLLM, arXiv 2311.18702).

Comparisons without a reference reach the teacher's data by two paths; only those on which both agree are kept, and of
those both texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from judgekit.prompts.critiquellm import CritiquePair, CritiquePoint
from judgekit.prompts.mentions import swap_mentions
from judgekit.rows import Demonstration, Judgment, Response, ResponsePair
from judgekit.score_rows import ScoreRow


@dataclass(frozen=True, slots=True)
class AgreedPaths:
    """Comparisons on which both paths agree, and how many are dropped by reason.

    :param kept: (of path 1, of path 2), in order of path 1
    """

    kept: list[tuple[Judgment, Judgment]]
    dropped: Counter[str] = field(default_factory=Counter)


def cross_validate(first: Sequence[Judgment], second: Sequence[Judgment]) -> AgreedPaths:
    """The comparisons of the same pair whose verdicts are equal.

    :param first: of path 1, at most one of each pair; ``second`` of path 2 likewise. All have verdicts
    """
    others = {row.id: row for row in second}
    found = AgreedPaths([])
    for row in first:
        other = others.pop(row.id, None)
        if other is None:
            found.dropped["no comparison on path 2"] += 1
        elif other.verdict != row.verdict:
            found.dropped["the paths disagree"] += 1
        else:
            found.kept.append((row, other))
    found.dropped["no comparison on path 1"] += len(others)
    return AgreedPaths(found.kept, +found.dropped)


def responses_of(pairs: Sequence[ResponsePair]) -> list[Response]:
    """Both responses of every pair, with ids ``PAIR/a`` and ``PAIR/b``."""
    return [
        Response(f"{pair.id}/{side}", pair.instruction, text, pair.reference, subset=pair.subset)
        for pair in pairs
        for side, text in (("a", pair.response_a), ("b", pair.response_b))
    ]


def point_rows(
    kind: str, rows: Sequence[ScoreRow], responses: Mapping[str, Response], protocol: CritiquePoint
) -> list[Demonstration]:
    """Pointwise critiques on the judge's own prompt.

    :param kind: begins the ids
    :param responses: by id
    :param protocol: shows the reference or not
    """
    return [Demonstration(f"{kind}/{row.id}", protocol.score_prompt(responses[row.id]), row.text) for row in rows]


def pair_rows(
    kind: str, rows: Sequence[Judgment], pairs: Mapping[str, ResponsePair], protocol: CritiquePair, *, swap: bool
) -> list[Demonstration]:
    """Comparisons on the judge's own prompt.

    :param kind: begins the ids
    :param pairs: by id
    :param protocol: shows the reference or not
    :param swap: every comparison once more with its answers in the other order
    """
    made = []
    for row in rows:
        pair = pairs[row.id]
        made.append(Demonstration(f"{kind}/{row.id}/ab", protocol.judge_prompt(pair, "ab"), row.text))
        if swap:
            text = swap_mentions(row.text)
            made.append(Demonstration(f"{kind}/{row.id}/ba", protocol.judge_prompt(pair, "ba"), text))
    return made
