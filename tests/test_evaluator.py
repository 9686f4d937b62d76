"""A judge measured on benchmarks: files, numbers, resuming, and every way to ask."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from judgekit.errors import DataError
from judgekit.evaluation.benchmarks.base import BenchmarkConfig
from judgekit.evaluator import evaluate
from judgekit.prompts.pairwise import PairwisePrompt
from judgekit.prompts.rating import RatingPrompt
from judgekit.rows import ResponsePair, write_rows
from judgekit.samplers.hf import HfConfig
from judgekit.sampling.base import Request
from judgekit.schema.evaluation import EvalConfig
from judgekit.schema.judges import JudgeConfig
from judgekit.schema.logger import LoggerConfig
from judgekit.verdict_rows import read_verdicts
from judgekit.weights import Weights
from tests.helpers import ScriptedSampler
from tests.training.tiny import make_model

Numbers = dict[str, Any]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("eval") / "tiny", max_position_embeddings=4096)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Six pairs: the judge below is right in both orders of the first three, and for the first position in others."""
    rows = [
        ResponsePair(f"p{i}", f"question {i}", f"good {i}", f"bad {i}", "A", subset="easy" if i < 3 else "hard")
        for i in range(6)
    ]
    write_rows(tmp_path / "own.jsonl", rows)
    return tmp_path / "own.jsonl"


def config_of(model: Path, tmp_path: Path, **values: Any) -> EvalConfig:
    settings: dict[str, Any] = {
        "judge": JudgeConfig(name="tiny", path=str(model), tokens=40, max_length=60_000),
        "prompt": PairwisePrompt(),
        "store": str(tmp_path / "store"),
        "resamples": 50,
        "logger": LoggerConfig(table_rows=4),
        "benchmark": {"own": BenchmarkConfig(kind="pairs", path=str(tmp_path / "own.jsonl"))},
    }
    return EvalConfig(**settings | values)


def positions(request: Request, sample: int) -> str:
    """The response p0 to p2 deserve; the first position for the others."""
    name, order = request.id.split("/")
    return "Hm. [[A]]" if int(name[1:]) > 2 or order == "ab" else "Hm. [[B]]"


def by(reply: Callable[[Request, int], str]) -> Callable[[Weights], ScriptedSampler]:
    return lambda weights: ScriptedSampler(reply)


def silent(weights: Weights) -> ScriptedSampler:
    def refuse(request: Request, sample: int) -> str:
        raise AssertionError(f"{request.id} was sampled again")

    return ScriptedSampler(refuse)


def test_a_run_folder_holds_numbers_pairs_verdicts_and_report(model: Path, tmp_path: Path, pairs: Path) -> None:
    config, out = config_of(model, tmp_path), tmp_path / "out"
    numbers = evaluate(config, out, by(positions))
    assert numbers["eval/tiny/own/accuracy"] == 0.75
    assert numbers["eval/tiny/own/consistent_accuracy"] == 0.5
    assert numbers["eval/tiny/own/easy/consistent_accuracy"] == 1.0
    assert numbers["eval/tiny/own/hard/first_position_rate"] == 1.0
    assert numbers["eval/tiny/own/accuracy_ci95_low"] < 0.75 < numbers["eval/tiny/own/accuracy_ci95_high"]
    assert numbers["eval/tiny/own/judgment_chars"] == len("Hm. [[A]]")
    assert json.loads((out / "metrics.json").read_text()) == numbers
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["status"], manifest["judges"], manifest["benchmarks"]) == (
        "finished", ["tiny"], {"own": {"pairs": 6}},
    )  # fmt: skip
    assert [stage["name"] for stage in manifest["stages"]] == ["benchmark/own", "verdicts/tiny/own"]
    assert len(read_verdicts(out / "verdicts" / "tiny.own.jsonl")) == 12
    assert (out / "pairs" / "own.jsonl").read_text() == pairs.read_text()
    assert "eval/tiny" not in (page := (out / "report.html").read_text()) and "tiny" in page and "75.0" in page
    assert (out / "config.yaml").is_file()


def test_pairs_without_labels_are_refused_before_the_judge_is_asked(model: Path, tmp_path: Path, pairs: Path) -> None:
    rows = [json.loads(line) | {"label": None} for line in pairs.read_text().splitlines()]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match="none of the 6 pairs has a label.*judgekit judge"):
        evaluate(config_of(model, tmp_path), tmp_path / "out", silent)


def test_the_same_evaluation_again_asks_nothing(model: Path, tmp_path: Path, pairs: Path) -> None:
    config = config_of(model, tmp_path)
    first = evaluate(config, tmp_path / "out", by(positions))
    again = evaluate(replace(config, merge="both_agree"), tmp_path / "merged", silent)
    assert evaluate(config, tmp_path / "out", silent) == first
    assert again["eval/tiny/own/accuracy"] == first["eval/tiny/own/consistent_accuracy"]


