"""Which of the prompts a model wrote are worth keeping: Self-Instruct's filters (arXiv 2212.10560 §2.2)."""

from __future__ import annotations

import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable

import numpy as np


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


class Novelty:
    """Remembers prompts, and tells whether a new one is too much like one of them.

    Two prompts are alike when their ROUGE-L F-measure, on the tokens of ``rouge-score`` without stemming, is at least
    ``limit``. As the longest common subsequence is no longer than the number of common tokens, only prompts with enough
    of those are compared in full.
    """

    def __init__(self, limit: float, known: Iterable[str] = ()) -> None:
        """:param known: prompts to begin with."""
        from rouge_score.rouge_scorer import RougeScorer
        from rouge_score.tokenizers import DefaultTokenizer

        self._limit = limit
        self._scorer = RougeScorer(["rougeL"])
        self._tokenizer = DefaultTokenizer(use_stemmer=False)
        self._texts: list[str] = []
        self._lengths = array("q")
        self._places: defaultdict[tuple[str, int], array[int]] = defaultdict(lambda: array("q"))
        for text in known:
            self.add(text)

    def add(self, text: str) -> None:
        """Remember a prompt."""
        tokens = self._tokenizer.tokenize(text)
        for token, count in Counter(tokens).items():
            for nth in range(count):  # the n-th occurrence of a token matches the n-th one
                self._places[token, nth].append(len(self._texts))
        self._texts.append(text)
        self._lengths.append(len(tokens))

    def alike(self, text: str) -> str | None:
        """A remembered prompt that is too much like this one, None when there is none.

        Texts without tokens (``rouge-score`` knows letters a to z and digits only) are alike when they are equal.
        """
        tokens = self._tokenizer.tokenize(text)
        if not tokens:
            return next((known for known in self._texts if known == text), None)
        common = np.zeros(len(self._texts), dtype=np.int64)
        for token, count in Counter(tokens).items():
            for nth in range(count):
                if (token, nth) in self._places:
                    common[np.frombuffer(self._places[token, nth], dtype=np.int64)] += 1
        lengths = np.frombuffer(self._lengths, dtype=np.int64) if self._lengths else common
        close = np.flatnonzero(2 * common >= self._limit * (lengths + len(tokens)) - 1e-9)
        found = (self._texts[place] for place in close)
        return next((known for known in found if self._rouge(known, text) >= self._limit - 1e-9), None)

    def _rouge(self, one: str, two: str) -> float:
        return float(self._scorer.score(one, two)["rougeL"].fmeasure)
