"""``judgekit score`` from the files to the JSON it prints."""

from __future__ import annotations

import dataclasses
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from judgekit.cli import main
from judgekit.commands import arguments
from judgekit.evaluation.benchmarks import load_benchmark, load_scored
from judgekit.evaluation.benchmarks.base import BenchmarkConfig
from judgekit.evaluation.verdict_metrics import RATES, score
from judgekit.rows import ORDERS, ResponsePair, write_rows
from judgekit.verdict_rows import MergeRule, VerdictRow, write_verdicts
from tests.evaluation.judges import CHOICES, pair, random_data, row


def write(folder: Path, pairs: list[ResponsePair], rows: list[VerdictRow]) -> list[str]:
    write_rows(folder / "pairs.jsonl", pairs)
    write_verdicts(folder / "verdicts.jsonl", rows)
    return ["score", "--gold", str(folder / "pairs.jsonl"), "--verdicts", str(folder / "verdicts.jsonl")]


def printed(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> dict[str, Any]:
    assert main(arguments) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_prints_what_score_measures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs, rows = random_data(0)
    arguments = write(tmp_path, pairs, rows)
    found = printed(capsys, arguments)
    expected = score(pairs, rows)
    assert set(found) == {"overall", "subsets", "invalid_reasons"}
    assert found["overall"] == expected.overall and found["subsets"] == expected.subsets
    assert found["invalid_reasons"] == expected.invalid_reasons
    for values in (found["overall"], *found["subsets"].values()):
        assert set(values) == {"n", "unlabelled", *RATES, *(f"{name}_ci95" for name in RATES)}


@pytest.mark.parametrize(
    "flags",
    [
        ["--invalid-as", "tie"],
        ["--merge", "panda"],
        ["--merge", "both_agree", "--invalid-as", "tie"],
        ["--resamples", "7", "--seed", "3"],
    ],
)
def test_flags_are_those_of_score(tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str]) -> None:
    pairs, rows = random_data(1)
    found = printed(capsys, [*write(tmp_path, pairs, rows), *flags])
    names = {"--invalid-as": "invalid_as", "--merge": "merge", "--resamples": "resamples", "--seed": "seed"}
    given = dict(zip(flags[::2], flags[1::2], strict=True))
    options = {names[flag]: int(value) if value.isdigit() else value for flag, value in given.items()}
    assert found["overall"] == score(pairs, rows, **options).overall  # type: ignore[arg-type]


def test_majority_votes_over_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [pair(0, "A")]
    rows = [row(0, "ab", verdict, sample) for sample, verdict in enumerate(("B", "A", "A"))]
    arguments = write(tmp_path, pairs, rows)
    assert printed(capsys, arguments)["overall"]["accuracy"] == 0.0
    assert printed(capsys, [*arguments, "--majority"])["overall"]["accuracy"] == 1.0


def test_how_many_votes_it_takes_is_said_with_the_majority(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row(0, "ab", verdict, sample) for sample, verdict in enumerate(("A", None, None))]
    rows += [row(1, "ab", verdict, sample) for sample, verdict in enumerate(("A", None, "B"))]
    arguments = write(tmp_path, [pair(0, "A"), pair(1, "A")], rows)
    found = printed(capsys, [*arguments, "--majority"])
    assert (found["overall"]["accuracy"], found["invalid_reasons"]) == (0.0, {"no_majority": 1, "too_few_votes": 1})
    found = printed(capsys, [*arguments, "--majority", "--min-votes", "1"])
    assert (found["overall"]["accuracy"], found["invalid_reasons"]) == (0.5, {"no_majority": 1})
    assert main([*arguments, "--min-votes", "1"]) == 2
    assert "Add --majority" in capsys.readouterr().err


def test_a_benchmarks_own_file_is_gold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shared_data: Callable[[str], Path]
) -> None:
    folder = shared_data("llmbar")
    natural = folder / "Dataset" / "LLMBar" / "Natural" / "dataset.json"
    labels = [one["label"] for one in json.loads(natural.read_text(encoding="utf-8"))]
    ids = [one.id for one in load_benchmark("x", BenchmarkConfig(kind="llmbar", path=str(natural)), ()) or []]
    lines = [
        f"{name};{label if place else 3 - label}" for place, (name, label) in enumerate(zip(ids, labels, strict=True))
    ]
    (tmp_path / "v.csv").write_text("id;verdict\n" + "\n".join(lines) + "\n", encoding="utf-8")
    arguments = ["score", str(tmp_path / "v.csv"), "--benchmark", "llmbar", "--resamples", "5", "--gold"]
    assert printed(capsys, [*arguments, str(natural)])["overall"]["accuracy"] == 0.99
    whole = printed(capsys, [*arguments, str(folder)])["overall"]
    assert whole["n"] == 234 and whole["accuracy"] == pytest.approx(99 / 234)  # 134 of Neighbor
    assert main(["score", str(tmp_path / "v.csv"), "--gold", str(natural)]) == 2
    assert "--columns FIELD=COLUMN" in capsys.readouterr().err


def test_a_benchmarks_own_scores_are_gold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shared_data: Callable[[str], Path]
) -> None:
    file = shared_data("judge_bench_20") / "data" / "newsroom" / "newsroom.json"
    people = load_scored("x", BenchmarkConfig(kind="newsroom", path=str(file))) or []
    assert len(people) == 1680  # 60 texts, seven systems, four criteria
    (tmp_path / "s.csv").write_text("id,score\n" + "".join(f"{row.id},{row.score}\n" for row in people))
    arguments = ["score", str(tmp_path / "s.csv"), "--gold", str(file), "--benchmark", "newsroom", "--resamples", "5"]
    found = printed(capsys, arguments)["subsets"]
    assert len(found) == 4
    for values in found.values():
        assert (values["n"], values["pooled_pearson"], values["pairwise_accuracy"]) == (420, pytest.approx(1), 1.0)


