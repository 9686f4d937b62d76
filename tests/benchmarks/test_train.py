"""The training benchmark: its rows and judgekit's side of it. The comparison itself is an integration test."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from transformers import AutoTokenizer

from benchmarks import train, train_sides
from judgekit.rows import Demonstration, Preference, read_rows
from tests.training.tiny import make_model


@pytest.fixture
def sides() -> ModuleType:
    return train_sides


def make_job(sides: ModuleType, folder: Path, name: str, **changes: Any) -> Any:
    base = make_model(folder / "base", max_position_embeddings=4096)
    shape = replace(sides.SHAPES[name], prompt_tokens=500, reply_tokens=400, batch_size=4, style="brief")
    (folder / "run").mkdir()
    job = sides.Job("prepare", str(folder / "run"), str(base), shape, 8, "float32", "cpu", 1e-3, None, {})
    return replace(job, **changes)


@pytest.mark.parametrize("name", ["evalplanner", "single_pair", "sft"])
def test_rows_have_the_shape_and_both_sides_get_the_same(sides: ModuleType, tmp_path: Path, name: str) -> None:
    job = make_job(sides, tmp_path, name)
    facts = sides.run(job)
    kind = Demonstration if name == "sft" else Preference
    rows = read_rows(tmp_path / "run" / "rows.jsonl", kind)
    assert len(rows) == len({row.id for row in rows}) == 8
    assert len({row.prompt[-1]["content"] for row in rows}) == (2 if name == "evalplanner" else 8)
    replies = [text for row in rows for text in ((row.target,) if name == "sft" else (row.chosen, row.rejected))]
    assert len(set(replies)) == len(replies), "no completion is shared, which would flatter judgekit"
    assert facts["mean_prompt_tokens"] == pytest.approx(500, rel=0.2)
    assert facts["mean_reply_tokens"] == pytest.approx(400, rel=0.2)
    shared = facts["tokens_unpacked"] / facts["tokens_packed"]
    assert {"evalplanner": shared > 2, "single_pair": 1.2 < shared < 2, "sft": 1.0 <= shared < 1.2}[name]

    tokenizer: Any = AutoTokenizer.from_pretrained(job.base)
    plain = [json.loads(line) for line in (tmp_path / "run" / "trl.jsonl").read_text().splitlines()]
    assert len(plain) == 8
    for row in plain:
        texts = [row["completion"]] if name == "sft" else [row["chosen"], row["rejected"]]
        assert [tokenizer.encode(row["prompt"] + text) for text in texts] == row["ids"]


def test_judgekits_side_trains_every_row(sides: ModuleType, tmp_path: Path) -> None:
    job = make_job(sides, tmp_path, "evalplanner")
    longest = sides.run(job)["longest_row_tokens"]
    found = sides.run(replace(job, side="judgekit", settings={"max_tokens": longest}))
    assert len(found["losses"]) == 2 and found["losses"][0] == pytest.approx(math.log(2), abs=1e-6)
    assert 1e-4 < abs(found["losses"][1] - math.log(2)) < 0.5, "the weights moved"
    assert found["seconds"] > 0 and found["peak_memory_mib"] > 100


def test_without_trl_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("sys.argv", ["train.py"])
    with pytest.raises(SystemExit, match=r"pip install 'judgekit-lab\[bench\]'.*make bench"):
        train.main()


def test_of_fast_settings_with_the_same_loss_those_that_need_least_memory_are_chosen() -> None:
    results = [
        {"settings": {"size": 1}, "seconds": 9.0, "loss": 2.0, "peak_memory_mib": 1.0},
        {"settings": {"size": 2}, "seconds": 3.0, "loss": 2.1, "peak_memory_mib": 1.0},
        {"settings": {"size": 3}, "seconds": 5.0, "loss": 2.001, "peak_memory_mib": 9.0},
        {"settings": {"size": 5}, "seconds": 5.4, "loss": 2.0, "peak_memory_mib": 8.0},
        {"settings": {"size": 4}, "failed": "killed"},
    ]
    assert train._best(results) == {"size": 5}


def test_speed_is_not_bought_with_memory() -> None:
    results = [
        {"settings": {"size": 1}, "seconds": 9.0, "loss": 2.0, "peak_memory_mib": 4.0},
        {"settings": {"size": 2}, "seconds": 3.0, "loss": 2.0, "peak_memory_mib": 6.0},
        {"settings": {"size": 3}, "failed": "killed"},
    ]
    train._within(results, 5.0)
    assert train._best(results) == {"size": 1} and results[1]["left_out"]
    alone = [{"settings": {"size": 2}, "seconds": 3.0, "loss": 2.0, "peak_memory_mib": 6.0}]
    train._within(alone, 5.0)
    assert train._best(alone) == {"size": 2}
