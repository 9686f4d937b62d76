"""``judgekit rank``: from recorded outcomes, and from responses and models with a real tiny judge."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from judgekit.cli import main
from judgekit.commands import rank
from tests.training.tiny import make_model


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_recorded_outcomes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, Any]] = [
        {"model_a": "x<b>", "model_b": "y", "verdict": "AAAB"[number % 4], "group": f"g{number // 2}"}
        for number in range(40)
    ]
    rows.append({"model_a": "x<b>", "model_b": "z", "verdict": None, "invalid": "missing: at all"})
    file = write(tmp_path / "outcomes.jsonl", rows)
    assert main(["rank", "--verdicts", str(file), "-o", str(tmp_path / "out"), "--resamples", "50"]) == 0
    shown = capsys.readouterr().out
    assert "x<b>" in shown and "75.0" in shown and "invalid verdicts, left out: 1 (1 missing)" in shown
    values = json.loads((tmp_path / "out" / "ranking.json").read_text())
    assert [model["name"] for model in values["models"]] == ["x<b>", "z", "y"]
    assert values["wins"]["x<b>"] == {"z": None, "y": 0.75} and values["prompts"] == 20
    page = (tmp_path / "out" / "ranking.html").read_text()
    assert "<b>" not in page and page.count("<circle") == 3 and page.count('class="range"') == 3
    assert main(["rank", "--verdicts", str(file), "--json", "--resamples", "50"]) == 0
    assert json.loads(capsys.readouterr().out) == values


def test_outcomes_of_an_arena(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("x", "y", "model_a")] * 3 + [("y", "x", "model_b"), ("x", "y", "tie (bothbad)"), ("x", "y", "")]
    lines = ["Model A;Model B;Winner", *(";".join(row) for row in rows)]
    (tmp_path / "arena.csv").write_text("\n".join(lines) + "\n", encoding="utf-16")
    arguments = ["rank", "--verdicts", str(tmp_path / "arena.csv"), "--columns", "verdict=winner", "--json"]
    assert main([*arguments, "--resamples", "20"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["wins"]["x"]["y"] == 0.9 and values["invalid"] == {"unstated": 1}


def test_prompts_that_one_model_answered_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, asked in (("one", "abc"), ("two", "bcd"), ("three", "ce")):
        text = "Prompt;Answer\n" + "".join(f"{prompt};{name} says\n" for prompt in asked)
        (tmp_path / f"{name}.csv").write_text(text)

    def judge(options: argparse.Namespace) -> None:
        rows = [json.loads(line) for line in options.input.read_text().splitlines()]
        write(options.output, [{"id": row["id"], "order": "ab", "verdict": "A"} for row in rows])

    monkeypatch.setattr(rank, "judge", judge)
    files = [part for name in ("one", "two", "three") for part in ("--responses", f"{name}={name}.csv")]
    arguments = ["rank", *files, "--columns", "instruction=prompt", "response=answer", "-o", "out", "--resamples", "9"]
    assert main(arguments) == 0
    # b was answered by two models and c by three; a, d and e by one.
    assert "2 prompts" in (shown := capsys.readouterr().out)
    assert "prompts that only one model answered, left out: 3" in shown
    assert json.loads(Path("out/ranking.json").read_text())["answered_by_one"] == 3
    assert "3 prompts that only one model answered are left out" in Path("out/ranking.html").read_text()


def test_mistakes_name_their_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = [
        ([{"model_a": "x", "model_b": "x", "verdict": "A"}], "meets itself"),
        ([{"model_a": "x", "model_b": "y", "verdict": "x"}], "holds 'x'; use A, B, tie"),
        ([{"id": "p", "verdict": "A"}], "--pairs"),
        ([{"model_a": "x", "model_b": "y", "verdict": None, "invalid": "missing"}] * 2, "valid verdict (2 missing)"),
    ]
    for rows, message in cases:
        assert main(["rank", "--verdicts", str(write(tmp_path / "bad.jsonl", rows))]) == 2
        assert message in capsys.readouterr().err
    for arguments, message in (
        (["--responses", "a.jsonl", "-o", str(tmp_path / "o")], "NAME=SOURCE"),
        (["--responses", "a=a.jsonl", "-o", str(tmp_path / "o")], "two or more models"),
        (["--responses", "a=a.jsonl"], "Add -o FOLDER"),
        (["--responses", "a=a.jsonl", "--orders", "ab", "--merge", "panda"], "Leave out --merge panda"),
        (["--verdicts", "v.jsonl", "--judge", "x"], "leave out"),
    ):
        assert main(["rank", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_one_order_of_verdicts_cannot_be_merged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = {
        "id": "p",
        "instruction": "Why?",
        "response_a": "So.",
        "response_b": "Thus.",
        "model_a": "x",
        "model_b": "y",
    }
    verdict = {"id": "p", "order": "ab", "sample": 0, "verdict": "A", "invalid": None, "text": ""}
    files = write(tmp_path / "verdicts.jsonl", [verdict]), write(tmp_path / "pairs.jsonl", [pair])
    arguments = ["rank", "--verdicts", str(files[0]), "--pairs", str(files[1]), "--resamples", "20"]
    assert main(arguments) == 0
    capsys.readouterr()
    assert main([*arguments, "--merge", "panda", "-o", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr()
    assert "valid verdict (1 missing)" in shown.err and shown.out == "" and not (tmp_path / "out").exists()


def test_responses_and_a_model_are_judged_and_ranked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny = make_model(tmp_path / "tiny", max_position_embeddings=2048)
    prompts = [f"Say {number}." for number in range(4)]
    for name in ("one", "two"):
        rows = [{"instruction": text, "response": f"{name} {text}"} for text in prompts]
        write(tmp_path / f"{name}.jsonl", rows[: 3 if name == "two" else 4])
    write(tmp_path / "prompts.jsonl", [{"instruction": text} for text in prompts])
    arguments = [
        "rank", "--responses", "one=one.jsonl", "--responses", "two=two.jsonl", "--model", f"three={tiny}",
        "--prompts", "prompts.jsonl", "--tokens", "8", "--judge", str(tiny), "-o", "out", "--verdict", "constrained",
        "--resamples", "20", "prompt=pairwise", "prompt.reasoning=false", "judge.tokens=64",
    ]  # fmt: skip
    assert main(arguments) == 0
    first = capsys.readouterr()
    values = json.loads(Path("out/ranking.json").read_text())
    # one-two 3, one-three 4, two-three 3 prompts, both orders
    assert {model["name"]: model["battles"] for model in values["models"]} == {"one": 14, "two": 12, "three": 14}
    assert values["prompts"] == 4 and values["invalid"] == {}
    assert len(Path("out/responses/three.jsonl").read_text().splitlines()) == 4
    assert values["answered_by_one"] == 0 and "only one model" not in first.out
    assert main(arguments) == 0
    again = capsys.readouterr()
    assert again.out == first.out and "judged already" in again.err
    assert main(["rank", "--verdicts", "out/verdicts.jsonl", "--pairs", "out/pairs.jsonl", "--resamples", "20"]) == 0
    assert capsys.readouterr().out == first.out
