"""Each benchmark's headline numbers against a few lines of its release's definition, for several judges.

The definitions are written here from the releases' code and share nothing with what is tested; one judge of each
benchmark tells the rule apart from the one it is easily taken for.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from judgekit.evaluation.benchmarks import load_benchmark
from judgekit.evaluation.benchmarks.base import BENCHMARKS, BenchmarkConfig
from judgekit.evaluation.flat_metrics import benchmark_numbers
from judgekit.evaluation.verdict_metrics import score
from judgekit.rows import ORDERS, Order, ResponsePair, Verdict
from judgekit.verdict_rows import VerdictRow
from tests.evaluation.benchmarks.published import judgebench, talk

Judge = Callable[[ResponsePair, Order], Verdict | None]


def at_random(seed: int) -> Judge:
    """Right two times in three, otherwise anything, no verdict included."""
    draw = random.Random(seed)
    return lambda pair, order: draw.choice((pair.label, pair.label, pair.label, "A", "B", "tie", None))


def said(judge: Judge, pairs: Sequence[ResponsePair]) -> list[VerdictRow]:
    rows = []
    for pair in pairs:
        for order in ORDERS:
            verdict = judge(pair, order)
            rows.append(VerdictRow(pair.id, order, 0, verdict, None if verdict else "missing", ""))
    return rows


def sections(kind: str, pairs: Sequence[ResponsePair], rows: Sequence[VerdictRow]) -> dict[str, Any]:
    aggregate = BENCHMARKS[kind].aggregate
    assert aggregate is not None
    return aggregate(pairs, rows, resamples=2)


def exactly(value: Fraction) -> Any:
    return pytest.approx(float(value), rel=1e-14, abs=0)


def share(right: Sequence[object]) -> Fraction:
    return Fraction(sum(map(bool, right)), len(right))


@pytest.mark.parametrize(
    ("kind", "accuracy"),
    [
        # Right in one order and a tie in the other: netted; a tie; wrong unless both are right; each order by itself
        ("judgebench", 1.0), ("judgebench_claude", 1.0), ("mt_bench", 0.0), ("mt_bench_author", 0.0),
        ("autoj", 0.0), ("alignbench", 0.0),
        ("llmbar", 0.5), ("rm_bench", 0.5), ("rewardbench", 0.5), ("evalbiasbench", 0.5), ("pandalm", 0.5),
    ],
)  # fmt: skip
def test_each_benchmark_merges_orders_as_its_release_does(kind: str, accuracy: float) -> None:
    pairs = [ResponsePair("p", "q", "a", "b", "A", subset="s")]
    numbers = benchmark_numbers("e", kind, pairs, said(lambda _, order: "A" if order == "ab" else "tie", pairs), seed=0)
    assert numbers["e/accuracy"] == accuracy


# RewardBench: EXAMPLE_COUNTS and SUBSET_MAPPING of rewardbench/constants.py.

COUNTS = {
    "Chat": "alpacaeval-easy 100, alpacaeval-length 95, alpacaeval-hard 95, mt-bench-easy 28, mt-bench-med 40",
    "Chat Hard": "mt-bench-hard 37, llmbar-natural 100, llmbar-adver-neighbor 134, llmbar-adver-GPTInst 92, "
    "llmbar-adver-GPTOut 47, llmbar-adver-manual 46",
    "Safety": "refusals-dangerous 100, refusals-offensive 100, xstest-should-refuse 154, xstest-should-respond 250, "
    "donotanswer 136",
    "Reasoning": "math-prm 984, hep-cpp 164, hep-go 164, hep-java 164, hep-js 164, hep-python 164, hep-rust 164",
}
OLD_SAFETY = (
    "refusals-dangerous 100, refusals-offensive 100, xstest-should-refuse 250, xstest-should-respond 154, "
    "donotanswer 136"
)


def counted(line: str) -> dict[str, int]:
    return {name: int(count) for name, count in (part.split() for part in line.split(", "))}


def reward_pairs(rows: int) -> list[ResponsePair]:
    names = [name for line in COUNTS.values() for name in counted(line)]
    return [
        ResponsePair(f"{name}/{number}", f"{name} {number}", "good", "bad", "A", subset=name)
        for name in names
        for number in range(rows)
    ]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("lenient", [False, True])
def test_rewardbench(seed: int, old: bool, lenient: bool) -> None:
    pairs = reward_pairs(7)
    rows = said(at_random(seed), pairs)
    credit = {"A": Fraction(1), "B": Fraction(0), "tie": Fraction(int(lenient), 2), None: Fraction(int(lenient), 2)}
    found = sections("rewardbench", pairs, rows)
    found = found["weights_before_2024_09_10"] if old else found
    found = found["leaderboard"] if lenient else found
    scores = []
    for section, line in COUNTS.items():
        weights = counted(OLD_SAFETY if old and section == "Safety" else line)
        accuracy = {
            name: sum(credit[row.verdict] for row in rows if row.id.startswith(f"{name}/")) / 14 for name in weights
        }
        scores.append(sum(accuracy[name] * weight for name, weight in weights.items()) / sum(weights.values()))
        assert found[section] == exactly(scores[-1])
    assert found["overall"] == exactly(sum(scores) / Fraction(4))


def test_rewardbench_counts_what_should_be_answered_by_its_250_rows() -> None:
    """Right on .80, .90, .97, .75 and .86 of the subsets in their order: 623.84 of 740 weights now, 644.96 before."""
    pairs = reward_pairs(100)
    right = {"refusals-dangerous": 80, "refusals-offensive": 90, "xstest-should-refuse": 97,
             "xstest-should-respond": 75, "donotanswer": 86}  # fmt: skip
    rows = said(lambda pair, _: "A" if int(pair.id.split("/")[1]) < right.get(str(pair.subset), 0) else "B", pairs)
    found = sections("rewardbench", pairs, rows)
    # .80*100 + .90*100 + .97*154 + .75*250 + .86*136 = 80 + 90 + 149.38 + 187.5 + 116.96 = 623.84
    assert found["Safety"] == pytest.approx(623.84 / 740, rel=1e-14)
    assert round(100 * found["Safety"], 1) == 84.3
    # .80*100 + .90*100 + .97*250 + .75*154 + .86*136 = 80 + 90 + 242.5 + 115.5 + 116.96 = 644.96
    assert found["weights_before_2024_09_10"]["Safety"] == pytest.approx(644.96 / 740, rel=1e-14)
    assert round(100 * found["weights_before_2024_09_10"]["Safety"], 1) == 87.2
    assert "missing" not in found


def test_rewardbench_names_the_subsets_it_lacks() -> None:
    pairs = [pair for pair in reward_pairs(2) if pair.subset not in ("hep-go", "donotanswer")]
    found = sections("rewardbench", pairs, said(at_random(0), pairs))
    assert found["missing"] == ["donotanswer", "hep-go"]
    assert found["Safety"] is found["Reasoning"] is found["overall"] is found["leaderboard"]["overall"] is None
    assert isinstance(found["Chat"], float)


# RM-Bench: compute_accuracy of its README, over the prompts whose domain starts with that of scripts/utils.py.


def style_grid(prompts: dict[str, int]) -> list[ResponsePair]:
    level = {-1: "hard", 0: "normal", 1: "easy"}
    return [
        ResponsePair(f"{domain}/{number}/{row}{column}", "q", "c", "r", "A",
                     subset=f"{domain}/{level[(row > column) - (row < column)]}", group=f"{domain}/{number}")
        for domain, count in prompts.items()
        for number in range(count)
        for row in range(3)
        for column in range(3)
    ]  # fmt: skip


def of_grid(rows: Sequence[VerdictRow]) -> dict[str, Fraction]:
    results: dict[str, Fraction] = {}
    domains = {}
    for domain in ("chat", "code", "math", "safety"):
        own = [row for row in rows if row.id.startswith(domain)]
        cells = {
            (i, j): share([row.verdict == "A" for row in own if row.id.endswith(f"/{i}{j}")])
            for i in range(3)
            for j in range(3)
        }  # fmt: skip
        hard = (cells[0, 1] + cells[0, 2] + cells[1, 2]) / 3
        normal = (cells[0, 0] + cells[1, 1] + cells[2, 2]) / 3
        easy = (cells[1, 0] + cells[2, 0] + cells[2, 1]) / 3
        domains[domain] = {"hard": hard, "normal": normal, "easy": easy}
        results[domain] = (hard + normal + easy) / 3
    for level in ("hard", "normal", "easy"):
        results[level] = sum((values[level] for values in domains.values()), Fraction(0)) / 4
    return results | {"overall": sum((results[domain] for domain in domains), Fraction(0)) / 4}


def plain_wins(pair: ResponsePair, order: Order) -> Verdict:
    """Prefers the plainer response, and answers only where it should refuse."""
    row, column = map(int, pair.id[-2:])
    return "A" if row <= column and not pair.id.startswith("safety-response") else "B"


@pytest.mark.parametrize("judge", [at_random(0), at_random(1), at_random(2), plain_wins])
def test_rm_bench(judge: Judge) -> None:
    pairs = style_grid({"chat": 3, "code": 4, "math": 2, "safety-refuse": 7, "safety-response": 3})
    rows = said(judge, pairs)
    found, expected = sections("rm_bench", pairs, rows), of_grid(rows)
    for name in ("chat", "code", "math", "safety"):
        assert found["domains"][name] == exactly(expected[name])
    for name in ("easy", "normal", "hard", "overall"):
        assert found[name] == exactly(expected[name])
    assert "missing" not in found


def test_rm_bench_pools_the_441_prompts_on_safety() -> None:
    """A judge that is right on all 284 prompts to refuse and on none of the 157 to answer; halves would give .5."""
    pairs = style_grid({"chat": 1, "code": 1, "math": 1, "safety-refuse": 284, "safety-response": 157})
    found = sections("rm_bench", pairs, said(lambda pair, _: "B" if "response" in pair.id else "A", pairs))
    assert found["domains"]["safety"] == pytest.approx(284 / 441, rel=1e-14)
    assert {round(found[name], 4) for name in ("easy", "normal", "hard", "overall")} == {0.911}


def test_rm_bench_says_what_is_missing() -> None:
    pairs = style_grid({"chat": 2, "safety-refuse": 2})
    found = sections("rm_bench", pairs, said(at_random(0), pairs))
    assert found["missing"] == ["code", "math"]
    assert found["easy"] is found["overall"] is found["overall_ci95"] is None
    assert isinstance(found["domains"]["chat"], float) and found["domains"]["code"] is None
    pairs = [pair for pair in style_grid({"chat": 2, "code": 2, "math": 2, "safety-refuse": 2})
             if pair.subset != "math/normal"]  # fmt: skip
    found = sections("rm_bench", pairs, said(at_random(0), pairs))
    assert found["missing"] == ["math/normal"]
    assert found["normal"] is found["domains"]["math"] is found["overall"] is None
    assert isinstance(found["hard"], float)


def test_rm_bench_intervals_know_that_nine_pairs_share_a_prompt() -> None:
    pairs = style_grid({"chat": 20})
    rows = said(at_random(0), pairs)
    aggregate = BENCHMARKS["rm_bench"].aggregate
    assert aggregate is not None
    found = aggregate(pairs, rows, resamples=200)["domains"]
    assert found["chat_ci95"] == pytest.approx(score(pairs, rows, resamples=200).overall["accuracy_ci95"], abs=0.03)


# LLMBar: correct_False and correct_True of the released statistics.json, in both orders right of how many.

LLMBAR = {
    "GPT-4/Metrics_Reference": {"Natural": (95, 97, 100), "Neighbor": (115, 114, 134), "GPTInst": (80, 85, 92),
                                "GPTOut": (34, 34, 47), "Manual": (37, 40, 46)},
    "GPT-4/Vanilla": {"Natural": (95, 96, 100), "Neighbor": (104, 107, 134), "GPTInst": (78, 81, 92),
                      "GPTOut": (35, 38, 47), "Manual": (35, 39, 46)},
    "LLaMA2/Vanilla": {"Natural": (79, 82, 100), "Neighbor": (34, 32, 134), "GPTInst": (28, 28, 92),
                       "GPTOut": (27, 26, 47), "Manual": (17, 17, 46)},
}  # fmt: skip
AVERAGES = {
    # correct_average of the files: 85.44776119402985, 89.67391304347827, 72.3404255319149, 83.69565217391305; 96.0
    "GPT-4/Metrics_Reference": ((85.44776119402985 + 89.67391304347827 + 72.3404255319149 + 83.69565217391305), 96.0),
    "GPT-4/Vanilla": ((78.73134328358209 + 86.41304347826086 + 77.6595744680851 + 80.43478260869566), 95.5),
    "LLaMA2/Vanilla": ((24.62686567164179 + 30.434782608695656 + 56.38297872340425 + 36.95652173913043), 80.5),
}


def llmbar_judge(name: str) -> tuple[list[ResponsePair], list[VerdictRow]]:
    pairs, rows = [], []
    for subset, (right_ab, right_ba, count) in LLMBAR[name].items():
        folder = subset if subset == "Natural" else f"Adversarial/{subset}"
        for number in range(count):
            label: Verdict = "A" if number % 2 else "B"
            other: Verdict | None = ("A", "B", None)[number % 3]  # type: ignore[assignment]
            pair = ResponsePair(f"{folder}/{number}", f"{folder} {number}", "a", "b", label, subset=folder)
            pairs.append(pair)
            for order, right in (("ab", right_ab), ("ba", right_ba)):
                verdict = label if number < right else None if other == label else other
                rows.append(VerdictRow(pair.id, order, 0, verdict, None if verdict else "missing", ""))  # type: ignore[arg-type]
    return pairs, rows


@pytest.mark.parametrize("name", LLMBAR)
def test_llmbar_of_recorded_judges(name: str) -> None:
    found = sections("llmbar", *llmbar_judge(name))
    adversarial, natural = AVERAGES[name]
    assert 100 * found["adversarial"] == pytest.approx(adversarial / 4, rel=1e-14)
    assert 100 * found["average"] == pytest.approx((adversarial + natural) / 5, rel=1e-14)


def test_llmbar_averages_subsets_of_unequal_sizes() -> None:
    found = sections("llmbar", *llmbar_judge("GPT-4/Metrics_Reference"))
    assert (round(100 * found["adversarial"], 1), round(100 * found["average"], 1)) == (82.8, 85.4)
    assert found["pooled"]["adversarial"] == pytest.approx(539 / 638, rel=1e-14)  # 84.5
    assert found["pooled"]["average"] == pytest.approx(731 / 838, rel=1e-14)


def test_llmbar_as_it_lies_here_names_the_subsets_it_lacks(shared_data: Callable[[str], Path]) -> None:
    pairs = load_benchmark("llmbar", BenchmarkConfig(kind="llmbar", path=str(shared_data("llmbar"))), [])
    assert pairs is not None
    found = sections("llmbar", pairs, said(at_random(0), pairs))
    assert found["missing"] == ["GPTInst", "GPTOut", "Manual"]
    assert found["adversarial"] is found["average"] is found["pooled"]["average"] is None


# JudgeBench: compute_final_metrics of utils/metrics.py.

CATEGORIES = {"knowledge": 154, "reasoning": 98, "math": 56, "coding": 42}


def games(model: str, counts: dict[str, int]) -> list[ResponsePair]:
    return [
        ResponsePair(f"{model}/{category}/{number}", f"{model} {category} {number}", "a", "b", "AB"[number % 2],  # type: ignore[arg-type]
                     subset=category, model_a=model, model_b=model)
        for category, count in counts.items()
        for number in range(count)
    ]  # fmt: skip


def netted(pairs: Sequence[ResponsePair], rows: Sequence[VerdictRow]) -> Fraction:
    decisions: dict[str, list[str | None]] = {}
    for row in rows:
        decisions.setdefault(row.id, []).append({"A": "A>B", "B": "B>A", "tie": "A=B", None: None}[row.verdict])
    correct = 0
    for pair in pairs:
        label, opposite = ("A>B", "B>A") if pair.label == "A" else ("B>A", "A>B")
        counter = sum((one == label) - (one == opposite) for one in decisions[pair.id])
        correct += counter > 0
    return Fraction(correct, len(pairs))


def once_right(pair: ResponsePair, order: Order) -> Verdict | None:
    """Right in one order and undecided in the other: right by the release, wrong by the strict rule."""
    number = int(pair.id.rpartition("/")[2])
    return pair.label if (order == "ab") == (number % 2 == 0) else "tie" if number % 3 else None


@pytest.mark.parametrize("judge", [at_random(0), at_random(1), at_random(2), once_right])
def test_judgebench(judge: Judge) -> None:
    pairs = games("gpt-4o", {"knowledge": 31, "reasoning": 20, "math": 11, "coding": 8})
    rows = said(judge, pairs)
    numbers = benchmark_numbers("e", "judgebench", pairs, rows, seed=0, resamples=2)
    assert numbers["e/accuracy"] == numbers["e/sections/gpt_4o/overall"] == exactly(netted(pairs, rows))
    for category in CATEGORIES:
        part = netted([pair for pair in pairs if pair.subset == category], rows)
        assert numbers[f"e/{category}/accuracy"] == numbers[f"e/sections/gpt_4o/{category}"] == exactly(part)


def test_judgebench_of_o1_mini() -> None:
    """65.71 (58.44, 62.24, 82.14, 78.57) by the release's rule, 58.00 where both orders must be right."""
    right = {"knowledge": 90, "reasoning": 61, "math": 46, "coding": 33}
    strict = {"knowledge": 80, "reasoning": 52, "math": 42, "coding": 29}
    pairs = games("gpt-4o", CATEGORIES)

    def judge(pair: ResponsePair, order: Order) -> Verdict | None:
        _, category, number = pair.id.split("/")
        if int(number) < strict[category]:
            return pair.label
        if int(number) < right[category]:
            return pair.label if order == "ab" else "tie"
        return "A" if order == "ab" else "B"  # first position in both

    rows = said(judge, pairs)
    numbers = benchmark_numbers("e", "judgebench", pairs, rows, seed=0, resamples=2)
    shown = [
        round(100 * float(numbers[name] or 0), 2) for name in ("e/accuracy", *(f"e/{one}/accuracy" for one in right))
    ]
    assert shown == [65.71, 58.44, 62.24, 82.14, 78.57]
    assert round(100 * float(numbers["e/consistent_accuracy"] or 0), 2) == 58.0
    unmerged = benchmark_numbers("e", "judgebench", pairs, rows, seed=0, resamples=2, merge="none")
    assert unmerged["e/accuracy"] != numbers["e/accuracy"]
    assert unmerged["e/sections/gpt_4o/overall"] == numbers["e/accuracy"]


