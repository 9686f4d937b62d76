"""``judgekit compare`` from folders and files to tables and JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from judgekit.cli import main
from judgekit.evaluation.verdict_metrics import score
from judgekit.rows import ResponsePair, write_rows
from judgekit.verdict_rows import VerdictRow, write_verdicts
from tests.evaluation.judges import both, pair, random_data, row

PAIRS, GOOD = random_data(1)
POOR = random_data(2)[1]


def make_run(
    folder: Path, judges: dict[str, list[VerdictRow]], pairs: list[ResponsePair] = PAIRS, benchmark: str = "llmbar"
) -> Path:
    for name in ("pairs", "verdicts"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_rows(folder / "pairs" / f"{benchmark}.jsonl", pairs)
    for name, rows in judges.items():
        write_verdicts(folder / "verdicts" / f"{name}.{benchmark}.jsonl", rows)
    (folder / "manifest.json").write_text(json.dumps({"judges": list(judges)}))
    return folder


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert main(["compare", *map(str, arguments), "--json", "--resamples", "50"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["compare", *map(str, arguments)]) == 2
    return capsys.readouterr().err


def test_two_judges_of_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run", {"warm": POOR, "dpo2": GOOD})
    found = printed(capsys, run, "--judge", "warm", "dpo2")
    assert (found["a"], found["b"]) == ("warm", "dpo2")
    benchmark = found["benchmarks"]["llmbar"]
    assert set(benchmark["subsets"]) == {"easy", "hard"} and benchmark["left_out"] == [0, 0]
    for name, scope in (("overall", benchmark["overall"]), *benchmark["subsets"].items()):
        for metric in ("accuracy", "consistent_accuracy", "consistency"):
            for side, rows in (("a", POOR), ("b", GOOD)):
                scores = score(PAIRS, rows, resamples=50)
                values = scores.overall if name == "overall" else scores.subsets[name]
                assert scope["metrics"][metric][side]["value"] == pytest.approx(values[metric])
                assert scope["metrics"][metric][side]["ci95"] == pytest.approx(values[f"{metric}_ci95"])


def test_the_last_judges_of_two_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = make_run(tmp_path / "one", {"sft": POOR, "dpo1": GOOD})
    two = make_run(tmp_path / "two", {"sft": GOOD, "dpo1": POOR})
    found = printed(capsys, one, two)
    assert (found["a"], found["b"]) == (f"{one}: dpo1", f"{two}: dpo1")
    difference = found["benchmarks"]["llmbar"]["overall"]["metrics"]["accuracy"]["difference"]["difference"]
    assert difference > 0
    mirrored = printed(capsys, one, two, "--judge", "sft")
    assert mirrored["benchmarks"]["llmbar"]["overall"]["metrics"]["accuracy"]["difference"]["difference"] == -difference
    crossed = printed(capsys, one, two, "--judge", "sft", "dpo1")
    assert crossed["benchmarks"]["llmbar"]["overall"]["agreement"]["value"] == 1.0


def test_pairs_that_differ_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = make_run(tmp_path / "one", {"x": GOOD})
    changed = [replace(PAIRS[0], response_a="another"), *PAIRS[1:50]]
    kept = {found.id for found in changed}
    two = make_run(tmp_path / "two", {"y": [found for found in POOR if found.id in kept]}, changed)
    found = printed(capsys, one, two)["benchmarks"]["llmbar"]
    assert (found["overall"]["n"], found["left_out"]) == (49, [11, 1])
    assert main(["compare", str(one), str(two), "--resamples", "20"]) == 0
    assert "Left out, because the other judge has no such pair: 11 of A, 1 of B." in capsys.readouterr().out
    other = make_run(tmp_path / "other", {"y": [row(0, "ab", "A")]}, [pair(0, "B")])
    assert "none of which is among the 1 of" in refused(capsys, one, other)


def test_verdict_files_with_their_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = tmp_path / "pairs.jsonl"
    write_rows(gold, PAIRS)
    write_verdicts(tmp_path / "a.jsonl", GOOD)
    write_verdicts(tmp_path / "b.jsonl", [found for found in POOR if found.id != "p0"])
    found = printed(capsys, tmp_path / "a.jsonl", tmp_path / "b.jsonl", "--gold", gold)
    assert (found["a"], found["b"]) == ("a", "b")
    assert found["benchmarks"]["pairs"]["left_out"] == [1, 0]
    assert found["benchmarks"]["pairs"]["overall"]["n"] == 59


def test_verdict_files_of_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gold.csv").write_text("uid;human\n1;1\n2;2\n3;0\n", encoding="utf-16")
    (tmp_path / "a.tsv").write_text("id\tverdict\n1\tA\n2\tB\n3\ttie\n")
    (tmp_path / "b.jsonl").write_text("".join(f'{{"id": {name}, "gpt": "A>B"}}\n' for name in (1, 2, 3)))
    files = tmp_path / "a.tsv", tmp_path / "b.jsonl", "--gold", tmp_path / "gold.csv"
    overall = printed(capsys, *files, "--columns", "label=human", "verdict=gpt", "--columns", "id=uid")["benchmarks"]
    metric = overall["gold"]["overall"]["metrics"]["accuracy_ab"]
    assert (metric["a"]["value"], metric["b"]["value"]) == (1.0, pytest.approx(1 / 3))
    assert "no file with the field 'verdict' has a column 'gtp'" in refused(capsys, *files, "--columns", "verdict=gtp")
    assert "'x=y' is no FIELD=COLUMN" in refused(capsys, *files, "--columns", "x=y")
    assert "Leave them out" in refused(capsys, tmp_path, tmp_path, "--columns", "id=uid")
    assert "Add --majority" in refused(capsys, *files, "--min-votes", "2")


def test_majority_of_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [pair(0, "A")]
    voted = [row(0, order, said, sample) for order in ("ab", "ba") for sample, said in enumerate(("B", "A", "A"))]  # type: ignore[arg-type]
    run = make_run(tmp_path / "run", {"x": voted, "y": both(0, "A", "A")}, pairs)
    first = printed(capsys, run, "--judge", "x", "y")["benchmarks"]["llmbar"]["overall"]
    voting = printed(capsys, run, "--judge", "x", "y", "--majority")["benchmarks"]["llmbar"]["overall"]
    assert (first["agreement"]["value"], voting["agreement"]["value"]) == (0.0, 1.0)


def test_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run", {"warm": POOR, "dpo2": GOOD})
    assert main(["compare", str(run), "--judge", "warm", "dpo2", "--resamples", "100"]) == 0
    shown = capsys.readouterr().out
    for part in ("A: warm", "B: dpo2", "llmbar: %", "consistent accuracy", "easy", "A − B", "McNemar", "Cohen's κ"):
        assert part in shown
    assert max(map(len, shown.splitlines())) <= 120
    tall = score(PAIRS, POOR, resamples=100).overall["accuracy"]
    assert isinstance(tall, float) and f"{100 * tall:.1f} [" in shown


def test_mistakes_say_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run", {"warm": POOR, "dpo2": GOOD})
    other = make_run(tmp_path / "other", {"dpo2": GOOD}, benchmark="pandalm")
    file = run / "verdicts" / "warm.llmbar.jsonl"
    for arguments, message in (
        ((run,), "judgekit compare RUN --judge A B"),
        ((run, run, run), "judgekit compare RUN --judge A B"),
        ((run, run, "--judge", "x"), "has no judge 'x', only warm, dpo2"),
        ((run, other), "compare on the same benchmark"),
        ((file, file), "say with --gold on which pairs"),
        ((run, file, "--gold", file), "leave out --gold"),
        ((file, file, "--gold", file, "--judge", "x"), "--judge chooses in a run's folder"),
        ((tmp_path, tmp_path), "manifest.json: not there"),
    ):
        assert message in refused(capsys, *arguments)