def test_a_stopped_evaluation_keeps_what_was_asked(model: Path, tmp_path: Path, pairs: Path) -> None:
    asked: list[str] = []

    def stop(request: Request, sample: int) -> str:
        asked.append(request.id)
        if len(asked) > 6:
            raise KeyboardInterrupt
        return positions(request, sample)

    config = config_of(model, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        evaluate(config, tmp_path / "out", by(stop))
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["status"] == "interrupted"
    done = set(asked[:4])  # one batch of four was whole
    asked.clear()

    def go_on(request: Request, sample: int) -> str:
        asked.append(request.id)
        return positions(request, sample)

    evaluate(config, tmp_path / "out", by(go_on))
    assert len(asked) == 8 and not done & set(asked)


def test_several_samples_give_a_majority_and_its_curve(model: Path, tmp_path: Path, pairs: Path) -> None:
    def reply(request: Request, sample: int) -> str:
        right = "[[A]]" if request.id.endswith("ab") else "[[B]]"
        wrong = "[[B]]" if request.id.endswith("ab") else "[[A]]"
        return right if sample != 1 else wrong

    config = config_of(model, tmp_path, samples=3)
    numbers = evaluate(config, tmp_path / "out", by(reply))
    assert numbers["eval/tiny/own/accuracy"] == 1.0
    assert numbers["eval/tiny/own/accuracy_at_3"] == 1.0
    assert 0.5 < numbers["eval/tiny/own/accuracy_at_1"] < 0.85
    assert numbers["eval/tiny/own/consistent_accuracy_at_3"] == 1.0
    rows = read_verdicts(tmp_path / "out" / "verdicts" / "tiny.own.jsonl")
    assert sorted({row.sample for row in rows}) == [0, 1, 2] and len(rows) == 36
    assert "accuracy at 3" in (tmp_path / "out" / "report.html").read_text()


def test_constrained_verdicts_are_calibrated(model: Path, tmp_path: Path, pairs: Path) -> None:
    """The real tiny model, free of any script."""
    judge = JudgeConfig(name="tiny", path=str(model), tokens=8, dtype="float32", verdict="constrained")
    config = config_of(model, tmp_path, judge=judge, prompt=PairwisePrompt(reasoning=False), limit=3)
    config = replace(config, sampler=HfConfig(flip_pairs=2), merge="average_probability")
    numbers = evaluate(config, tmp_path / "out")
    assert numbers["eval/tiny/own/invalid_rate"] == 0.0 and numbers["eval/tiny/own/n"] == 3
    assert 0.0 <= numbers["eval/tiny/own/ece"] <= 1.0
    assert numbers["eval/tiny/own/flip_n"] == 4
    rows = read_verdicts(tmp_path / "out" / "verdicts" / "tiny.own.jsonl")
    for row in rows:
        assert row.p_a is not None and row.verdict == ("A" if row.p_a > 0.5 else "B")


def test_pairs_are_judged_by_scores_of_their_responses(model: Path, tmp_path: Path, pairs: Path) -> None:
    def rate(request: Request, sample: int) -> str:
        return "[[9]]" if request.id.endswith("/a") else "[[2.5]]"

    config = config_of(model, tmp_path, prompt=RatingPrompt(), merge="average_score")
    numbers = evaluate(config, tmp_path / "out", by(rate))
    assert numbers["eval/tiny/own/accuracy"] == 1.0
    row = read_verdicts(tmp_path / "out" / "verdicts" / "tiny.own.jsonl")[0]
    assert (row.score_a, row.score_b) == (9.0, 2.5)


@pytest.fixture
def roscoe(tmp_path: Path, shared_data: Callable[[str], Path]) -> Path:
    return shared_data("judge_bench_20")


def test_single_responses_are_scored_by_criterion(model: Path, tmp_path: Path, roscoe: Path) -> None:
    asked: list[Request] = []

    def rate(request: Request, sample: int) -> str:
        asked.append(request)
        return f"Rating: [[{1 + len(request.prompt_ids) % 5}]]"

    benchmark = {"roscoe": BenchmarkConfig(kind="roscoe", path=str(roscoe), limit=40)}
    config = config_of(model, tmp_path, prompt=RatingPrompt(high=5.0), benchmark=benchmark)
    numbers = evaluate(config, tmp_path / "out", by(rate))
    assert len(asked) == 40
    names = [name for name in numbers if name.endswith("/pooled_spearman")]
    assert len(names) > 1 and all(name.count("/") == 5 for name in names), "criteria are not mixed"
    assert {name.split("/")[4] for name in names} == {"Coherency", "Overall Quality"}
    assert sum(numbers[name] for name in numbers if name.endswith("/n")) == 40
    assert len((tmp_path / "out" / "scores" / "tiny.roscoe.jsonl").read_text().splitlines()) == 40
    assert len((tmp_path / "out" / "responses" / "roscoe.jsonl").read_text().splitlines()) == 40
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == numbers
    assert "pooled spearman" in (tmp_path / "out" / "report.html").read_text()
    evaluate(config, tmp_path / "out", silent)


def test_a_benchmark_with_an_aggregation_of_its_own_gets_it(
    model: Path, tmp_path: Path, shared_data: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark = {"rm_bench": BenchmarkConfig(kind="rm_bench", limit=60)}
    folder = shared_data("rm_bench").parent
    config = config_of(model, tmp_path, benchmark=benchmark, benchmarks=str(folder))
    numbers = evaluate(
        config, tmp_path / "out", by(lambda request, _: "[[A]]" if request.id.endswith("/ab") else "[[B]]")
    )
    assert numbers["eval/tiny/rm_bench/n"] == 54, "six prompts of nine pairs"
    assert numbers["eval/tiny/rm_bench/sections/domains/chat"] == 1.0
    assert numbers["eval/tiny/rm_bench/sections/overall"] is None
    assert numbers["eval/tiny/rm_bench/sections/missing/math"] == 1
    notes = json.loads((tmp_path / "out" / "manifest.json").read_text())["notes"]
    assert notes == ["On rm_bench nothing was judged of code, math, safety: means that need it are left out."]
    printed = capsys.readouterr().out
    assert "rm_bench: further measures" in printed and "domains: chat" in printed and "missing" not in printed


def test_orders_are_merged_as_the_benchmarks_release_does(
    model: Path, tmp_path: Path, shared_data: Callable[[str], Path]
) -> None:
    benchmark = {"judgebench": BenchmarkConfig(kind="judgebench", limit=20)}
    config = config_of(model, tmp_path, benchmark=benchmark, benchmarks=str(shared_data("judgebench").parent))

    def first_or_neither(request: Request, sample: int) -> str:
        return "[[A]]" if request.id.endswith("/ab") else "neither"

    numbers = evaluate(config, tmp_path / "out", by(first_or_neither))
    label_a = float(numbers["eval/tiny/judgebench/accuracy_ab"] or 0)
    assert 0 < label_a < 1 and numbers["eval/tiny/judgebench/accuracy_ba"] == 0.0
    assert numbers["eval/tiny/judgebench/accuracy"] == label_a, "no verdict counts nothing"
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["benchmarks"] == {"judgebench": {"pairs": 20, "merge": "judgebench"}}
    assert [note.partition(".")[0] for note in manifest["notes"]] == [
        "On judgebench both orders make one verdict by its release's rule 'judgebench'"
    ]
    again = evaluate(replace(config, merge="none"), tmp_path / "each", silent)
    assert again["eval/tiny/judgebench/accuracy"] == label_a / 2
    assert again["eval/tiny/judgebench/sections/gpt_4o_2024_05_13/overall"] == label_a
    assert json.loads((tmp_path / "each" / "manifest.json").read_text())["notes"] == []


def test_a_run_is_measured_on_the_pairs_it_held_out(model: Path, tmp_path: Path, pairs: Path) -> None:
    from tests.test_judges import make_run

    run = make_run(tmp_path / "run", model)
    (run / "pairs").mkdir()
    pairs.rename(run / "pairs" / "starter.jsonl")
    for folder in (run, run / "judge"):
        judge = JudgeConfig(path=str(folder), verdict="free", tokens=40)
        config = config_of(
            model, tmp_path, judge=judge, prompt=None, benchmark={"starter": BenchmarkConfig(kind="starter", limit=2)}
        )
        numbers = evaluate(config, tmp_path / "out", by(lambda request, _: "[Final Verdict]\n[[A]]"))
        assert numbers["eval/dpo1/starter/n"] == 2 and numbers["eval/dpo1/starter/accuracy"] == 0.5


def test_nothing_that_a_run_writes_holds_a_key(
    model: Path, tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    planted = "0123456789abcdef0123456789abcdef01234567"
    for name in ("WANDB_API_KEY", "OPENAI_API_KEY", "HF_TOKEN", "MY_SECRET"):
        monkeypatch.setenv(name, planted)
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "wandb-config"))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    config = replace(config_of(model, tmp_path), logger=LoggerConfig(name="wandb"))
    evaluate(config, tmp_path / "sweep" / "0-run", by(positions))
    wandb.teardown()  # its service writes the last records after the run
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in written) and any(path.name == "report.html" for path in written)
    assert [path for path in written if planted.encode() in path.read_bytes()] == []
