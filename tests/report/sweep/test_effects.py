"""Main effects: matched runs, and the paired tests on their verdicts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scipy.stats import ttest_rel

from judgekit.evaluation.judge_comparison import paired_difference
from judgekit.report.sweep.effects import main_effects
from judgekit.report.sweep.study import MeasuredRun, View, read_study, view
from judgekit.rows import ResponsePair, read_rows
from judgekit.verdict_rows import read_verdicts
from tests.report.sweep_folder import make_sweep

GRID = {"bias.rho": [0.2, 0.0, 0.4], "loss": ["dpo", "ipo"], "seed": [1, 2]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sweep(tmp_path_factory.mktemp("effects") / "sweep", GRID, failed={3})


def seen(folder: Path, metric: str | None = None) -> View:
    found = view(read_study(folder), "arena", metric)
    assert found is not None
    return found


def of(folder: Path, run: MeasuredRun) -> tuple[list[ResponsePair], Path]:
    run_dir = folder / run.run.folder
    return read_rows(run_dir / "pairs" / "arena.jsonl", ResponsePair), run_dir / "verdicts" / "dpo1.arena.jsonl"


def test_each_value_is_compared_with_the_first_typed_in_matched_runs(folder: Path) -> None:
    held = seen(folder)
    effects = main_effects(held, folder)
    # Job 3 (rho 0.2, ipo, seed 2) failed: what it would be matched with is left out.
    assert [(e.key, e.baseline, e.value, e.runs) for e in effects] == [
        ("bias.rho", 0.2, 0.0, 3), ("bias.rho", 0.2, 0.4, 3), ("loss", "dpo", "ipo", 5),
    ]  # fmt: skip
    numbers = {run.at(("bias.rho", "loss", "seed")): run.rate(held.metric).value or 0.0 for run in held.runs}
    pairs = [((0.4, *rest), (0.2, *rest)) for rest in (("dpo", 1), ("dpo", 2), ("ipo", 1))]
    gains = [numbers[one] - numbers[two] for one, two in pairs]
    assert effects[1].difference == pytest.approx(sum(gains) / 3)
    reference = ttest_rel([numbers[one] for one, _ in pairs], [numbers[two] for _, two in pairs])
    assert effects[1].p_runs == pytest.approx(reference.pvalue)
    assert effects[1].over_runs == pytest.approx(tuple(reference.confidence_interval()))


def test_one_matched_pair_of_runs_gives_what_compare_gives(tmp_path: Path) -> None:
    folder = make_sweep(
        tmp_path / "sweep", {"loss": ["sft", "dpo"]}, skilled=lambda v: 0.5 + 0.2 * (v["loss"] == "dpo")
    )
    for metric in ("consistent_accuracy", "accuracy"):
        held = seen(folder, metric)
        (effect,) = main_effects(held, folder)
        base, other = held.runs
        pairs, first = of(folder, base)
        _, second = of(folder, other)
        expected = paired_difference(pairs, read_verdicts(second), read_verdicts(first), metric)  # type: ignore[arg-type]
        assert effect.verdicts == expected
        assert effect.difference == pytest.approx(expected.difference)
        assert (effect.over_runs, effect.p_runs) == (None, None)


def test_pooled_runs_resample_instructions_not_rows(folder: Path) -> None:
    (*_, effect) = main_effects(seen(folder), folder)
    assert effect.verdicts is not None
    assert effect.verdicts.n == 5 * 40
    assert effect.verdicts.difference == pytest.approx(effect.difference)


@pytest.mark.parametrize("metric", ["first_position_rate", "invalid_rate"])
def test_other_metrics_are_tested_over_runs_alone(folder: Path, metric: str) -> None:
    assert [effect.verdicts for effect in main_effects(seen(folder, metric), folder)] == [None] * 3


def test_runs_without_verdicts_or_common_pairs_are_compared_by_their_numbers(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "sweep", {"data": ["one", "two", "three"], "seed": [1, 2]}, pairs=6)
    for num in (2, 3):
        (folder / f"{num}-run" / "verdicts" / "dpo1.arena.jsonl").write_text("torn")
    for num in (4, 5):
        for path in (folder / f"{num}-run").glob("*/*.jsonl"):
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            path.write_text("".join(json.dumps(row | {"id": f"other {row['id']}"}) + "\n" for row in rows))
    effects = main_effects(seen(folder), folder)
    assert [(effect.value, effect.runs, effect.verdicts) for effect in effects] == [
        ("two", 2, None),
        ("three", 2, None),
    ]
