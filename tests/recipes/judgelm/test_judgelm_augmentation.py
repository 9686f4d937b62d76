"""Swap augmentation, reference support and reference drop."""

from __future__ import annotations

import copy
import math
import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgekit.prompts.judgelm import JudgeLM, JudgeLMPrompt
from judgekit.recipes.judgelm.augmentation import (
    Rates,
    Reviewed,
    augment,
    augmented,
    draws_reference,
    draws_swap,
    drop,
    support,
    swap,
    swap_review,
)
from judgekit.rows import ResponsePair

PROTOCOL = JudgeLM(JudgeLMPrompt())
EPOCHS, ROWS = 3, 2000


def reviewed(number: int) -> Reviewed:
    """Answers that say their own score, with and without the reference; every fourth row has no reference."""
    a, b = 1 + number % 10, 1 + (number * 7 + number // 10 + 3) % 10
    pair = ResponsePair(
        f"row-{number}", f"question {number}", f"<{a}|{b}>", f"<{b}|{a}>", None, reference=f"reference {number}"
    )
    # With the reference the scores are the other way round, so a target of the wrong template shows.
    return Reviewed(pair, review(a, b), review(b, a) if number % 4 else None)


def review(first: int, second: int) -> str:
    return f"{first} {second}\nAssistant 1 deserves {first}, Assistant 2 {second}."


ALL = [reviewed(number) for number in range(ROWS)]


def test_the_score_line_follows_the_answers_in_every_row_of_three_epochs() -> None:
    before = copy.deepcopy(ALL)
    inverted, shown = 0, 0
    for _, seen in augmented(ALL, EPOCHS, 2, Rates()):
        text = PROTOCOL.judge_prompt(seen.pair, seen.order)[0]["content"]
        answers = re.findall(r"<(\d+)\|(\d+)>", text)
        with_reference = "[Reference Answer]\nreference" in text
        due = [int(answer[with_reference]) for answer in answers]
        scores = PROTOCOL.read(seen.target, False).scores
        told = [int(found) for found in re.findall(r"Assistant [12] (?:deserves )?(\d+)", seen.target)]
        named = [int(found) for found in re.findall(r"Assistant ([12])", seen.target)]
        mentions = dict(zip(named, told, strict=True))
        inverted += list(scores or ()) != due or [mentions[1], mentions[2]] != due
        shown += 1
    assert (inverted, shown) == (0, EPOCHS * ROWS)
    assert before == ALL, "no row was edited"


def test_draws_depend_on_row_epoch_and_seed_alone() -> None:
    whole = {(epoch, seen.pair.id): seen for epoch, seen in augmented(ALL, EPOCHS, 2, Rates())}
    for parts in (2, 3, 8):  # as many workers or ranks, each with its share and in an order of its own
        found = {}
        for rank in range(parts):
            for epoch in reversed(range(EPOCHS)):
                for row in reversed(ALL[rank::parts]):
                    found[epoch, row.pair.id] = augment(row, epoch, 2, Rates())
        assert found == whole
    other = {(epoch, seen.pair.id): seen for epoch, seen in augmented(ALL, EPOCHS, 3, Rates())}
    assert other != whole


@pytest.mark.parametrize(("swap_rate", "reference_rate"), [(0.5, 0.5), (0.1, 0.9), (0.7, 0.25)])
def test_empirical_rates_match_the_configured_ones(swap_rate: float, reference_rate: float) -> None:
    draws = [
        (draws_swap(row, epoch, 5, swap_rate), draws_reference(row, epoch, 5, reference_rate))
        for epoch in range(EPOCHS)
        for row in ALL
        if row.referenced is not None
    ]
    for name, rate, drawn in (
        ("swap", swap_rate, [one for one, _ in draws]),
        ("reference", reference_rate, [one for _, one in draws]),
        ("both", swap_rate * reference_rate, [one and two for one, two in draws]),
    ):
        error = math.sqrt(rate * (1 - rate) / len(drawn))
        assert abs(sum(drawn) / len(drawn) - rate) < 3 * error, name
    per_epoch = Counter(
        sum(draws_swap(row, epoch, 5, swap_rate) for epoch in range(EPOCHS)) for row in ALL
    )  # binomial: epochs are independent of each other
    for times in range(EPOCHS + 1):
        share = math.comb(EPOCHS, times) * swap_rate**times * (1 - swap_rate) ** (EPOCHS - times)
        assert abs(per_epoch[times] / ROWS - share) < 4 * math.sqrt(share * (1 - share) / ROWS)


def test_extreme_rates_are_always_and_never() -> None:
    row = ALL[1]
    never, always = Rates(swap=0.0, reference=0.0), Rates(swap=1.0, reference=1.0)
    for epoch in range(5):
        assert augment(row, epoch, 2, never) == drop(row)
        assert augment(row, epoch, 2, always) == swap(support(row))
    assert augment(ALL[0], 0, 2, replace(always, swap=0.0)).pair.reference is None, "it has no review with a reference"
    with pytest.raises(ValueError, match="row-0"):
        support(ALL[0])


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("8 7\nAssistant 1 is better than Assistant 2.", "7 8\nAssistant 2 is better than Assistant 1."),
        ("8, 7\nassistant 1's", "7, 8\nassistant 2's"),
        ("8.5 10\nAssistants 1 and 2 err; ASSISTANT #2 less.", "10 8.5\nAssistants 2 and 1 err; ASSISTANT #1 less."),
        ("1 2\nThe first assistant, the Second answer.", "2 1\nThe second assistant, the First answer."),
        ("1 2\nFirst, assistant 12 has step 1 and 2.", "2 1\nFirst, assistant 12 has step 1 and 2."),
        ("1 2\nThe correct answer 2 is in Answer 1.", "2 1\nThe correct answer 2 is in Answer 2."),
        ("1 2\nA good Answer\n2. Assistant 2 errs.", "2 1\nA good Answer\n2. Assistant 1 errs."),
        ("3 4", "4 3"),
    ],
)
def test_scores_and_mentions_change_places_together(text: str, swapped: str) -> None:
    assert swap_review(text) == swapped
    assert swap_review(swapped) == text


def test_ordinals_may_stay_as_in_the_release() -> None:
    assert swap_review("1 2\nThe first assistant, Assistant 2.", ordinals=False) == (
        "2 1\nThe first assistant, Assistant 1."
    )


@pytest.mark.parametrize("text", ["", "8", "8 7 6", "\n8 7"])
def test_what_has_no_two_scores_cannot_be_swapped(text: str) -> None:
    with pytest.raises(ValueError, match="two scores"):
        swap_review(text)


WORDS = st.sampled_from(
    [
        "Assistant 1",
        "assistant 2's",
        "Assistants 1, 2",
        "Answers 2 and 1",
        "first answer",
        "Second assistant",
        "12",
        "Assistant 1 or 1",
        "and 2",
        "/1",
        "助手1和2",
        "助手 2",
        "Response",
        "、",
    ]  # fmt: skip
)


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS | st.text(max_size=6), max_size=12), st.booleans())
def test_swapping_twice_changes_nothing(words: list[str], ordinals: bool) -> None:
    text = "9 2.5\n" + " ".join(words)
    assert swap_review(swap_review(text, ordinals), ordinals) == text
