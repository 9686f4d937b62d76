"""Filters of written queries, against ``rouge-score`` and ``sacrebleu`` themselves."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest
from sacrebleu.metrics.bleu import BLEU

from judgekit.data.novelty import Novelty, tokens
from judgekit.recipes.critiquellm.query_filters import Filtered, SelfBleu, balance, drop_alike, drop_copies, even_shares
from judgekit.rows import Instruction
from tests.data.rouge import RougeScorer

ENGLISH = "write a short story about the red fox and list three facts name 7 rivers in Kenya".split()
CHINESE = "写一篇关于红狐狸的短文列出三个事实并说明原因春夏秋冬"


def english(rng: random.Random) -> str:
    return " ".join(rng.choices(ENGLISH, k=rng.randint(1, 12))) + rng.choice(["", ".", "?", "!"])


def chinese(rng: random.Random) -> str:
    return "".join(rng.choices(CHINESE, k=rng.randint(1, 14))) + rng.choice(["", "。", "？", " GPT4 "])


def as_words(text: str) -> str:
    """Every character that is no Latin one as an ASCII word, so that the library's own tokenizer can read it."""
    spelled = (f" u{ord(c):x} " if "\u4e00" <= c <= "\u9fff" else c if c.isascii() else " " for c in text)
    return "".join(spelled)


def rows(*texts: str, category: str = "t") -> list[Instruction]:
    return [Instruction(str(number), text, "s", category) for number, text in enumerate(texts)]


@pytest.mark.parametrize("write", [english, chinese])
def test_rouge_l_equals_the_library(write: Callable[[random.Random], str]) -> None:
    rng, library = random.Random(1), RougeScorer(["rougeL"])
    for _ in range(40):
        seeds = [write(rng) for _ in range(6)]
        text = write(rng)
        best = max(library.score(as_words(seed), as_words(text))["rougeL"].fmeasure for seed in seeds)
        if best > 0:
            assert Novelty(best, seeds).alike(text) is not None
        assert Novelty(best + 1e-8, seeds).alike(text) is None


@pytest.mark.parametrize("write", [english, chinese])
def test_self_bleu_equals_the_library(write: Callable[[random.Random], str]) -> None:
    rng, library = random.Random(2), BLEU(tokenize="zh", effective_order=True)
    scorer, added = SelfBleu(), list[str]()
    assert scorer.score("anything") == 0.0
    for _ in range(30):
        text = write(rng)
        if added:
            assert scorer.score(text) == pytest.approx(library.sentence_score(text, added).score / 100, abs=1e-12)
        scorer.add(text)
        added.append(text)
    assert scorer.score(added[3]) == pytest.approx(1.0)


def test_english_self_bleu_is_that_of_the_common_tokenizer() -> None:
    rng, library, scorer = random.Random(3), BLEU(effective_order=True), SelfBleu()
    texts = [english(rng) for _ in range(10)]
    for text in texts[1:]:
        scorer.add(text)
    assert scorer.score(texts[0]) == pytest.approx(library.sentence_score(texts[0], texts[1:]).score / 100)


def test_chinese_characters_are_tokens_and_words_stay_whole() -> None:
    assert tokens("用Python3写 two_words，ÄRA!") == ["用", "python3", "写", "two", "words", "ära"]


def test_copies_of_seeds_are_dropped() -> None:
    found = drop_copies(
        rows("Name three rivers.", "name three rivers", "请写一首诗", "Why is it?"),
        ["Name three rivers in Asia", "请写一首春天的诗"],
        0.7,
    )
    # 3 tokens of 3 and 5: F = 2·3/8 = 0.75, twice; 5 of 5 and 8: 10/13 = 0.77
    assert [row.text for row in found.kept] == ["Why is it?"]
    assert found.dropped == {"like a seed (ROUGE-L)": 3}
    assert drop_copies(rows("a b", "c"), [], 0.5) == Filtered(rows("a b", "c"))


def test_of_queries_that_are_alike_the_first_stays() -> None:
    texts = ("Name three rivers of Asia.", "Why do cats purr at night?", "Name three rivers of Asia!", "写一首诗")
    found = drop_alike(rows(*texts), 0.5)
    assert [row.id for row in found.kept] == ["0", "1", "3"]
    assert found.dropped == {"like another query (self-BLEU)": 1}


def test_types_and_difficulties_are_balanced() -> None:
    # 6 of type x (levels 1 1 1 1 2 3), 2 of type y, 1 without a level
    queries = [*rows(*"abcdef", category="x"), *(Instruction(f"y{n}", "?", "s", "y") for n in range(2))]
    queries.append(Instruction("z", "?", "s", "z"))
    levels = dict(zip("012345", (1, 1, 1, 1, 2, 3), strict=True)) | {"y0": 1, "y1": 1}
    found = balance(queries, levels, 6, seed=3)
    # y has 2 of its 3; x takes 4: 1 and 1 of levels 2 and 3, the other 2 of level 1
    assert Counter(row.category for row in found.kept) == {"x": 4, "y": 2}
    assert Counter(levels[row.id] for row in found.kept if row.category == "x") == {1: 2, 2: 1, 3: 1}
    assert found.dropped == {"difficulty unknown": 1, "over its share of task type and difficulty": 2}
    assert balance(queries[::-1], levels, 6, seed=3).kept == found.kept[::-1]
    assert len(balance(queries, levels, 99, seed=3).kept) == 8


def test_shares_are_even_as_far_as_there_is_enough() -> None:
    assert even_shares({"a": 10, "b": 1, "c": 10}, 8) == {"a": 4, "b": 1, "c": 3}
    assert even_shares({"a": 1, "b": 2}, 9) == {"a": 1, "b": 2}
    assert even_shares({}, 3) == {} and even_shares({"a": 2}, 0) == {"a": 0}
