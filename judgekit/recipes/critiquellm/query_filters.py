"""Filters of queries that a model wrote from seed queries: copies, sameness, balance.

CritiqueLLM (arXiv 2311.18702) keeps queries that are unlike the seeds (ROUGE-L), then unlike each other (self-BLEU),
then as many of each task type and difficulty. Its thresholds are not published. English and Chinese alike: a Chinese
character is a token, and so is a word of letters and digits.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from judgekit.data.novelty import Novelty
from judgekit.randomness import draw_bits
from judgekit.rows import Instruction

_ORDERS = 4
"""n-grams of BLEU."""


@dataclass(frozen=True, slots=True)
class Filtered:
    """What a filter keeps, in its order, and how many it dropped by reason."""

    kept: list[Instruction]
    dropped: Counter[str] = field(default_factory=Counter)


class SelfBleu:
    """Sentence BLEU of a text with all texts added so far as references, by ``sacrebleu`` (its ``zh`` tokens).

    The same as ``sacrebleu``'s ``BLEU(tokenize="zh", effective_order=True)``, without counting every reference anew for
    every text.
    """

    def __init__(self) -> None:
        from sacrebleu.tokenizers.tokenizer_zh import TokenizerZh

        self._tokenizer: Any = TokenizerZh()  # type: ignore[no-untyped-call]
        self._most: dict[tuple[str, ...], int] = {}
        self._lengths: set[int] = set()

    def add(self, text: str) -> None:
        """Make a text one of the references."""
        ngrams, length = self._ngrams(text)
        self._lengths.add(length)
        for ngram, count in ngrams.items():
            self._most[ngram] = max(count, self._most.get(ngram, 0))

    def score(self, text: str) -> float:
        """BLEU, 0 to 1; 0 without references."""
        from sacrebleu.metrics.bleu import BLEU

        if not self._lengths:
            return 0.0
        ngrams, length = self._ngrams(text)
        correct, total = [0] * _ORDERS, [0] * _ORDERS
        for ngram, count in ngrams.items():
            total[len(ngram) - 1] += count
            correct[len(ngram) - 1] += min(count, self._most.get(ngram, 0))
        nearest = min(self._lengths, key=lambda other: (abs(other - length), other))
        score = BLEU.compute_bleu(correct, total, length, nearest, smooth_method="exp", effective_order=True)
        return float(score.score) / 100

    def _ngrams(self, text: str) -> tuple[Mapping[tuple[str, ...], int], int]:
        from sacrebleu.metrics.helpers import extract_all_word_ngrams

        ngrams, length = extract_all_word_ngrams(self._tokenizer(text.rstrip()), 1, _ORDERS)
        return ngrams, length


def drop_copies(queries: Sequence[Instruction], seeds: Iterable[str], limit: float) -> Filtered:
    """Queries whose ROUGE-L with every seed is under ``limit``."""
    copies = Novelty(limit, seeds)
    found = Filtered([])
    for row in queries:
        if copies.alike(row.text) is not None:
            found.dropped["like a seed (ROUGE-L)"] += 1
        else:
            found.kept.append(row)
    return found


def drop_alike(queries: Sequence[Instruction], limit: float) -> Filtered:
    """Queries whose BLEU with those kept before them is under ``limit``."""
    scorer = SelfBleu()
    found = Filtered([])
    for row in queries:
        if scorer.score(row.text) >= limit:
            found.dropped["like another query (self-BLEU)"] += 1
        else:
            found.kept.append(row)
            scorer.add(row.text)
    return found


def balance(queries: Sequence[Instruction], levels: Mapping[str, int], count: int, seed: int) -> Filtered:
    """At most ``count`` queries, of every task type equally many, and within a type of every difficulty.

    Types (``category``) and levels that have too few leave their share to the others. Which queries of a type and level
    are taken is drawn by their ids.

    :param levels: difficulty by id; a query without one is dropped
    """
    cells: defaultdict[str, defaultdict[int, list[Instruction]]] = defaultdict(lambda: defaultdict(list))
    for row in queries:
        if row.id in levels:
            cells[row.category][levels[row.id]].append(row)
    sizes = {name: sum(map(len, by_level.values())) for name, by_level in cells.items()}
    chosen: set[str] = set()
    for name, share in even_shares(sizes, count).items():
        counts = {str(level): len(rows) for level, rows in sorted(cells[name].items())}
        for level, taken in even_shares(counts, share).items():
            ranked = sorted(cells[name][int(level)], key=lambda row: draw_bits(seed, row.id, "balance"))
            chosen |= {row.id for row in ranked[:taken]}
    dropped = Counter({"difficulty unknown": len(queries) - sum(sizes.values())})
    dropped["over its share of task type and difficulty"] = sum(sizes.values()) - len(chosen)
    return Filtered([row for row in queries if row.id in chosen], +dropped)


def even_shares(available: Mapping[str, int], wanted: int) -> dict[str, int]:
    """``wanted`` divided as evenly as what is available allows; what is left over goes by order of the names."""
    shares = dict.fromkeys(available, 0)
    left = min(wanted, sum(available.values()))
    while left:
        open_names = sorted(name for name in available if shares[name] < available[name])
        step = max(1, left // len(open_names))
        for name in open_names:
            gain = min(step, available[name] - shares[name], left)
            shares[name] += gain
            left -= gain
    return shares
