"""Worked critiques: what a program writes for its own verifiable tasks in place of a teacher (style ``brief``).

Each answer is checked by itself against the requirement before anything is decided, as in ``worked`` judgments. With a
reference the requirement is read off it, without one off the question.
"""

from __future__ import annotations

from dataclasses import dataclass

from judgekit.data.constraints import BY_NAME, SOURCE, TOPICS, items_of, kind_of
from judgekit.prompts.critiquellm import CritiquePair, CritiquePoint
from judgekit.randomness import shuffled
from judgekit.rows import Instruction, ResponsePair

GOOD, BAD = 8, 2
"""Score of an answer in the format asked for, as good as the reference, and of one in another."""


@dataclass(frozen=True, slots=True)
class WorkedCritiques:
    """All critiques of one pair.

    :param points: of response_a and response_b, with the reference; ``free_points`` without
    :param comparison: with the reference; ``free_comparison`` without
    """

    points: tuple[str, str]
    free_points: tuple[str, str]
    comparison: str
    free_comparison: str


def worked_reference(instruction: Instruction, seed: int) -> str | None:
    """Another good answer: other items in the format asked for; None for tasks a program knows nothing of."""
    if instruction.source != SOURCE:
        return None
    known = set(items_of(instruction))
    topic = next((items for items in TOPICS.values() if known <= set(items)), tuple(known))
    others = shuffled(topic, seed, instruction.id, "reference")[: len(known)]
    return BY_NAME[str(instruction.checker)].write(others)


def worked_critiques(
    instruction: Instruction, pair: ResponsePair, point: CritiquePoint, compare: CritiquePair
) -> WorkedCritiques | None:
    """The critiques of one pair; None for tasks a program knows nothing of."""
    if instruction.source != SOURCE:
        return None
    wanted, items = str(instruction.checker), items_of(instruction)
    kinds = [kind_of(response, items) for response in (pair.response_a, pair.response_b)]
    names = [kind.name if kind else "another format" for kind in kinds]
    good = [BY_NAME[wanted].check(response, items) for response in (pair.response_a, pair.response_b)]
    found = [f"{wanted if fits else name}: {_mark(fits)}" for name, fits in zip(names, good, strict=True)]
    place = 2 if good[0] == good[1] else 0 if good[0] else 1
    points = [f"Answer: {text}.\n{point.ending(GOOD if fits else BAD)}" for text, fits in zip(found, good, strict=True)]
    comparison = f"Assistant 1: {found[0]}.\nAssistant 2: {found[1]}.\n{compare.ending(place)}"
    seen, asked = f"The reference answer: {wanted}.\n", f"Requirement: {wanted}.\n"
    return WorkedCritiques(
        (seen + points[0], seen + points[1]), (asked + points[0], asked + points[1]), seen + comparison,
        asked + comparison,
    )  # fmt: skip


def _mark(fits: bool) -> str:
    return "match" if fits else "no match"
