from __future__ import annotations

import time
from multiprocessing import active_children

import pytest

from judgekit.data.checking import Check, Checker
from judgekit.errors import StageError
from judgekit.rows import Instruction
from tests.data.scorers import resolve


def ask(checker: str | None, answer: str = "3") -> Instruction:
    return Instruction(f"ask-{checker}", "How long?", "test", "test", answer=answer, checker=checker)


def test_results_keep_the_order_of_the_items() -> None:
    items = [(ask("length", str(size % 4)), "abc") for size in range(40)]
    with Checker(resolve=resolve) as checker:
        assert [check.correct for check in checker.check(items)] == [size % 4 == 3 for size in range(40)]
        assert checker.check([]) == []
    assert not checker.reasons


def test_misbehaving_scorers_cost_only_their_own_item() -> None:
    kinds = ["length", "hang", "length", "exit", "length", "raise", "killed", "length", "memory", "length"]
    before = set(active_children())
    started = time.monotonic()
    with Checker(seconds=0.5, resolve=resolve) as checker:
        checks = checker.check([(ask(kind), "abc") for kind in kinds])
        assert checker.check([(ask("length"), "")]) == [Check(None, "no answer")]
    assert [check.correct for check in checks if check.reason is None] == [True] * kinds.count("length")
    assert {kind: check.reason for kind, check in zip(kinds, checks, strict=True)} == {
        "length": None,
        "hang": "timeout",
        "exit": "crash",
        "killed": "crash",
        "raise": "error",
        "memory": "error",
    }
    assert checker.reasons == {"timeout": 1, "crash": 2, "error": 2, "no answer": 1}
    assert time.monotonic() - started < 60
    assert set(active_children()) == before, "workers outlive the checker"


def test_every_worker_may_hang_at_once() -> None:
    with Checker(seconds=0.3, workers=2, resolve=resolve) as checker:
        checks = checker.check([(ask("hang"), "abc")] * 3 + [(ask("length"), "abc")])
    assert checks == [Check(None, "timeout")] * 3 + [Check(True)]


def test_a_long_response_passes_whole() -> None:
    with Checker(resolve=resolve) as checker:
        assert checker.check([(ask("length", "1000000"), "x" * 1_000_000)]) == [Check(True)]


def test_refuses_an_instruction_without_checker_and_a_checker_that_cannot_load() -> None:
    with Checker(resolve=resolve) as checker:
        with pytest.raises(ValueError, match="ask-None"):
            checker.check([(ask(None), "abc")])
        with pytest.raises(StageError, match="'missing' cannot be loaded: no such scorer"):
            checker.check([(ask("missing"), "abc")])


def test_unknown_checkers_are_named_with_the_nearest() -> None:
    with Checker() as checker, pytest.raises(StageError, match="Did you mean 'gsm8k'"):
        checker.check([(ask("gsm8"), "3")])
