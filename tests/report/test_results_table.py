"""The results table as data, in a terminal and as markdown."""

from __future__ import annotations

import io

from rich.ansi import AnsiDecoder
from rich.console import Console

from judgekit.report import results_table
from judgekit.report.results_table import METRICS, print_results, results_markdown
from tests.report.run_folder import JUDGES, metrics

WIDEST = {
    f"eval/{judge}/bench/{metric}{suffix}": value
    for judge in ("a_long_judge_name", "dpo2")
    for metric in METRICS
    for suffix, value in (("", 0.9951 if judge == "dpo2" else 1.0), ("_ci95_low", 0.9512), ("_ci95_high", 0.9988))
} | {f"eval/{judge}/bench/n": 10_000 for judge in ("a_long_judge_name", "dpo2")}


def printed(*args: object, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="standard")
    print_results(console, *args)  # type: ignore[arg-type]
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def console_decoded(text: str) -> list[str]:
    return [line.plain for line in AnsiDecoder().decode(text)]


def test_rows_hold_values_and_intervals_in_the_judges_order() -> None:
    rows = results_table(metrics(), JUDGES, ["starter", "llmbar"])
    assert [row.judge for row in rows] == list(JUDGES)
    rate = rows[-1].rates["consistent_accuracy"]
    assert (rows[-1].n, rate.value, str(rate)) == (80, 0.64, "64.0 [54.0, 74.0]")


def test_a_judge_without_numbers_has_no_row() -> None:
    assert [row.judge for row in results_table(metrics(), ["dpo1", "dpo3"], ["starter"])] == ["dpo1"]


def test_what_does_not_apply_is_a_dash_and_never_best() -> None:
    seed = results_table(metrics(), JUDGES, ["starter"])[0]
    assert str(seed.rates["first_position_rate"]) == "–"
    assert seed.best == frozenset()


def test_best_is_high_accuracy_low_invalid_and_first_position_near_half() -> None:
    values = {"n": 4, "accuracy": 0.5, "consistent_accuracy": 0.5, "consistency": 0.5}
    one = {f"eval/one/b/{k}": v for k, v in {**values, "first_position_rate": 0.3, "invalid_rate": 0.0}.items()}
    two = {f"eval/two/b/{k}": v for k, v in {**values, "first_position_rate": 0.6, "invalid_rate": 0.1}.items()}
    rows = results_table({**one, **two}, ["one", "two"], ["b"])
    assert [row.best for row in rows] == [{"invalid_rate"}, {"first_position_rate"}]  # equal columns have no best


def test_subsets_may_have_a_slash_in_their_name() -> None:
    values = {f"eval/sft/llmbar/{name}/accuracy": 0.5 for name in ("Natural", "Adversarial/Neighbor")}
    rows = results_table(values, ["sft"], ["llmbar"], subsets=True)
    assert [row.subset for row in rows] == ["Adversarial/Neighbor", "Natural"]
    assert results_table(values, ["sft"], ["llmbar"]) == []


def test_the_terminal_table_fits_100_columns_and_loses_nothing() -> None:
    lines = console_decoded(printed(WIDEST, ["a_long_judge_name", "dpo2"], ["bench"]))
    assert max(len(line.rstrip()) for line in lines) <= 100
    row = next(line for line in lines if line.startswith("dpo2"))
    assert row.count("99.5 [95.1, 99.9]") == 4
    assert row.rstrip().endswith("99.5")


def test_the_best_of_a_column_is_bold_and_the_seed_is_first() -> None:
    text = printed(metrics(), JUDGES, ["starter", "llmbar"])
    assert "\x1b[1m64.0 [54.0, 74.0]\x1b[0m" in text
    assert "\x1b[1m46.0" not in text
    judges = [line.split()[0] for line in console_decoded(text) if line.split() and line.split()[0] in JUDGES]
    assert judges == list(JUDGES)
    assert "llmbar" not in text


def test_markdown() -> None:
    lines = results_markdown(metrics(), ["seed", "dpo2"], ["starter", "llmbar"]).splitlines()
    assert lines[0] == "**starter**, % with 95 % intervals"
    assert lines[2] == "| judge | n | accuracy | consistent accuracy | consistency | first position | invalid |"
    assert lines[4] == "| seed | 80 | 0.0 [0.0, 10.0] | 0.0 [0.0, 10.0] | 0.0 [0.0, 10.0] | – | 100 [90.0, 100] |"
    assert lines[5].startswith("| dpo2 | 80 | **74.8 [64.8, 84.8]** | **64.0 [54.0, 74.0]** |")
    assert len(lines) == 6
