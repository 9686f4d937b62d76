"""Filters of new prompts, ROUGE-L against ``rouge-score`` itself."""

from __future__ import annotations

import random

import pytest

from judgekit.data.novelty import Novelty, quality
from tests.data.rouge import RougeScorer


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Write a poem about rain", None),
        ("Erkläre mir den Regen", None),
        ("¿Qué es la lluvia hoy?", None),
        ("", "empty"),
        ("Hi", "too short"),
        ("word " * 151, "too long"),
        ("- a list item here", "begins with punctuation"),
        ("Draw a cat, please", "keyword"),
        ("Describe the Map of Rome", "keyword"),
        ("Mapping of genes in yeast", None),
    ],
)
def test_quality(text: str, reason: str | None) -> None:
    assert quality(text, ("draw", "map"), 3, 150) == reason


def test_the_shortcut_finds_what_comparing_all_finds() -> None:
    draw = random.Random(1)
    words = [f"w{i}" for i in range(6)]
    texts = [" ".join(draw.choices(words, k=draw.randint(3, 9))) for _ in range(120)]
    scorer = RougeScorer(["rougeL"])
    novelty, kept, found = Novelty(0.7), list[str](), 0
    for text in texts:
        slow = any(scorer.score(known, text)["rougeL"].fmeasure >= 0.7 for known in kept)
        assert (novelty.alike(text) is not None) == slow
        found += slow
        if not slow:
            novelty.add(text)
            kept.append(text)
    assert 5 < found < 100


def test_every_script_counts_and_texts_without_any_are_compared_as_they_are() -> None:
    novelty = Novelty(0.7, ["写一首诗", "Write a poem", "!?"])
    assert novelty.alike("写一首新诗") == "写一首诗" and novelty.alike("下雨了吗") is None
    assert novelty.alike("!?") == "!?" and novelty.alike("?!") is None
    assert novelty.alike("WRITE a poem!") == "Write a poem"
