"""Cue accuracy in a terminal and on the page."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

from rich.console import Console

from judgekit.report.html import build_report
from judgekit.report.surface_cues import cue_numbers, cue_rows, print_cues
from judgekit.run_folder import RunFolder
from tests.report.run_folder import make_run

CUES = ("length", "first_words", "end", "markup", "words")


def rated(data: str, n: int, **rates: float) -> dict[str, float | None]:
    """Every cue at 0.5 but those given, each with an interval of 0.1 to either side."""
    values = dict.fromkeys(CUES, 0.5) | rates
    numbers: dict[str, float | None] = {f"cues/{data}/n": n}
    for cue, value in values.items():
        ends = {"_ci95_low": value - 0.1, "_ci95_high": value + 0.1}
        numbers |= {f"cues/{data}/{cue}": value} | {f"cues/{data}/{cue}{end}": at for end, at in ends.items()}
    return numbers


LEAKING = rated("pairs/noisy", 400, end=0.83, words=0.9, length=0.58)
NUMBERS = LEAKING | rated("dpo1", 90) | {"eval/seed/starter/accuracy": 0.5}


def test_rows_name_the_cue_that_tells_most() -> None:
    rows = cue_rows(NUMBERS)
    assert [(row.data, row.n, row.leak) for row in rows] == [("pairs/noisy", 400, "words"), ("dpo1", 90, None)]
    assert str(rows[0].rates["end"]) == "83.0 [73.0, 93.0]" and list(rows[0].rates) == list(CUES)
    assert cue_rows({"eval/seed/starter/accuracy": 0.5}) == []


def test_the_numbers_of_stages_go_by_what_they_are_of() -> None:
    stages = [
        {"name": "cues/pairs", "numbers": {"noisy/length": 0.6, "n": 4}},
        {"name": "cues/dpo1", "rows": {"pairs": 1}},
        {"name": "responses/iter1", "numbers": {"mean_chars": 3.0}},
    ]
    assert cue_numbers(stages) == {"cues/pairs/noisy/length": 0.6, "cues/pairs/n": 4}


def test_a_terminal_is_told_which_data_leak() -> None:
    console = Console(file=io.StringIO(), width=100)
    print_cues(console, NUMBERS)
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    assert re.search(r"pairs/noisy +400 +58.0 +50.0 +83.0 +50.0 +90.0", printed)
    assert "pairs/noisy: words alone tells the better text in 90.0 [80.0, 100] %." in printed
    assert "dpo1:" not in printed


def test_the_report_has_the_table(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    assert "Cue accuracy" not in build_report(folder).read_text(encoding="utf-8")
    metrics = RunFolder(folder).metrics
    metrics.write_text(json.dumps(json.loads(metrics.read_text(encoding="utf-8")) | NUMBERS), encoding="utf-8")
    html = build_report(folder).read_text(encoding="utf-8")
    assert "Cue accuracy" in html and ">first words<" in html
    assert re.search(r'class="num best"><span>83.0</span> <small>\[73.0, 93.0\]', html)


def test_the_stages_do_not_repeat_it(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    manifest = RunFolder(folder).manifest
    values = json.loads(manifest.read_text(encoding="utf-8"))
    for name, numbers in (("cues/pairs", {"length": 0.123456}), ("point_judgments/m1", {"mean_score": 0.654321})):
        values["stages"].append(values["stages"][0] | {"name": name, "numbers": numbers})
    manifest.write_text(json.dumps(values), encoding="utf-8")
    html = build_report(folder).read_text(encoding="utf-8")
    assert "0.6543" in html and "0.1235" not in html
