from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from judgekit.data.checking import Checker
from judgekit.data.maths import TASKS, maths_instructions
from judgekit.errors import ConfigError
from judgekit.randomness import digest
from judgekit.rows import Instruction

REPEAT = """
from judgekit.data.maths import maths_instructions
from judgekit.randomness import digest
print(digest([(i.id, i.text, i.answer) for i in maths_instructions(80, 5)]))
"""


def test_problems_are_distinct_balanced_and_a_prefix_of_more() -> None:
    problems = maths_instructions(400, 2)
    assert len({problem.id for problem in problems}) == len({problem.text for problem in problems}) == 400
    assert {task: sum(problem.category == task for problem in problems) for task in TASKS} == dict.fromkeys(TASKS, 50)
    assert maths_instructions(37, 2) == problems[:37]
    assert all(problem.text == problem.text.strip() and problem.answer for problem in problems)


def test_seeds_do_not_share_their_problems() -> None:
    shared = {p.text for p in maths_instructions(80, 2)} & {p.text for p in maths_instructions(80, 3)}
    assert len(shared) < 20, "neighbouring seeds give the same problems"


def test_the_same_seed_gives_the_same_problems_in_another_process() -> None:
    here = digest([(i.id, i.text, i.answer) for i in maths_instructions(80, 5)])
    command = [sys.executable, "-c", REPEAT]
    run = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == here


def test_a_task_without_more_problems_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for task in set(TASKS) - {"gcd"}:
        monkeypatch.delitem(TASKS, task)
    monkeypatch.setitem(TASKS, "gcd", {"max_value": 2})
    with pytest.raises(ConfigError, match="gcd has only about 4 distinct problems"):
        maths_instructions(5, 2)


def test_every_task_accepts_its_answer_and_refuses_another() -> None:
    problems = maths_instructions(3 * len(TASKS), 2)
    right = [(problem, f"Let me see.\n\nThe answer is {problem.answer}.") for problem in problems]
    wrong = [(problem, f"I got {problem.answer}1 in step 2. The answer is {problem.answer}1") for problem in problems]
    minus = [(problem, f"\\boxed{{-{problem.answer}}}") for problem in problems if int(problem.answer or 0) > 0]
    silent = [(problem, "I do not know.") for problem in problems]
    with Checker() as checker:
        assert [check.correct for check in checker.check(right)] == [True] * len(right)
        assert [check.correct for check in checker.check(wrong + minus)] == [False] * len(wrong + minus)
        assert [check.reason for check in checker.check(silent)] == ["no answer"] * len(silent)


def test_agrees_with_the_recorded_labels_of_gsm8k_solutions(shared_data: Callable[[str], Path]) -> None:
    path = shared_data("gsm8k") / "grade_school_math" / "data" / "example_model_solutions.jsonl"
    items, labels = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        row = json.loads(line)
        gold = row["ground_truth"].rpartition("A: ")[2]
        instruction = Instruction(f"gsm8k-{number}", row["question"], "gsm8k", "maths", answer=gold, checker="gsm8k")
        for model in ("6b_finetuning", "175b_verification"):
            items.append((instruction, row[model]["solution"]))
            labels.append(row[model]["is_correct"])
    items, labels = items[::40], labels[::40]
    assert len(items) > 60 and 10 < sum(labels) < len(labels) - 10
    with Checker() as checker:
        assert [check.correct for check in checker.check(items)] == labels


@pytest.mark.parametrize(
    ("gold", "response", "correct"),
    [
        (r"\frac{5\pi}{4}", r"Of $\frac{\pi}{4}$ and $\frac{5\pi}{4}$ only $\boxed{\frac{5\pi}{4}}$ fits.", True),
        (r"\frac{1}{2}", "The answer is 0.5", True),
        ("1,000", "She has $1000 left", True),
        ("(x+1)^2", r"\boxed{x^2+2x+1}", True),
        (r"\sqrt{2}", r"\boxed{\sqrt{3}}", False),
        ("7", "I cannot tell", None),
    ],
)
def test_symbolic_answers(gold: str, response: str, correct: bool | None) -> None:
    from judgekit.data.maths import scorer_of

    instruction = Instruction("m", "?", "math", "algebra", answer=gold, checker="math")
    assert scorer_of("math")(instruction, response) is correct


def test_an_expression_that_explodes_is_stopped() -> None:
    tower = Instruction("tower", "?", "math", "algebra", answer="5", checker="math")
    with Checker(seconds=1.0, workers=1) as checker:
        checks = checker.check([(tower, r"\boxed{9^{9^{9^{9}}}}"), (tower, r"\boxed{5}")])
    assert [check.correct for check in checks] == [None, True]
    assert checks[0].reason in ("timeout", "error")
