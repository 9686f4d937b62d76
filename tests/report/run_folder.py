"""Synthetic run folders: a small one of a recipe with hostile text in it, and evaluations of any size."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from judgekit.evaluation.verdict_metrics import MetricValue, score
from judgekit.rows import Order, ResponsePair, Verdict, write_rows
from judgekit.tracking.local_files import LocalTracker
from judgekit.verdict_rows import VerdictRow, write_verdicts

JUDGES = ("seed", "warm", "sft", "dpo1", "dpo2")
HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
OPENERS = "<!-- <script> <![CDATA[ ]]> --> </textarea> \ufeff"
CONTROL = "esc\x1b[31mred nul\x00 bell\x07 line\u2028sep bidi\u202eevil"
ACCURACY = {"seed": 0.0, "warm": 0.1, "sft": 0.31, "dpo1": 0.46, "dpo2": 0.64}


def make_run(run_dir: Path, **manifest: Any) -> Path:
    """A finished run with five judges on one benchmark, and one benchmark left out."""
    run_dir.mkdir(parents=True, exist_ok=True)
    (run_dir / "manifest.json").write_text(json.dumps({**MANIFEST, **manifest}))
    (run_dir / "config.yaml").write_text("name: demo\nlogger:\n  report_judgments: 80\n")
    tracker = LocalTracker(run_dir)
    for stage in ("sft", "dpo1", "dpo2"):
        for step in range(1, 61):
            loss = 0.69 * math.exp(-step / 30) + 0.03 * math.sin(7.0 * step)
            values = {f"train/{stage}/loss": loss, f"train/{stage}/lr": 1e-4 * math.cos(step / 40)}
            tracker.log(stage, step, values | {f"train/{stage}/reward_margin": step / 60})
    tracker.summary(metrics())
    tracker.finish("finished")
    write_pairs_and_verdicts(run_dir)
    return run_dir


def make_evaluation(
    run_dir: Path, pairs: int, judges: Sequence[str] = ("plain", "sure", "scorer"), words: int = 60
) -> Path:
    """The folder of an evaluation: ``pairs`` pairs in each of two benchmarks, numbers as ``score`` gives them.

    A judge whose name begins with "sure" gives P(A), with "scorer" scores, with "many" five samples of each order.

    :param words: of a judgment
    """
    for folder in ("pairs", "verdicts"):
        (run_dir / folder).mkdir(parents=True, exist_ok=True)
    numbers: dict[str, float | None] = {}
    for benchmark in ("arena", "exam"):
        held = [evaluation_pair(benchmark, number) for number in range(pairs)]
        write_rows(run_dir / "pairs" / f"{benchmark}.jsonl", held)
        for place, judge in enumerate(judges):
            rows = [
                row
                for pair in held
                for order in ("ab", "ba")
                for row in evaluation_verdicts(judge, 0.5 + 0.4 * place / len(judges), pair, order, words)
            ]
            write_verdicts(run_dir / "verdicts" / f"{judge}.{benchmark}.jsonl", rows)
            scores = score(held, rows, resamples=100)
            numbers |= flat(f"eval/{judge}/{benchmark}", scores.overall)
            for subset, values in scores.subsets.items():
                numbers |= flat(f"eval/{judge}/{benchmark}/{subset}", values)
    LocalTracker(run_dir).summary(numbers)
    manifest = {
        "name": "evaluation",
        "status": "finished",
        "judges": list(judges),
        "benchmarks": {name: {"pairs": pairs} for name in ("arena", "exam")},
    }
    (run_dir / "manifest.json").write_text(json.dumps(manifest))
    return run_dir


def flat(prefix: str, values: Mapping[str, MetricValue]) -> dict[str, float | None]:
    """As in ``metrics.json``."""
    numbers: dict[str, float | None] = {}
    for name, value in values.items():
        if name.endswith("_ci95"):
            low, high = value if isinstance(value, list) else (None, None)
            numbers |= {f"{prefix}/{name}_low": low, f"{prefix}/{name}_high": high}
        else:
            assert not isinstance(value, list)
            numbers[f"{prefix}/{name}"] = value
    return numbers


def some_words(draw: random.Random, count: int) -> str:
    """As varied as prose or more: it must not compress better than judgments do."""
    letters = "etaoinshrdlucmfw"
    return " ".join(
        "".join(letters[int(16 * draw.random() ** 2)] for _ in range(1 + int(8 * draw.random()))) for _ in range(count)
    )


def evaluation_pair(benchmark: str, number: int) -> ResponsePair:
    draw = random.Random(f"{benchmark} {number}")
    return ResponsePair(
        id=f"{benchmark}-{number:05d}",
        instruction=f"Question {number}. {some_words(draw, 30)}",
        response_a=some_words(draw, 60),
        response_b=some_words(draw, 60),
        label="tie" if number % 20 == 19 else draw.choice(("A", "B")),
        subset=("maths", "format", "facts")[number % 3],
    )


def evaluation_verdicts(judge: str, skill: float, pair: ResponsePair, order: Order, words: int) -> list[VerdictRow]:
    """Verdicts that lean on the label, the first position and chance."""
    rows = []
    for sample in range(5 if judge.startswith("many") else 1):
        draw = random.Random(f"{judge} {pair.id} {order} {sample}")
        text = some_words(draw, words)
        other: Verdict = "B" if pair.label == "A" else "A"
        verdict: Verdict | None = pair.label if draw.random() < skill else other
        if draw.random() < 0.15:
            verdict = "A" if order == "ab" else "B"
        if draw.random() < 0.05:
            verdict = "tie"
        invalid = None
        if draw.random() < 0.04:
            verdict, invalid = None, draw.choice(("missing verdict", "truncated: at 512 tokens", "ambiguous"))
        surely = 0.5 + 0.5 * draw.random()
        p_a = None if not judge.startswith("sure") or verdict is None else surely if verdict == "A" else 1 - surely
        points = {None: None, "A": (8, 4), "B": (3, 9), "tie": (6, 6)}[verdict] if judge.startswith("scorer") else None
        score_a, score_b = (None, None) if points is None else (points[0] - sample, points[1] - draw.randrange(3))
        rows.append(VerdictRow(pair.id, order, sample, verdict, invalid, text, p_a, score_a, score_b))
    return rows


def metrics() -> dict[str, float | None]:
    values: dict[str, float | None] = {"train/dpo1/loss": 0.4}
    for judge, accuracy in ACCURACY.items():
        for where, n in (("starter", 80), ("starter/maths", 30), ("starter/format", 50)):
            rates = {
                "accuracy": accuracy * 0.7 + 0.3 * (judge != "seed"),
                "accuracy_ab": min(1.0, accuracy * 0.7 + 0.4 * (judge != "seed")),
                "accuracy_ba": accuracy * 0.7 + 0.2 * (judge != "seed"),
                "consistent_accuracy": accuracy,
                "consistency": min(1.0, accuracy * 1.2),
                "first_position_rate": None if judge == "seed" else 0.9 - accuracy / 2,
                "invalid_rate": 1.0 if judge == "seed" else 0.025,
            }
            values[f"eval/{judge}/{where}/n"] = n
            for name, rate in rates.items():
                values[f"eval/{judge}/{where}/{name}"] = rate
                values[f"eval/{judge}/{where}/{name}_ci95_low"] = None if rate is None else max(0.0, rate - 0.1)
                values[f"eval/{judge}/{where}/{name}_ci95_high"] = None if rate is None else min(1.0, rate + 0.1)
    return values


def write_pairs_and_verdicts(run_dir: Path) -> None:
    (run_dir / "pairs").mkdir(exist_ok=True)
    (run_dir / "verdicts").mkdir(exist_ok=True)
    haiku = "Write a haiku about the number {}.\nKeep to three lines. {}"
    pairs = [
        ResponsePair(
            id=f"starter-{number:03d}",
            instruction=haiku.format(number, HOSTILE if number % 7 == 0 else ""),
            response_a=f"{number} apples fall,\nthe orchard counts them slowly,\nautumn keeps the sum.",
            response_b=f"Numbers are useful. {number} is one of them. {CONTROL if number % 5 == 0 else ''}",
            label="A" if number % 2 else "B",
            subset="maths" if number % 3 else "format",
        )
        for number in range(12)
    ]
    write_rows(run_dir / "pairs" / "starter.jsonl", pairs)
    for place, judge in enumerate(JUDGES):
        rows = [verdict(pair, order, place, n) for n, pair in enumerate(pairs) for order in ("ab", "ba")]
        write_verdicts(run_dir / "verdicts" / f"{judge}.starter.jsonl", rows)


def verdict(pair: ResponsePair, order: Order, place: int, number: int) -> VerdictRow:
    """The seed is always invalid; later judges are right more often; some are inconsistent or invalid."""
    other: Verdict = "B" if pair.label == "A" else "A"
    named: Verdict | None = pair.label if (number * 5) % 12 < place * 2 else other
    if place == 0 or number == 3:
        named = None
    elif number % 4 == 1:
        named = "A" if order == "ab" else "B"
    text = (
        f"Requirement: three lines.\nA has three lines: match.\nB has one line: no match.\nVerdict: {named} {HOSTILE}"
    )
    return VerdictRow(pair.id, order, 0, named, "missing verdict" if named is None else None, text + CONTROL)


MANIFEST: dict[str, Any] = {
    "run_id": "3f2a9c1d",
    "name": "demo",
    "command": "judgekit run experiment=demo seed=2",
    "started": "2026-11-21T18:04:05.123456+00:00",
    "finished": "2026-11-21T18:25:35+00:00",
    "status": "finished",
    "versions": {"judgekit": "0.1.0", "torch": "2.13.0", "transformers": "5.19.0"},
    "git": {"revision": "0123456789abcdef0123456789abcdef01234567", "dirty": True},
    "seed": 2,
    "config_digest": "9a8b7c6d5e4f3a2b",
    "judges": list(JUDGES),
    "benchmarks": {"starter": {"pairs": 80}, "llmbar": {"left_out": "no path given"}},
    "notes": ["The seed model gave no valid verdict."],
    "stages": [
        {
            "name": "pairs/d1",
            "digest": "aa11",
            "status": "reused",
            "seconds": 0.2,
            "rows": {"pairs": 128},
            "dropped": {"identical responses": 3, "empty response": 0},
        },
        {
            "name": "judgments/d1",
            "digest": "bb22",
            "status": "computed",
            "seconds": 312.3,
            "rows": {"judgments": 12288, "demonstrations": 60, "preferences": 214},
            "dropped": {"no correct execution": 41, "no incorrect execution": 12},
            "generations": {"sampled": 9512, "cached": 2776},
            "tokens": {"prompt": 181234, "generated": 1220012},
        },
        {"name": "train/dpo1", "digest": "cc33", "status": "computed", "seconds": 4211.0, "rows": {"steps": 60}},
    ],
}