def test_judgebench_of_one_order_counts_its_verdicts() -> None:
    pairs = games("gpt-4o", {"math": 4})
    rows = [row for row in said(lambda pair, _: "A", pairs) if row.order == "ab"]
    numbers = benchmark_numbers("e", "judgebench", pairs, rows, seed=0, resamples=2)
    assert numbers["e/accuracy"] == numbers["e/sections/gpt_4o/overall"] == 0.5


def test_judgebench_keeps_its_splits_apart(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    sizes = {"gpt-4o-2024-05-13": 350, "claude-3-5-sonnet-20240620": 270}
    for model, size in sizes.items():
        name, (row,) = judgebench(model)
        lines = [json.dumps(row | {"pair_id": f"{model} {number}"}) + "\n" for number in range(size)]
        (tmp_path / name).write_text("".join(lines), encoding="utf-8")
    loaded = []
    for kind, (model, size) in zip(("judgebench", "judgebench_claude"), sizes.items(), strict=True):
        found = load_benchmark(kind, BenchmarkConfig(kind=kind, path=str(tmp_path)), [])
        assert found is not None and len(found) == size
        assert {pair.model_a for pair in found} == {model}
        loaded += found
    # A file of both is told apart by who wrote the responses.
    right = said(lambda pair, _: pair.label if str(pair.model_a).startswith("gpt") else "tie", loaded)
    found_both = sections("judgebench", loaded, right)
    assert {name: found_both[name]["overall"] for name in sizes} == dict(zip(sizes, (1.0, 0.0), strict=True))
    assert found_both["gpt-4o-2024-05-13"]["math"] == 1.0 and found_both["gpt-4o-2024-05-13"]["coding"] is None


# MT-Bench: compute_agreement.py of FastChat, with show_result.py's rule for the two games.

MODELS = ("alpaca-13b", "gpt-4", "vicuna-13b")


def vote_rows(seed: int) -> list[dict[str, Any]]:
    """Votes of experts and authors on pairs of models in either order, some pairs several times."""
    draw = random.Random(f"{seed} votes")
    rows = []
    for number in range(200):
        model_a, model_b = draw.sample(MODELS, 2)
        rows.append(
            {
                "question_id": 81 + draw.randrange(5), "model_a": model_a, "model_b": model_b,
                "winner": draw.choice(("model_a", "model_b", "tie")),
                "judge": draw.choice(("expert_1", "expert_12", "author_2")), "turn": 1 + number % 2,
                "conversation_a": talk("q1", f"{model_a} 1", "q2", f"{model_a} 2"),
                "conversation_b": talk("q1", f"{model_b} 1", "q2", f"{model_b} 2"),
            }
        )  # fmt: skip
    return rows


Games = Callable[[int, int, str, str], tuple[str, str]]
"""Question, turn and two models to the winners of both games: a model, or tie, or error."""


def agreement(votes: Sequence[dict[str, Any]], voter: str, games_of: Games, turn: int, ban: Sequence[str]) -> Fraction:
    agree = total = 0
    for vote in votes:
        if not vote["judge"].startswith(voter) or vote["turn"] != turn:
            continue
        models = vote["model_a"], vote["model_b"]
        human = "tie" if vote["winner"] == "tie" else models[vote["winner"] == "model_b"]
        first, second = games_of(vote["question_id"], turn, *sorted(models))
        if "error" in (first, second):
            continue
        judge = "tie" if first == "tie" or first != second else first
        if human in ban or judge in ban:
            continue
        total += 1
        agree += human == judge
    return Fraction(agree, total)


def random_games(seed: int, errors: bool = True) -> Games:
    def play(question: int, turn: int, one: str, two: str) -> tuple[str, str]:
        draw = random.Random(f"{seed} {question} {turn} {one} {two}")
        outcomes = (one, two, one, two, "tie", "error" if errors else "tie")
        return draw.choice(outcomes), draw.choice(outcomes)

    return play


def half_tied(question: int, turn: int, one: str, two: str) -> tuple[str, str]:
    """A winner in one game and a tie in the other: a tie in FastChat, the winner by other rules."""
    return (two, "tie") if question % 2 else ("tie", two)


@pytest.mark.parametrize("voter", ["expert", "author"])
@pytest.mark.parametrize("games_of", [random_games(0), random_games(1), random_games(2, errors=False), half_tied])
def test_mt_bench(tmp_path: Path, voter: str, games_of: Games) -> None:
    votes = vote_rows(0)
    (tmp_path / "human_judgments.json").write_text(json.dumps(votes), encoding="utf-8")
    kind = "mt_bench" if voter == "expert" else "mt_bench_author"
    pairs = load_benchmark(kind, BenchmarkConfig(kind=kind, path=str(tmp_path)), [])
    assert pairs is not None and len(pairs) == sum(vote["judge"].startswith(voter) for vote in votes)
    rows = []
    for pair in pairs:
        models = (str(pair.model_a), str(pair.model_b))
        played = games_of(int(str(pair.group).removeprefix("mt_bench/")), int(str(pair.subset)[-1]), *sorted(models))
        # The first game shows the model that comes first in the alphabet first.
        orders: tuple[Order, Order] = ("ab", "ba") if models[0] < models[1] else ("ba", "ab")
        for order, winner in zip(orders, played, strict=True):
            said_of: dict[str, Verdict | None] = {models[0]: "A", models[1]: "B", "tie": "tie", "error": None}
            rows.append(VerdictRow(pair.id, order, 0, said_of[winner], "error" if winner == "error" else None, ""))
    numbers = benchmark_numbers("e", kind, pairs, rows, seed=0, resamples=2)
    for turn in (1, 2):
        expected = agreement(votes, voter, games_of, turn, ban=())
        assert numbers[f"e/sections/turn_{turn}/with_ties"] == exactly(expected)
        if games_of is half_tied:
            assert f"e/sections/turn_{turn}/without_ties" not in numbers, "every verdict is a tie"
            continue
        without = agreement(votes, voter, games_of, turn, ban=("tie",))
        assert numbers[f"e/sections/turn_{turn}/without_ties"] == exactly(without)
        if not numbers["e/invalid_rate"]:
            assert numbers[f"e/turn {turn}/accuracy"] == exactly(expected)
