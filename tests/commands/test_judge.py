"""``judgekit judge`` as it is typed: arguments, overrides and the real sampler on a tiny model."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from judgekit.cli import main
from judgekit.commands.judge import configure
from judgekit.data import logs
from judgekit.errors import ConfigError
from judgekit.prompts.pairwise import PairwisePrompt
from judgekit.prompts.rating import RatingPrompt
from judgekit.samplers.openai import OpenAIConfig
from judgekit.verdict_rows import read_verdicts
from tests.training.tiny import make_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("it's a judge") / "tiny model", max_position_embeddings=4096)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.csv"
    path.write_text("id,instruction,response_a,response_b\n1,why?,so,no\n2,how?,so,no\n3,who?,I,you\n", "utf-8")
    return path


def options(pairs: Path, judge: Path | None, *overrides: str, **values: object) -> argparse.Namespace:
    given = {
        "input": pairs, "judge": None if judge is None else str(judge), "sampler": None, "temperature": None,
        "samples": 1, "verdict": None, "merge": "none", "seed": None, "overrides": list(overrides),
        "columns": {},
    }  # fmt: skip
    return argparse.Namespace(**given | values)


def test_it_judges(pairs: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "verdicts.jsonl"
    arguments = ["judge", str(pairs), "prompt=pairwise", "--judge", str(model), "-o", str(output)]
    more = ["--verdict", "constrained", "judge.tokens=6", f"store={tmp_path / 'store'}", "prompt.reasoning=false"]
    assert main([*arguments, *more]) == 0
    rows = read_verdicts(output)
    assert [(row.id, row.order) for row in rows] == [(name, order) for name in "123" for order in ("ab", "ba")]
    assert all(row.verdict in ("A", "B") and row.p_a is not None for row in rows)
    told = capsys.readouterr()
    assert told.out == "" and "3 pairs, 6 verdicts" in told.err
    content = output.read_bytes()
    assert main([*arguments, *more]) == 0
    assert output.read_bytes() == content
    assert main([*arguments, *more, "--orders", "ab"]) == 2
    assert "begun with a choice of orders that is not the one given now" in capsys.readouterr().err


def test_a_judge_without_a_protocol_gets_that_of_the_input(
    pairs: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configure(options(pairs, model))
    assert config.prompt == PairwisePrompt() and config.judge.path == str(model)
    assert "prompt=pairwise is used" in capsys.readouterr().err
    single = tmp_path / "answers.jsonl"
    single.write_text(json.dumps({"instruction": "q", "response": "r"}) + "\n")
    assert isinstance(configure(options(single, model)).prompt, RatingPrompt)
    assert configure(options(pairs, model, "prompt=rating")).prompt == RatingPrompt()


def test_arguments_and_overrides_make_one_configuration(pairs: Path, model: Path) -> None:
    config = configure(options(pairs, model, "prompt=pairwise", samples=3, temperature=0.5, seed=7, verdict="free"))
    assert (config.samples, config.sampler.temperature, config.seed, config.judge.verdict) == (3, 0.5, 7, "free")
    served = configure(options(pairs, None, "prompt=pairwise", "sampler.base_url=http://x:1/v1", sampler="openai"))
    assert isinstance(served.sampler, OpenAIConfig) and served.sampler.base_url == "http://x:1/v1"


def test_all_mistakes_are_told_at_once(pairs: Path, model: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        configure(options(pairs, model, "prompt=pairwis", "sampler.batch_siz=3", samples=2, temperature=0.0))
    message = str(caught.value)
    assert "prompt" in message and "batch_size" in message


def test_columns_of_other_names_and_overrides_stand_together(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The label is a word of nobody's, and judging needs none."""
    path, output = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text("Frage;Antwort 1;Antwort 2;label\nwhy?;so, so;no;undecided\n", encoding="utf-16")
    arguments = ["judge", str(path), "--judge", str(model), "-o", str(output), "--verdict", "constrained"]
    names = ["--columns", "instruction=frage", "response_a=antwort_1", "response_b=Antwort 2", "prompt=pairwise"]
    more = ["judge.tokens=6", f"store={tmp_path / 'store'}", "prompt.reasoning=false"]
    assert main([*arguments, *names, *more]) == 0
    rows = logs.read_verdicts(output)
    assert len(rows) == 2 and all(row.verdict in ("A", "B") and row.p_a is not None for row in rows)
    (tmp_path / "gold.csv").write_text(f"id,label\n{rows[0].id},{rows[0].verdict}\n")
    capsys.readouterr()
    assert main(["score", str(output), "--gold", str(tmp_path / "gold.csv"), "--resamples", "5"]) == 0
    assert json.loads(capsys.readouterr().out)["overall"]["accuracy_ab"] == 1.0


def test_what_is_no_override_is_refused(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (["stray"], ["--strange=1"]):
        with pytest.raises(SystemExit) as stop:
            main(["judge", str(pairs), "--judge", "x", "-o", "out.jsonl", *wrong])
        assert stop.value.code == 2
        assert f"unrecognized arguments: {wrong[0]}" in capsys.readouterr().err
    assert main(["judge", str(pairs), "--judge", "nowhere/at/all", "-o", "out.jsonl"]) == 2
    assert "is not a judge" in capsys.readouterr().err
