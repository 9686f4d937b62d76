"""The number that a judge states as a score, in digits or in a word; never a part of a sum, a range or a correction."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from judgekit.prompts.base import ScoreReading

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_WORD = rf"\b(?:{'|'.join(_WORDS)})\b"
_PART = "[¼½¾⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]"
NUMBER = rf"(?:[-+]?(?:\d+(?:\.\d+)?(?:[ \t]?{_PART})?|{_PART})|{_WORD})"
"""Regular expression of a number, for those who look for where a score begins; to be matched without case."""

_POINTS = r"(?:\s*(?:points?\b|pts\b|分))?"
_OF = re.compile(rf"\s*[(（]?\s*(?:/|out of|of|满分)\s*({NUMBER}){_POINTS}\s*[)）]?", re.IGNORECASE)
_ONE = re.compile(rf"({NUMBER}){_POINTS}", re.IGNORECASE)
_SUM = re.compile(rf"({NUMBER}{_POINTS}(?:\s*[-+]\s*{NUMBER}{_POINTS})+)\s*\)?\s*=\s*", re.IGNORECASE)
_TERM = re.compile(rf"([-+]?)\s*({NUMBER})", re.IGNORECASE)
_NOTE = re.compile(r"\([^()\d¼½¾]*\)")
_MARKUP = re.compile(r"[*_`$]")
_FURTHER = re.compile(rf"\d|{_PART}|{_WORD.replace('one|', '')}", re.IGNORECASE)
"""A further number; "one" is too common a word."""
_GOES_ON = re.compile(rf"\s*(?:[+=]|[-–]\s*{NUMBER})", re.IGNORECASE)
_CORRECTED = re.compile(
    rf"(?:\b(?:correct(?:ion|ed)|actually|rather|instead|revis\w+|wait|sorry|no(?=[,.:;])|should be|make (?:it|that)|"
    rf"chang\w+ to|adjust\w+ to|final score)\b|更正|修正|应为|改为)[^\n\d]{{0,40}}?(?<![\d.])({NUMBER})",
    re.IGNORECASE,
)


def stated(text: str, high: float, after: str = "") -> float | str:
    """The score a text begins with: a number, ``N out of HIGH``, or the result of a sum; or why it is none.

    Reasons: ``missing`` (no number), ``not a number`` (as ``4,5`` or a sum without its result), ``ambiguous`` (a range,
    another number behind it, a correction), ``out of range`` (points out of another best score).

    :param text: from where the score begins to its end, mostly of the line
    :param high: best score of the scale
    :param after: the rest of the reply, where a correction may stand
    """
    text = _NOTE.sub("", _MARKUP.sub("", text.replace("−", "-"))).lstrip(" \t(<[\"'")
    total = _SUM.match(text)
    found = _ONE.match(text, total.end() if total else 0)
    if found is None:
        return "not a number" if total else "missing"
    score = _value(found[1])
    if total and abs(sum(_terms(total[1])) - score) > 1e-6:
        return "ambiguous"
    rest = text[found.end() :]
    best = _OF.match(rest)
    if best:
        rest = rest[best.end() :]
    if re.match(r"[.,]?\d|[A-Za-z%]|\s*[+=×^]", rest) or (found[1].isalpha() and re.search(r"\w", rest)):
        return "not a number"
    if _FURTHER.search(rest) or _GOES_ON.match(after) or any(_value(one) != score for one in _CORRECTED.findall(rest)):
        return "ambiguous"
    if any(_value(one) != score for one in _CORRECTED.findall(_MARKUP.sub("", after))):
        return "ambiguous"
    return "out of range" if best and _value(best[1]) != high else score


def one_score(found: Iterable[float | str], low: float, high: float) -> ScoreReading:
    """The score of all mentions of it, which must agree; those that are ``missing`` are none.

    :param found: from ``stated``
    """
    said = {one for one in found if one != "missing"}
    if len(said) != 1:
        return ScoreReading(None, "ambiguous" if said else "missing")
    (score,) = said
    if isinstance(score, str):
        return ScoreReading(None, score)
    return ScoreReading(score, None) if low <= score <= high else ScoreReading(None, "out of range")


def _value(number: str) -> float:
    """What a match of ``NUMBER`` is worth."""
    number = number.strip().lower()
    if number in _WORDS:
        return float(_WORDS.index(number))
    sign, digits = (-1.0 if number[0] == "-" else 1.0), number.lstrip("+-")
    part = unicodedata.numeric(digits[-1]) if re.match(_PART, digits[-1]) else None
    whole = digits if part is None else digits[:-1].strip()
    return sign * (float(whole or 0) + (part or 0.0))


def _terms(text: str) -> list[float]:
    return [-_value(number) if sign == "-" else _value(number) for sign, number in _TERM.findall(text)]
