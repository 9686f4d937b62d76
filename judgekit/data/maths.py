"""Verifiable maths: procedural problems from reasoning-gym and the scorers of their responses.

The same scorers check GSM8K and MATH responses. They run third-party symbolic code on text a model wrote, so
call them through ``judgekit.data.checking.Checker``, which gives each response a time limit in a process of its own.
"""

from __future__ import annotations

import difflib
import functools
import logging
from typing import Any

from judgekit.data.answers import final_number, last_boxed
from judgekit.data.checking import Check, Checker, Scorer
from judgekit.errors import ConfigError, Problem
from judgekit.randomness import digest, draw_bits
from judgekit.rows import Instruction

__all__ = ["CHECKERS", "TASKS", "Check", "Checker", "maths_instructions", "scorer_of"]

GYM_PREFIX = "reasoning_gym:"

TASKS: dict[str, dict[str, Any]] = {
    "chain_sum": {"min_terms": 2, "max_terms": 4, "max_digits": 2},
    "products": {"max_digits": 2},
    "basic_arithmetic": {"min_terms": 2, "max_terms": 3, "max_digits": 2},
    "simple_equations": {"max_terms": 2, "max_value": 20},
    "gcd": {"max_value": 60},
    "leg_counting": {"min_animals": 1, "max_animals": 3, "max_instances": 9},
    "letter_counting": {"min_words": 2, "max_words": 5},
    "gsm_symbolic": {},
}
"""reasoning-gym task -> its settings, easy enough that models under a billion parameters are sometimes right."""

CHECKERS = ("gsm8k", "math", *(GYM_PREFIX + task for task in TASKS))
"""The names ``scorer_of`` knows."""

_SIZE = 100_000
"""Indices of one generator; some draw all of them at the start, so no more than anyone needs."""

_ATTEMPTS = 200
"""Indices tried in a row for a problem not seen yet; exhausted when a task has hardly any distinct ones left."""


def maths_instructions(count: int, seed: int) -> list[Instruction]:
    """``count`` distinct problems, the tasks in turn; a smaller count gives a prefix of a larger one.

    :raises ConfigError: when the tasks have no ``count`` distinct problems
    """
    streams = [_Problems(task, seed) for task in TASKS]
    return [streams[index % len(streams)].take() for index in range(count)]


class _Problems:
    """The distinct problems of one task, in the order the generator yields them."""

    def __init__(self, task: str, seed: int) -> None:
        self.task, self._seen = task, set[str]()
        # Generators seed item i with (seed + i): a hashed seed keeps neighbouring run seeds from sharing problems.
        self._dataset = _gym_dataset(task, draw_bits(seed, task, "maths") >> 33, _SIZE)
        self._next = 0

    def take(self) -> Instruction:
        for _ in range(min(_ATTEMPTS, _SIZE - self._next)):
            entry = self._dataset[self._next]
            self._next += 1
            text = entry["question"].strip()
            if text not in self._seen:
                self._seen.add(text)
                return self._instruction(text, entry)
        message = f"{self.task} has only about {len(self._seen)} distinct problems"
        raise ConfigError([Problem("count", message, hint="Ask for fewer maths problems")])

    def _instruction(self, text: str, entry: dict[str, Any]) -> Instruction:
        return Instruction(
            id=f"maths-{self.task}-{digest(text, 10)}",
            text=text,
            source="maths",
            category=self.task,
            answer=entry["answer"],
            checker=GYM_PREFIX + self.task,
        )


def _gym_dataset(task: str, seed: int, size: int) -> Any:
    from reasoning_gym import create_dataset  # slow to import, and only verifiable maths needs it

    return create_dataset(task, seed=seed, size=size, **TASKS[task])


@functools.cache
def scorer_of(checker: str) -> Scorer:
    """The function that verifies responses for ``Instruction.checker``: ``gsm8k``, ``math`` or ``reasoning_gym:TASK``.

    A scorer returns None when the response states no answer. It may run for ever: see ``Checker``.

    :raises ConfigError: for an unknown name
    """
    if checker not in CHECKERS:
        nearest = difflib.get_close_matches(checker, CHECKERS, n=1)
        hint = f"Did you mean '{nearest[0]}'?" if nearest else None
        raise ConfigError([Problem("checker", f"'{checker}' is not one of {', '.join(CHECKERS)}", hint=hint)])
    return _symbolic_scorer() if checker in ("gsm8k", "math") else _gym_scorer(checker.removeprefix(GYM_PREFIX))


def _symbolic_scorer() -> Scorer:
    """Equality up to symbolic simplification, by math-verify."""
    from math_verify import parse, verify

    # It warns that its own time limits are off. They are: signal.alarm cannot interrupt everything, a kill can.
    logging.getLogger("math_verify").setLevel(logging.ERROR)

    def score(instruction: Instruction, response: str) -> bool | None:
        boxed = last_boxed(response)
        # Without this, formulas near the box are merged with it into one set of answers.
        predicted = parse(response if boxed is None else f"\\boxed{{{boxed}}}", parsing_timeout=None)
        if not predicted:
            return None
        gold = parse(f"\\boxed{{{instruction.answer}}}", parsing_timeout=None)
        return bool(verify(gold, predicted, timeout_seconds=None))

    return score


def _gym_scorer(task: str) -> Scorer:
    """Full marks from the task's own ``score_answer`` for the final number of the response."""
    dataset = _gym_dataset(task, seed=0, size=1)

    def score(instruction: Instruction, response: str) -> bool | None:
        answer = final_number(response)
        if answer is None:
            return None
        gold = str(instruction.answer)
        # gsm_symbolic's scorer overlooks a leading minus. None of these scorers reads more of an entry than its answer.
        same_sign = answer.startswith("-") == gold.startswith("-")
        return same_sign and bool(dataset.score_answer(answer, {"answer": gold}) >= 1.0)

    return score
