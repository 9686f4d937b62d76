"""Format constraints: what a program writes is what the program checks, and nothing else is."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from judgekit.data.constraints import (
    BY_NAME,
    KINDS,
    TOPICS,
    Kind,
    constraint_instructions,
    items_of,
    kind_of,
    satisfies,
    written_responses,
)

ALL = len(TOPICS) * len(KINDS) * 2
ITEM_LISTS = [list(items[:count]) for items in TOPICS.values() for count in (3, 4)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_written_response_passes_its_own_check_with_and_without_items(kind: Kind) -> None:
    for items in ITEM_LISTS:
        response = kind.write(items)
        assert kind.check(response), response
        assert kind.check(response, items), response
        assert kind.check(f"\n  {response}  \n", items), "blanks around an answer are no fault"
        assert not kind.check(response, [*items, "another"])
        assert not kind.check(response, items[::-1])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize(
    "text", ["", "  \n", "I am not sure what you mean.", "{", "- \n- ", "1. ", "()", '""', "[]", "->"]
)
def test_empty_and_evasive_answers_are_of_no_kind(kind: Kind, text: str) -> None:
    assert not kind.check(text)


def test_an_answer_with_chatter_around_it_is_not_in_the_format() -> None:
    for kind in KINDS:
        if kind.name != "answer label":
            assert not kind.check(f"Sure, here you go!\n{kind.write(['oak', 'elm', 'pine'])}\nAnything else?"), (
                kind.name
            )


def test_names_and_requests_are_distinct() -> None:
    assert len(BY_NAME) == len(KINDS)
    asks = [ask for kind in KINDS for ask in kind.asks]
    assert len(set(asks)) == len(asks)
    assert all(len(kind.asks) == 2 for kind in KINDS)
    assert all(len(set(items)) == len(items) >= 4 for items in TOPICS.values())


@pytest.fixture(scope="module", params=[1, 2])
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def test_the_rejected_response_fails_the_requested_format_whatever_its_items(seed: int) -> None:
    wrong_kinds: dict[str, set[str]] = {}
    for instruction in constraint_instructions(ALL, seed):
        right, wrong = written_responses(instruction, seed)
        items = items_of(instruction)
        assert satisfies(instruction, right)
        assert not satisfies(instruction, wrong), (instruction.text, wrong)
        found = [kind_of(text, items) for text in (right, wrong)]
        assert found[0] is not None and found[0].name == instruction.checker
        assert found[1] is not None and found[1].name != instruction.checker
        for item in items:
            assert item.lower() in right.lower() and item.lower() in wrong.lower(), "the content is the same"
        wrong_kinds.setdefault(str(instruction.checker), set()).add(found[1].name)
    assert all(len(kinds) >= len(KINDS) // 2 for kinds in wrong_kinds.values()), "no format gives its opposite away"


def test_instructions_are_distinct_and_more_than_there_are_is_refused(seed: int) -> None:
    everything = constraint_instructions(ALL, seed)
    assert len({row.id for row in everything}) == len({row.text for row in everything}) == ALL
    with pytest.raises(ValueError, match=f"{ALL} distinct instructions, {ALL + 1} were asked for"):
        constraint_instructions(ALL + 1, seed)


def test_fewer_instructions_are_a_prefix_of_more(seed: int) -> None:
    everything = constraint_instructions(ALL, seed)
    for count in (1, 7, len(KINDS), 100):
        assert constraint_instructions(count, seed) == everything[:count]


def test_kinds_are_even_and_topics_spread_in_any_prefix(seed: int) -> None:
    kinds: Counter[str] = Counter()
    for place, row in enumerate(constraint_instructions(ALL, seed), start=1):
        kinds[row.category] += 1
        counts = [kinds[kind.name] for kind in KINDS]
        assert max(counts) - min(counts) <= 1, place
    topics = Counter(row.id.split("-")[1] for row in constraint_instructions(len(TOPICS) * 4, seed))
    assert len(topics) >= len(TOPICS) * 3 // 4


def test_another_seed_asks_in_another_order() -> None:
    one, two = ([row.id for row in constraint_instructions(50, seed)] for seed in (1, 2))
    assert one != two


def test_no_two_kinds_write_the_same() -> None:
    for items in ITEM_LISTS:
        texts = [kind.write(items) for kind in KINDS]
        assert all(a != b for a, b in itertools.combinations(texts, 2)), items