def test_a_benchmark_adds_its_own_aggregation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs, rows = random_data(2)
    subsets = {"easy": "Adversarial/Manual", "hard": "Natural"}
    pairs = [dataclasses.replace(one, subset=subsets[str(one.subset)]) for one in pairs]
    arguments = [*write(tmp_path, pairs, rows), "--resamples", "20"]
    found = printed(capsys, [*arguments, "--benchmark", "llmbar"])
    assert found["benchmark"]["missing"] == ["Neighbor", "GPTInst", "GPTOut"]
    assert found["benchmark"]["average"] is None and "merge" not in found
    assert printed(capsys, [*arguments, "--benchmark", "rewardbench"])["benchmark"]["overall"] is None


def test_a_benchmark_merges_orders_as_its_release_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row(0, "ab", "A"), row(0, "ba", "tie"), row(1, "ab", "A"), row(1, "ba", "B")]
    arguments = [*write(tmp_path, [pair(0, "A"), pair(1, "A")], rows), "--resamples", "20"]
    for benchmark, rule, accuracy in (("judgebench", "judgebench", 0.5), ("mt_bench", "fastchat", 0.0)):
        found = printed(capsys, [*arguments, "--benchmark", benchmark])
        assert (found["merge"], found["overall"]["accuracy"]) == (rule, accuracy)
        found = printed(capsys, [*arguments, "--benchmark", benchmark, "--merge", "none"])
        assert "merge" not in found and found["overall"]["accuracy"] == 0.5
        assert found["overall"]["accuracy_ab"] == 1.0


def test_choices_are_those_of_the_code() -> None:
    assert set(arguments.MERGE_RULES) == set(get_args(MergeRule))
    assert {"llmbar", "rm_bench", "roscoe"} < set(arguments.Kinds()) and "starter" not in arguments.Kinds()


def test_mistakes_name_the_file_and_the_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = write(tmp_path, [pair(0, "A")], [row(0, "ab", "A"), row(7, "ab", "A")])
    assert main(arguments) == 2
    assert capsys.readouterr().err == (
        f"judgekit: {tmp_path / 'verdicts.jsonl'}, line 2, field 'id': there is no gold pair 'p7'; "
        "score the verdicts against the pairs that were judged\n"
    )
    (tmp_path / "pairs.jsonl").write_text('{"instruction": "q", "response_a": "a"}\n', encoding="utf-8")
    assert main(arguments) == 2
    assert (
        f"{tmp_path / 'pairs.jsonl'}, line 1, field 'id': is missing, and so is response_b" in capsys.readouterr().err
    )
    (tmp_path / "verdicts.jsonl").unlink()
    write_rows(tmp_path / "pairs.jsonl", [pair(0, "A")])
    assert main(arguments) == 2
    assert "verdicts.jsonl: does not exist" in capsys.readouterr().err
    for wrong in (["--resamples", "0"], ["--merge", "average"]):
        with pytest.raises(SystemExit) as stop:
            main([*arguments, *wrong])
        assert stop.value.code == 2


def test_pairs_without_an_instruction_are_measured_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [dataclasses.replace(pair(0, "A"), instruction=" "), pair(1, "B")]
    arguments = write(tmp_path, pairs, [row(0, "ab", "A"), row(1, "ab", "B")])
    assert printed(capsys, arguments)["overall"]["accuracy"] == 1.0


def test_it_imports_no_torch(tmp_path: Path) -> None:
    arguments = write(tmp_path, *random_data(0))
    program = (
        f"import sys\nfrom judgekit.cli import main\nmain({arguments!r})\n"
        "print(sorted({'torch', 'transformers', 'hydra', 'lightning'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    json.loads(done.stdout)


def test_a_table_of_two_columns_is_measured_within_a_second(tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("gold,verdict\n" + "A,A\nB,A\n" * 500)
    program = (
        f"import sys, time\nfrom judgekit.cli import main\nmain({['score', str(tmp_path / 'v.csv')]!r})\n"
        "print('torch' in sys.modules, time.process_time(), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    imported, seconds = done.stderr.splitlines()[-1].split()
    assert imported == "False" and float(seconds) < 1
    assert json.loads(done.stdout)["overall"]["accuracy"] == 0.5


def test_a_hundred_thousand_verdicts_take_seconds_and_little_memory(tmp_path: Path) -> None:
    """A tenth of what must be done in 60 s and 2 GB."""
    draw = random.Random(0)
    pairs = [pair(number, draw.choice(CHOICES[:3]), f"g{number // 2}", "xyz"[number % 3]) for number in range(50_000)]
    rows = [row(number, order, draw.choice(CHOICES)) for number in range(50_000) for order in ORDERS]
    arguments = [*write(tmp_path, pairs, rows), "--resamples", "200"]
    program = (
        f"import sys, time\nfrom pathlib import Path\nfrom judgekit.cli import main\nmain({arguments!r})\n"
        "status = Path('/proc/self/status').read_text().split()\n"
        "print(time.process_time(), status[status.index('VmHWM:') + 1], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    seconds, kilobytes = map(float, done.stderr.split())
    assert seconds < 6
    assert kilobytes < 300_000
