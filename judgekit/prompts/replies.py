"""What readers of replies share: where a text quotes, and which verdicts stand in its brackets.

A wrong reading does more harm than none, so whatever may be a mention of the format instead of a decision is none:
quotations, forms that name several verdicts. All functions take time linear in the text.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property

from judgekit.prompts.base import Reading
from judgekit.rows import Verdict

_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))
_BRACKETS = str.maketrans({"［": "[", "］": "]", "【": "[", "】": "]", "〔": "[", "〕": "]"})


def plain(text: str) -> str:
    """The text with full-width brackets as plain ones, and without characters that nobody sees."""
    return text.translate(_BRACKETS | _INVISIBLE)


_QUOTED = re.compile(
    r"```.*?```"  # a fence
    r"|~~~.*?~~~"
    r"|`[^`\n]+`"
    r"|(?m:^[ \t]{0,3}>[^\n]*)"  # a block quotation
    r"|\"(?:[^\"\n]|\n(?!\s*\n))*\""
    r"|“[^”]*”|„[^“”]*[“”]|«[^»]*»|「[^」]*」|『[^』]*』"
    r"|‘(?:[^‘’]|(?<=\w)’(?=\w))*’"
    r"|(?<!\w)'(?=\S)(?:[^'\n]|\n(?!\s*\n)|(?<=\w)'(?=\w))*'(?!\w)",
    re.DOTALL,
)


class Quotations:
    """Where a text quotes: in fences, block quotations, inline code and between quotation marks."""

    def __init__(self, text: str) -> None:
        """Look for them in ``text``."""
        spans = [found.span() for found in _QUOTED.finditer(text)]
        self._starts = [start for start, _ in spans]
        self._ends = [end for _, end in spans]

    def hold(self, start: int, end: int) -> bool:
        """Whether the characters from ``start`` to ``end`` all stand within one quotation."""
        index = bisect_right(self._starts, start) - 1
        return index >= 0 and end <= self._ends[index]


NAMES: Mapping[str, Verdict] = {"a": "A", "b": "B", "c": "tie", "tie": "tie"}
"""What decisions in brackets are called."""

_DECISION = re.compile(r"\[ ?\[([^\[\]\n]{1,40})\] ?\]|\\boxed\{\s*(?:\\text(?:bf)?\{)?([^{}\n]{1,40})\}")
_ALONE = re.compile(
    r"(?:(?:final|my|the)\s+){0,2}(?:(?:verdict|decision|answer|choice|winner)\s*(?:is)?\s*:?\s*)?"
    r"(?:\*\*|__|\*|\[|\()+([^*_\[\]()\n]{1,40})(?:\*\*|__|\*|\]|\))+",
    re.IGNORECASE,
)
_SEVERAL = re.compile(r"\s*(?:/|\||,|\bor\b|\band\b)\s*", re.IGNORECASE)
_CALLED = re.compile(r"(?:assistant|answer|response|option)\s+", re.IGNORECASE)


@dataclass(frozen=True)
class Decisions:
    r"""The verdicts a text names in its double brackets.

    - ``[[A]]`` in any case, with spaces, bold or full-width brackets, ``[[Assistant A]]``, and ``\boxed{A}``
    - ``[[A/B]]`` names both
    - where there is none of these, a bold or bracketed name that is the whole last line: ``Verdict: **A**``

    Other brackets (a matrix, a condition of a shell) name nothing.

    :param text: an answer, without its thought
    """

    text: str

    @cached_property
    def mentioned(self) -> frozenset[Verdict]:
        """All of them, in quotations too."""
        return frozenset().union(*(verdicts for _, _, verdicts in self._found))

    @cached_property
    def decided(self) -> frozenset[Verdict]:
        """Those outside quotations."""
        quotations = Quotations(self._text)
        return frozenset().union(*(verdicts for start, end, verdicts in self._found if not quotations.hold(start, end)))

    @cached_property
    def _text(self) -> str:
        return plain(self.text)

    @cached_property
    def _found(self) -> list[tuple[int, int, frozenset[Verdict]]]:
        found = [
            (match.start(), match.end(), verdicts)
            for match in _DECISION.finditer(self._text)
            if (verdicts := _named(match[1] or match[2]))
        ]
        if found:
            return found
        line = self._text.rstrip().rpartition("\n")[2]
        alone = _ALONE.fullmatch(line.strip().rstrip(".!")) if len(line) <= 120 else None
        verdicts = _named(alone[1]) if alone else frozenset()
        start = self._text.rfind(line)
        return [(start, start + len(line), verdicts)] if verdicts else []


def decide(text: str, truncated: bool = False, *, ties: bool = False) -> Reading:
    """The one verdict an answer decides for.

    :param truncated: the reply was cut; whatever it names so far is not its decision
    :param ties: a tie is a verdict; otherwise it is out of range
    """
    if truncated:
        return Reading(None, "truncated")
    return decided(Decisions(text).decided, ties=ties)


def decided(verdicts: AbstractSet[Verdict], *, ties: bool = False) -> Reading:
    """The reading of all verdicts decided for, of which there must be one."""
    if len(verdicts) != 1:
        return Reading(None, "ambiguous" if verdicts else "missing")
    (verdict,) = verdicts
    return Reading(verdict, None) if ties or verdict != "tie" else Reading(None, "out of range")


def _named(inner: str) -> frozenset[Verdict]:
    """The verdicts that the text between brackets stands for; none where any part of it is no name."""
    parts = [_CALLED.sub("", part.strip(" \t*_`'\"")) for part in _SEVERAL.split(unicodedata.normalize("NFKC", inner))]
    verdicts = {NAMES.get(part.strip().casefold()) for part in parts}
    return frozenset(verdict for verdict in verdicts if verdict) if None not in verdicts else frozenset()
