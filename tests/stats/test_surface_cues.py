"""Which cue gives a label away, on texts made so that one cue does."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from judgekit.stats.surface_cues import CUES, Contrast, _differences, _fit, cue_accuracy

WORDS = [f"w{number}" for number in range(60)]


def text(drawn: random.Random, words: int) -> str:
    return " ".join(drawn.choice(WORDS) for _ in range(words))


def contrasts(better: str, worse: str, count: int = 300, words: tuple[int, int] = (12, 20)) -> list[Contrast]:
    """Random texts between what is put before and after those of either side."""
    drawn = random.Random(1)

    def made(frame: str) -> str:
        return frame.replace("TEXT", text(drawn, drawn.randint(*words)))

    return [Contrast(str(number), made(better), made(worse)) for number in range(count)]


def test_texts_that_differ_in_nothing_are_told_by_chance() -> None:
    found = cue_accuracy(contrasts("TEXT.", "TEXT."), seed=0)
    assert found.keys() == {"length", "first_words", "end", "markup", "words"}
    for estimate in found.values():
        assert estimate.value is not None and estimate.ci95 is not None and estimate.n == 300
        assert 0.4 < estimate.value < 0.6 and estimate.ci95[0] < 0.5 < estimate.ci95[1]


@pytest.mark.parametrize(
    ("better", "worse", "telling"),
    [
        ("Sure, TEXT.", "Well, TEXT.", {"first_words", "words"}),
        ("TEXT", "TEXT.", {"end", "markup", "words"}),
        ("TEXT", "TEXT TEXT", {"length", "words"}),
        ("## TEXT", "TEXT", {"markup", "first_words", "words"}),
        ("TEXT <end> TEXT", "TEXT {end} TEXT", {"markup", "words"}),
    ],
)
def test_the_cue_that_tells_is_named(better: str, worse: str, telling: set[str]) -> None:
    found = cue_accuracy(contrasts(better, worse, 200), seed=0)
    values = {cue: estimate.value or 0.0 for cue, estimate in found.items()}
    assert {cue for cue, value in values.items() if value > 0.9} >= telling
    assert all(value < 0.75 for cue, value in values.items() if cue not in telling), values


def test_a_cut_at_one_length_tells_although_neither_side_is_longer() -> None:
    """Better texts stop at 100 characters, worse ones are shorter or longer by chance."""
    drawn = random.Random(2)
    pairs = [Contrast(str(n), "x" * 100, "y" * drawn.choice((40, 60, 160, 250))) for n in range(200)]
    found = cue_accuracy(pairs, seed=0)["length"]
    assert found.value == 1.0 and found.ci95 is not None and found.ci95[0] > 0.97


def test_a_prompt_is_never_judged_by_its_own_pairs() -> None:
    """Every prompt has a word of its own in all its better texts: told at once with other pairs of the same prompt."""
    drawn = random.Random(3)
    pairs = [Contrast(f"p{n % 40}", f"{text(drawn, 9)} own{n % 40}", text(drawn, 9)) for n in range(400)]
    assert (cue_accuracy(pairs, seed=0)["words"].value or 1.0) < 0.6
    alone = [Contrast(f"p{n}", pair.better, pair.worse) for n, pair in enumerate(pairs)]
    assert (cue_accuracy(alone, seed=0)["words"].value or 0.0) > 0.8


def test_few_prompts_say_nothing() -> None:
    assert cue_accuracy([], seed=0) == cue_accuracy(contrasts("TEXT", "TEXT", 4), seed=0) == {}


def test_weights_are_those_of_scikit_learn() -> None:
    """Which has two classes: each pair once more with its sides exchanged, so half the strength of the penalty."""
    x_NF = _differences(contrasts("Sure TEXT", "TEXT TEXT", 80), CUES["words"]).toarray()
    both, labels = np.concatenate([x_NF, -x_NF]), np.repeat([1, 0], len(x_NF))
    theirs = LogisticRegression(C=0.5, fit_intercept=False, tol=1e-10, max_iter=10_000).fit(both, labels).coef_[0]
    assert _fit(x_NF) == pytest.approx(theirs, abs=1e-3)
