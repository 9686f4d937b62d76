"""Response pairs from a scripted model: which pairs come out, and why every other instruction is dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import pytest

from judgekit.data.constraints import constraint_instructions, satisfies
from judgekit.data.pairs import Ask, Question, build_pairs
from judgekit.prompts.noisy import ANSWER_END, ANSWER_START, MODIFIED
from judgekit.rows import Instruction, ResponsePair
from judgekit.sampling.base import Generation
from judgekit.schema.data import DataConfig, SourceConfig

SEED = 4
Way = Literal["near_miss", "noisy_instruction", "verified", "written"]


def row(name: str, near_miss: str | None = None, checker: str | None = None) -> Instruction:
    return Instruction(name, f"Do {name}.", "any", "any", near_miss=near_miss, answer="7", checker=checker)


class Scripted:
    """Answers questions by (id, sample); what the script lacks could not be asked, and what ends in ✂ was cut there.

    A token is a word.

    :ivar asked: all questions so far, call by call
    """

    def __init__(self, script: Mapping[str, str | list[str | None]]) -> None:
        self.script, self.asked = script, list[list[Question]]()

    def __call__(self, questions: Sequence[Question]) -> dict[tuple[str, int], Generation]:
        self.asked.append(list(questions))
        replies: dict[tuple[str, int], Generation] = {}
        for question in questions:
            texts = self.script.get(question.id, [])
            for sample, text in enumerate([texts] if isinstance(texts, str) else texts):
                if text is not None and sample < question.samples:
                    ids = tuple(range(len(text.split())))
                    cut, text = text.endswith("✂"), text.removesuffix("✂")
                    replies[question.id, sample] = Generation(text, ids, "length" if cut else "eos", 1)
        return replies


def verify(items: Sequence[tuple[Instruction, str]]) -> list[bool | None]:
    """Right answers begin with R, wrong ones with W; the rest cannot be verified."""
    return [{"R": True, "W": False}.get(text[:1]) for _, text in items]


def build(
    rows: Sequence[Instruction],
    way: Way,
    ask: Ask = lambda questions: {},
    *,
    seed: int = SEED,
    max_chars: int | None = None,
    solutions: int = 3,
) -> tuple[dict[str, tuple[str, str]], Counter[str], list[ResponsePair]]:
    """(better, worse) by id, dropped instructions by reason, and the pairs themselves."""
    dropped: Counter[str] = Counter()
    data = DataConfig(solutions=solutions, response_tokens=50)

    def drop(reason: str) -> None:
        dropped[reason] += 1

    source = SourceConfig(kind="starter", pairs=way)
    pairs = build_pairs(rows, source, data, seed=seed, ask=ask, verify=verify, drop=drop, max_chars=max_chars)
    assert len(pairs) + dropped.total() == len(rows), "every instruction gives a pair or a reason"
    return {pair.id: better_first(pair) for pair in pairs}, dropped, pairs


def better_first(pair: ResponsePair) -> tuple[str, str]:
    assert pair.label in ("A", "B")
    both = pair.response_a, pair.response_b
    return both if pair.label == "A" else both[::-1]


def modified(answer: str) -> str:
    return f"{MODIFIED}\nDo another.\n{ANSWER_START}\n{answer}\n{ANSWER_END}"


def test_near_miss_pairs_and_every_reason_for_none() -> None:
    names = ["good", "mute", "deaf", "empty", "blank", "same", "long"]
    rows = [row("given nothing"), *(row(name, near_miss=f"Undo {name}.") for name in names)]
    ask = Scripted(
        {
            "good/x": "a good answer", "good/noisy": "an answer to something else",
            "mute/noisy": "only the near miss",
            "deaf/x": "only the instruction",
            "empty/x": "", "empty/noisy": "something",
            "blank/x": "something", "blank/noisy": " \n",
            "same/x": "the same", "same/noisy": "the same\n",
            "long/x": "x" * 31, "long/noisy": "short",
        }
    )  # fmt: skip
    found, dropped, pairs = build(rows, "near_miss", ask, max_chars=30)
    assert found == {"good": ("a good answer", "an answer to something else")}
    assert dropped == {
        "no near miss given": 1,
        "no answer to the instruction": 1,
        "no answer to a modified instruction": 1,
        "empty response": 2,
        "identical responses": 1,
        "response over bias.max_response_chars": 1,
    }
    (questions,) = ask.asked
    asked = {question.id: question.prompt[-1]["content"] for question in questions}
    assert (asked["good/x"], asked["good/noisy"]) == ("Do good.", "Undo good.")
    (pair,) = pairs
    assert (pair.instruction, pair.reference, pair.group) == ("Do good.", "7", "good")


def test_noisy_instruction_pairs_and_every_reason_for_none() -> None:
    rows = [row(name) for name in ["good", "mute", "refused", "unreadable", "same"]]
    ask = Scripted(
        {
            "good/x": "a good answer", "good/modified": modified("to something else"),
            "refused/x": "an answer",
            "unreadable/x": "an answer", "unreadable/modified": f"{MODIFIED} Do another. {ANSWER_START} never ends",
            "same/x": "the same", "same/modified": modified("the same"),
        }
    )  # fmt: skip
    found, dropped, _ = build(rows, "noisy_instruction", ask)
    assert found == {"good": ("a good answer", "to something else")}
    assert dropped == {
        "no answer to the instruction": 1,
        "no answer to a modified instruction": 2,
        "identical responses": 1,
    }
    plain, modify = ask.asked
    assert [question.tokens for question in plain] == [None] * 5
    assert [question.id for question in modify] == [f"{row.id}/modified" for row in rows if row.id != "mute"]
    assert {question.tokens for question in modify} == {100}, "a question and an answer need twice the room"
    assert "Do good." in modify[0].prompt[-1]["content"] and "a good answer" in modify[0].prompt[-1]["content"]


def test_cut_answers_make_no_pair() -> None:
    """A chosen answer may be cut at 50 tokens; the rejected one, in tags, must not be told by its end or its length."""
    rows = [row(name) for name in ("good", "cut", "tagged", "unended", "longer")]
    ask = Scripted(
        {
            "good/x": "word " * 49, "good/modified": modified("word " * 40),
            "cut/x": "word " * 50 + "✂",
            "tagged/x": "short", "tagged/modified": modified("also short") + " and then another one that ends here✂",
            "unended/x": "short", "unended/modified": f"{MODIFIED} Do another. {ANSWER_START} never ends✂",
            "longer/x": "short", "longer/modified": modified("word " * 70),
        }
    )  # fmt: skip
    found, dropped, _ = build(rows, "noisy_instruction", ask)
    assert found.keys() == {"good", "tagged"} and found["tagged"] == ("short", "also short")
    assert dropped == {
        "answer cut at data.response_tokens": 1,
        "no answer to a modified instruction": 1,
        "answer to a modified instruction over data.response_tokens": 1,
    }
    assert "cut/modified" not in {question.id for question in ask.asked[1]}


def test_cut_near_misses_and_solutions_make_no_pair() -> None:
    rows = [row(name, near_miss=f"Undo {name}.") for name in ("good", "first", "second")]
    script = {"good/x": "yes", "good/noisy": "no", "first/x": "ye✂", "first/noisy": "no"}
    found, dropped, _ = build(rows, "near_miss", Scripted(script | {"second/x": "yes", "second/noisy": "n✂"}))
    assert found.keys() == {"good"} and dropped == {"answer cut at data.response_tokens": 2}
    rows = [row(name, checker="c") for name in ("some", "wrong")]
    solved = Scripted({"some": ["R1", "W2✂", "W3"], "wrong": ["R1", "W2✂", "W3✂"]})
    found, dropped, _ = build(rows, "verified", solved)
    assert found == {"some": ("R1", "W3")} and dropped == {"no wrong solution": 1}


def test_verified_pairs_and_every_reason_for_none() -> None:
    rows = [
        row("unchecked"),
        *(row(name, checker="c") for name in ["both", "right", "wrong", "unclear", "mute", "some"]),
    ]
    ask = Scripted(
        {
            "unchecked": ["R1", "W2", "R3"],
            "both": ["W1", "R2", "?"],
            "right": ["R1", "R2", "?"],
            "wrong": ["W1", "W2", "?"],
            "unclear": ["?", "?", "?"],
            "some": [None, "R2", "W3"],
        }
    )
    found, dropped, _ = build(rows, "verified", ask)
    assert found == {"both": ("R2", "W1"), "some": ("R2", "W3")}
    assert dropped == {
        "no checker": 1,
        "no wrong solution": 1,
        "no right solution": 1,
        "no solution could be verified": 2,
    }
    (questions,) = ask.asked
    assert {question.samples for question in questions} == {3}


def test_all_right_and_all_wrong_solutions_are_drawn_from() -> None:
    rows = [row(f"r{i}", checker="c") for i in range(60)]
    found, dropped, _ = build(rows, "verified", Scripted({r.id: ["R0", "W1", "R2", "W3"] for r in rows}), solutions=4)
    assert not dropped
    counts = Counter(found.values())
    assert counts.keys() == {("R0", "W1"), ("R0", "W3"), ("R2", "W1"), ("R2", "W3")}
    assert min(counts.values()) >= 6


def test_formats_are_checked_here_and_other_answers_by_the_verifier() -> None:
    (numbered,) = [row for row in constraint_instructions(24, SEED) if row.id.endswith("numbered_list-0")][:1]
    replies = ["1. Oak\n2. Elm\n3. Ash", "R: oak, elm and ash", "Wooden things"]
    assert [satisfies(numbered, text) for text in replies] == [True, False, False]
    found, _, _ = build([numbered], "verified", Scripted({numbered.id: replies}))
    better, worse = found[numbered.id]
    assert better == replies[0] and worse in replies[1:]


def test_written_pairs_ask_nobody_and_hide_the_items() -> None:
    rows = constraint_instructions(40, SEED)
    ask = Scripted({})
    found, dropped, pairs = build(rows, "written", ask)
    assert not dropped and not ask.asked
    for instruction, pair in zip(rows, pairs, strict=True):
        better, worse = found[instruction.id]
        assert satisfies(instruction, better) and not satisfies(instruction, worse)
        assert pair.reference is None, "items of a list are no reference answer"


def test_labels_are_balanced_and_belong_to_the_row() -> None:
    rows = constraint_instructions(400, SEED)
    _, _, pairs = build(rows, "written")
    first = sum(pair.label == "A" for pair in pairs)
    assert 160 <= first <= 240, "four standard deviations"
    _, _, fewer = build(rows[100:300:7], "written")
    by_id = {pair.id: pair for pair in pairs}
    assert fewer == [by_id[pair.id] for pair in fewer], "whatever other rows there are"
    _, _, backwards = build(rows[::-1], "written")
    assert backwards == pairs[::-1]
    _, _, others = build(rows, "written", seed=SEED + 1)
    assert [pair.label for pair in others] != [pair.label for pair in pairs]


@pytest.mark.parametrize("way", ["near_miss", "noisy_instruction", "verified"])
def test_the_order_of_instructions_changes_no_pair(way: Way) -> None:
    rows = [row(f"r{i}", near_miss=f"n{i}", checker="c") for i in range(30)]
    script: dict[str, str | list[str | None]] = {}
    for r in rows:
        script |= {f"{r.id}/x": f"R {r.id}", f"{r.id}/noisy": f"W {r.id}", f"{r.id}/modified": modified(f"W {r.id}")}
        script[r.id] = ["R0", "W1", "R2"]
    _, _, pairs = build(rows, way, Scripted(script))
    _, _, backwards = build(rows[::-1], way, Scripted(script))
    assert len(pairs) == 30
    assert [pair.id for pair in pairs] == [r.id for r in rows]
    assert backwards == pairs[::-1]
    assert {pair.label for pair in pairs} == {"A", "B"}
