"""Which of the prompts a model wrote are worth keeping: Self-Instruct's filters (arXiv 2212.10560 §2.2).

ROUGE-L is our own, on tokens that also fit Chinese; tests compare it with ``rouge-score``, whose import of ``absl``
would install a log handler that closes streams it does not own.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence

import numpy as np

_HAN = "\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_HAN}]|[^\W_{_HAN}]+")


def quality(text: str, keywords: Collection[str], min_words: int, max_words: int) -> str | None:
    """Why a prompt is not used whatever the others are, None when it may be.

    :param keywords: words that ask for more than text, in lower case
    """
    words = text.split()
    if not words:
        return "empty"
    if len(words) < min_words:
        return "too short"
    if len(words) > max_words:
        return "too long"
    if not text[0].isalnum() and text[0] not in "\"'“‘¿¡(<[{`":
        return "begins with punctuation"
    return "keyword" if set(re.findall(r"\w+", text.casefold())) & set(keywords) else None


def tokens(text: str) -> list[str]:
    """Words of letters and digits in lower case, and each Chinese or Japanese character by itself."""
    return _TOKEN.findall(text.casefold())


def rouge_l(one: Sequence[str], two: Sequence[str]) -> float:
    """ROUGE-L F-measure of two lists of tokens (Lin 2004): twice their longest common subsequence over their lengths.

    The subsequence is found with one bit a token (Hyyrö 2004), so whole pools of prompts are compared in seconds.
    """
    if not one or not two:
        return 0.0
    places: defaultdict[str, int] = defaultdict(int)
    for place, token in enumerate(one):
        places[token] |= 1 << place
    row = whole = (1 << len(one)) - 1
    for token in two:
        met = row & places.get(token, 0)
        row = ((row + met) | (row - met)) & whole
    return 2 * (len(one) - row.bit_count()) / (len(one) + len(two))


class Novelty:
    """Remembers texts, and tells whether a new one is too much like one of them.

    Two texts are alike when their ROUGE-L F-measure is at least ``limit``, more than 0. As the longest common
    subsequence is no longer than the number of common tokens, only texts with enough of those are compared in full.
    """

    def __init__(self, limit: float, known: Iterable[str] = ()) -> None:
        """:param known: texts to begin with."""
        self._limit = limit - 1e-9
        self._texts: list[str] = []
        self._tokens: list[list[str]] = []
        self._lengths = array("q")
        self._places: defaultdict[tuple[str, int], array[int]] = defaultdict(lambda: array("q"))
        for text in known:
            self.add(text)

    def add(self, text: str) -> None:
        """Remember a text."""
        found = tokens(text)
        for token, count in Counter(found).items():
            for nth in range(count):  # the n-th occurrence of a token matches the n-th one
                self._places[token, nth].append(len(self._texts))
        self._texts.append(text)
        self._tokens.append(found)
        self._lengths.append(len(found))

    def alike(self, text: str) -> str | None:
        """A remembered text that is too much like this one, None when there is none.

        Texts without letters and digits are alike when they are equal.
        """
        found = tokens(text)
        if not found:
            return next((known for known in self._texts if known == text), None)
        common = np.zeros(len(self._texts), dtype=np.int64)
        for token, count in Counter(found).items():
            for nth in range(count):
                if (token, nth) in self._places:
                    common[np.frombuffer(self._places[token, nth], dtype=np.int64)] += 1
        lengths = np.frombuffer(self._lengths, dtype=np.int64) if self._lengths else common
        close = np.flatnonzero(2 * common >= self._limit * (lengths + len(found)))
        near = (place for place in close if rouge_l(self._tokens[place], found) >= self._limit)
        return next((self._texts[place] for place in near), None)
