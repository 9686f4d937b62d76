"""What stands in a critique: a text and a score by dimension, and what makes it unfit to train on.

The paper filters "by rules" after every step without giving them (arXiv 2311.18702, Eval-Instruct); these check what
its prompts ask for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from judgekit.prompts.critiquellm import LABELS, SCALE, CritiquePair, CritiquePoint
from judgekit.prompts.scores import stated

MOST_MOVED = 1
"""Points a score may move when a critique is rewritten without its reference (R2RF)."""

_NUMBER = r"(\d+(?:\.\d+)?)"
_STATED = rf"[ \t:：*(（=]{{0,6}}(?:(?:is|of|为|是)[ \t:：]*)?{_NUMBER}(?!\d|\.\d|\s*(?:[-–~到至]|to)\s*10)"
"""A score behind its name in prose; "(1-10)" is the scale."""
_LAST_DICTIONARY = re.compile(r"\{[^{}]*\}\s*\Z")
_NEXT_NUMBER = re.compile(r"\n[^\w\n]*\d+\W*\Z")
_REFERENCE = re.compile(r"参考答案|参考回答|标准答案|\breference (?:answer|response)|\bthe reference\b", re.IGNORECASE)
_CITED = re.compile(
    rf"综合得分|得分|打分|(?<![\d.]){_NUMBER}\s*分(?![钟之析别支])|overall score|"
    rf"\b(?:scor\w*|rat(?:ed|ing))\W+(?:\w+\W+){{0,2}}?{_NUMBER}|\b{_NUMBER}\s*/\s*10\b|"
    rf"\b{_NUMBER} (?:points|out of)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Section:
    """What a critique says on one dimension.

    :param score: the score in front of the text, None where there is none
    """

    name: str
    score: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Critique:
    """A pointwise critique.

    :param sections: of the dimensions that are named, in order of the text
    :param scores: those of the dictionary at the end, by dimension
    """

    sections: tuple[Section, ...]
    scores: dict[str, float]
    overall: float | None


def read_critique(text: str, protocol: CritiquePoint, names: Sequence[str]) -> Critique:
    """The parts of a critique by dimension; what is not there is left out.

    :param names: the dimensions
    """
    body, ending = split_ending(text)
    scores = {}
    for name in names:
        found = re.search(rf"['\"]{re.escape(name)}['\"]\s*[:：]\s*([^,，}}\n]*)", ending)
        score = stated(found[1], SCALE[1]) if found else None
        if isinstance(score, float):
            scores[name] = score
    return Critique(_sections(body, names), scores, protocol.read_score(text, False).score)


def split_ending(text: str) -> tuple[str, str]:
    """A critique's text and the dictionary at its end, which may be missing."""
    found = _LAST_DICTIONARY.search(text)
    return (text[: found.start()], found[0]) if found else (text, "")


def _sections(body: str, names: Sequence[str]) -> tuple[Section, ...]:
    """Each dimension from its first mention, with the number right behind it, to the first mention of the next."""
    heads = []
    for name in names:
        pattern = rf"{re.escape(name)}(?:\W{{0,6}}(?:score|得分|打分)?\W{{0,4}}?{_NUMBER}(?:\s*分|/10)?)?"
        found = re.search(pattern, body, re.IGNORECASE)
        if found:
            heads.append((found.start(), found.end(), name, float(found[1]) if found[1] else None))
    heads.sort()
    ends = [*(start for start, *_ in heads[1:]), len(body)]
    return tuple(
        Section(name, score, _NEXT_NUMBER.sub("", body[start:end]).strip(" \t\n:：.。*-,，)）、"))
        for (_, start, name, score), end in zip(heads, ends, strict=False)
    )


def point_fault(
    text: str,
    truncated: bool,
    protocol: CritiquePoint,
    names: Sequence[str],
    *,
    referenced: bool,
    before: Critique | None = None,
) -> str | None:
    """Why a pointwise critique cannot be used; None when it can.

    :param names: dimensions it must treat
    :param referenced: it may mention the reference
    :param before: the critique it was rewritten from, whose scores it must stay close to
    """
    reading = protocol.read_score(text, truncated)
    if reading.invalid is not None:
        return reading.invalid
    overall = re.escape(LABELS[protocol.config.style].overall)
    body, ending = split_ending(text)
    if not re.search(rf"['\"]{overall}['\"]\s*[:：]", ending):
        return "no overall score at the end"
    told = re.findall(rf"{overall}{_STATED}", body, re.IGNORECASE)
    if any(float(number) != reading.score for number in told):
        return "scores differ"
    found = read_critique(text, protocol, names)
    given = [*found.scores.values(), reading.score or 0.0]
    if any(score != int(score) for score in given):
        return "score not whole"
    if any(not SCALE[0] <= score <= SCALE[1] for score in given):
        return "out of range"
    if {section.name for section in found.sections if section.text} < set(names):
        return "dimension missing"
    if set(found.scores) < set(names):
        return "dimension without a score"
    if any(section.score is not None and section.score != found.scores[section.name] for section in found.sections):
        return "scores differ"
    if before is not None and _moved(before, found) > MOST_MOVED:
        return "score moved"
    return None if referenced else _mention(text)


def _moved(before: Critique, after: Critique) -> float:
    moved = [abs(after.scores[name] - score) for name, score in before.scores.items() if name in after.scores]
    return max([*moved, abs((after.overall or 0.0) - (before.overall or 0.0))])


def pair_fault(
    text: str, truncated: bool, protocol: CritiquePair, names: Sequence[str], *, referenced: bool
) -> str | None:
    """Why a comparison cannot be used; None when it can. Parameters as ``point_fault``."""
    reading = protocol.read(text, truncated)
    if reading.invalid is not None:
        return reading.invalid
    body, ending = split_ending(text)
    if not ending:
        return "text after the verdict"
    if any(name.casefold() not in body.casefold() for name in names):
        return "dimension missing"
    if _CITED.search(body):
        return "cites scores"
    return None if referenced else _mention(text)


def _mention(text: str) -> str | None:
    return "mentions the reference" if _REFERENCE.search(text) else None
