"""``judgekit judge`` with a scripted judge: every kind of input, resuming, refusing, summing up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from judgekit.data.sources import read_pairs
from judgekit.errors import ConfigError, DataError, StageError
from judgekit.evaluation.verdict_metrics import score
from judgekit.evaluation.verdict_tables import Summary
from judgekit.file_judging import Asked, judge_file
from judgekit.prompts.base import PromptConfig
from judgekit.prompts.pairwise import PairwisePrompt
from judgekit.prompts.rating import RatingPrompt
from judgekit.prompts.tokenizers import load_tokenizer
from judgekit.samplers.hf import HfConfig
from judgekit.sampling.base import Request
from judgekit.schema.judges import JudgeConfig
from judgekit.verdict_rows import read_verdicts
from tests.helpers import ScriptedSampler
from tests.training.tiny import make_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("judge") / "tiny", max_position_embeddings=4096)


class Place:
    """Where a judge is asked: its answers, and what it was asked."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model = folder, model
        self.sampler = ScriptedSampler(self.reply, batch_size=3, entangled=True)
        self.asked = Asked(folder / "in.jsonl", folder / "out.jsonl", chunk=2)

    def reply(self, request: Request, sample: int) -> str:
        """A verdict that depends on the pair, the order and the sample; the third pair gets none."""
        name = request.id
        if "3" in name:
            return "I cannot say."
        return "[[A]]" if ("1" in name) == name.endswith("/ab") or sample == 2 else "[[B]]"

    def pairs(self, count: int, **change: Any) -> None:
        rows = [
            {"id": f"p{number}", "instruction": f"ask {number}", "response_a": "a", "response_b": "b", "label": "A"}
            for number in range(1, count + 1)
        ]
        self.rows(*(row | change for row in rows))

    def rows(self, *rows: Any) -> None:
        self.asked.input.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def judge(
        self,
        prompt: PromptConfig | None = PairwisePrompt(),  # noqa: B008
        stripping: bool | None = None,
        **options: Any,
    ) -> Summary:
        asked = replace(self.asked, **options)
        judge = JudgeConfig(path=str(self.model), dtype="float32", max_length=4096, strip_thoughts=stripping)
        return judge_file(
            asked, judge, HfConfig(judge_tokens=16), prompt, self.folder / "store", lambda weights: self.sampler
        )

    @property
    def output(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.asked.output.read_text("utf-8").splitlines()]


@pytest.fixture
def place(tmp_path: Path, model: Path) -> Place:
    return Place(tmp_path, model)


def test_pairs_get_verdicts_in_both_orders(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.pairs(5)
    summary = place.judge()
    rows = read_verdicts(place.asked.output)
    assert [(row.id, row.order) for row in rows] == [(f"p{n}", order) for n in range(1, 6) for order in ("ab", "ba")]
    # In order ba the first position holds response_b.
    assert {(row.id, row.order): row.verdict for row in rows if row.id in ("p1", "p2")} == {
        ("p1", "ab"): "A", ("p1", "ba"): "A", ("p2", "ab"): "B", ("p2", "ba"): "B"
    }  # fmt: skip
    assert [row.invalid for row in rows if row.id == "p3"] == ["missing", "missing"]
    assert all(row.text.startswith(("[[", "I cannot")) for row in rows)
    assert score(read_pairs(place.asked.input), rows, resamples=1).overall["accuracy"] == pytest.approx(0.2)
    assert (summary.rows, summary.invalid, summary.first_position_rate) == (10, {"missing": 2}, 0.5)
    told = capsys.readouterr()
    assert told.out == ""
    for line in ("5 pairs, 10 verdicts", "invalid: 2 (2 missing)", "first position: 50.0 %", "tokens: ", "written: "):
        assert line in told.err


def test_a_finished_file_is_left_alone_and_nothing_is_asked(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.pairs(5)
    first = place.judge()
    content, asked = place.asked.output.read_bytes(), len(place.sampler.batches)
    assert place.judge() == first
    assert (place.asked.output.read_bytes(), len(place.sampler.batches)) == (content, asked)
    assert "all 5 pairs are judged already" in capsys.readouterr().err


@pytest.mark.parametrize("batch", range(5))
def test_stopped_within_a_chunk_it_goes_on_with_the_same_bytes(place: Place, model: Path, batch: int) -> None:
    place.pairs(5)
    place.judge()
    whole = place.asked.output.read_bytes()
    (place.folder / "again").mkdir()
    again = Place(place.folder / "again", model)
    again.pairs(5)
    again.sampler.reply = stopping(again, batch)
    with pytest.raises(KeyboardInterrupt):
        again.judge()
    assert whole.startswith(again.asked.output.read_bytes())
    with again.asked.output.open("ab") as file:
        file.write(b'{"id": "p')
    again.sampler.reply = again.reply
    again.judge()
    assert again.asked.output.read_bytes() == whole


def stopping(place: Place, batch: int) -> Any:
    """Answers until the sampler has begun so many batches."""

    def reply(request: Request, sample: int) -> str:
        if len(place.sampler.batches) > batch:
            raise KeyboardInterrupt
        return place.reply(request, sample)

    return reply


def test_another_input_judge_or_way_of_asking_is_refused(place: Place) -> None:
    place.pairs(3)
    place.judge()
    content = place.asked.output.read_bytes()
    for prompt, options, what in (
        (PairwisePrompt(ties=True), {}, "a prompt"),
        (PairwisePrompt(), {"orders": ("ab",)}, "a choice of orders"),
        (PairwisePrompt(), {"temperature": 0.5, "samples": 2}, "a decoding and a number of samples"),
    ):
        with pytest.raises(StageError, match=f"begun with {what} that"):
            place.judge(prompt, **options)
    place.pairs(4)
    with pytest.raises(StageError, match="begun with an input that is not the one given now"):
        place.judge()
    assert place.asked.output.read_bytes() == content
    place.judge(restart=True)
    assert len(place.output) == 8


def test_one_order_and_several_samples(place: Place) -> None:
    place.pairs(2)
    place.judge(orders=("ba",), samples=3, temperature=0.7)
    assert [(row["id"], row["order"], row["sample"]) for row in place.output] == [
        (f"p{number}", "ba", sample) for number in (1, 2) for sample in range(3)
    ]
    with pytest.raises(ConfigError, match="--samples: 2 samples of greedy decoding are the same"):
        place.judge(samples=2, restart=True)


def test_bad_rows_stop_it_before_anything_is_asked(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.pairs(2)
    with place.asked.input.open("a") as file:
        file.write('{"id": "p4"}\nnot json\n')
    with pytest.raises(DataError) as caught:
        place.judge()
    for part in (
        "2 of 4 rows cannot be judged",
        "--skip-bad-rows",
        "line 3, field 'instruction': missing",
        "line 4: not JSON",
    ):
        assert part in str(caught.value)
    assert not place.asked.output.exists() and not place.sampler.batches
    place.judge(skip_bad_rows=True)
    assert [row["id"] for row in place.output] == ["p1", "p1", "p2", "p2"]
    told = capsys.readouterr().err
    assert "line 4: not JSON" in told and "(2 bad rows skipped, 0 repeated rows left out)" in told


def test_the_input_is_never_written(place: Place) -> None:
    place.pairs(1)
    content = place.asked.input.read_bytes()
    for restart in (False, True):
        with pytest.raises(DataError, match="is the input too"):
            place.judge(output=place.asked.input, restart=restart)
    assert place.asked.input.read_bytes() == content


def test_merged_verdicts_stand_in_a_file_of_their_own(place: Place) -> None:
    place.pairs(3)
    place.judge(merge="panda")
    merged = place.folder / "out.merged.jsonl"
    expected = [{"id": "p1", "verdict": "A", "invalid": None}, {"id": "p2", "verdict": "B", "invalid": None},
                {"id": "p3", "verdict": None, "invalid": "missing"}]  # fmt: skip
    assert [json.loads(line) for line in merged.read_text().splitlines()] == expected
    with pytest.raises(DataError, match="gives no two verdicts to merge"):
        place.judge(merge="panda", orders=("ab",))
    with pytest.raises(ConfigError, match="--min-votes: there is no vote without --merge"):
        place.judge(min_votes=2)


def test_how_many_votes_a_merged_verdict_takes(place: Place) -> None:
    place.pairs(1)
    place.sampler.reply = lambda request, sample: "[[A]]" if sample == 0 and request.id.endswith("ab") else "?"
    merged = place.folder / "out.merged.jsonl"
    for min_votes, verdict, reason in ((None, None, "too_few_votes"), (1, None, "missing")):
        place.judge(merge="panda", samples=3, temperature=0.7, min_votes=min_votes)
        assert json.loads(merged.read_text()) == {"id": "p1", "verdict": verdict, "invalid": reason}


def test_single_responses_get_scores(place: Place) -> None:
    place.rows(*({"id": f"r{n}", "instruction": f"ask {n}", "response": "x"} for n in (1, 2, 3)))
    place.sampler.reply = lambda request, sample: "?" if "3" in request.id else "Rating: [[2.5]]"
    place.judge(RatingPrompt())
    assert [(row["id"], row["sample"], row["score"], row["invalid"]) for row in place.output] == [
        ("r1", 0, 2.5, None), ("r2", 0, 2.5, None), ("r3", 0, None, "missing")
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="compares two responses.*prompt=rating"):
        place.judge(PairwisePrompt(), restart=True)
    with pytest.raises(DataError, match="responses have no two verdicts to merge"):
        place.judge(RatingPrompt(), merge="panda")


def test_several_responses_get_a_ranking(place: Place) -> None:
    place.rows(
        {"id": "q1", "instruction": "q", "responses": ["x", "y", "z"], "names": ["x", "y", "z"]},
        {"id": "q2", "instruction": "r", "responses": ["x", "y"]},
        {"id": "q4", "instruction": "s", "responses": ["y", "x"]},
    )
    place.sampler.reply = lambda request, sample: (
        "?" if "1-3" in request.id else "[[B]]" if request.id.endswith("ab") else "[[A]]"
    )
    place.judge()
    verdicts = read_verdicts(place.folder / "out.verdicts.jsonl")
    assert len(verdicts) == 2 * (3 + 1 + 1)
    assert [(row["id"], row["ranking"], row["invalid"]) for row in place.output] == [
        ("q1", ["z", "y", "x"], 2), ("q2", ["2", "1"], 0), ("q4", ["2", "1"], 0)
    ]  # fmt: skip
    high, middle, low = place.output[0]["strengths"]
    assert high > middle == -high - low > low


@pytest.mark.parametrize("kind", ["pairs", "responses", "candidates"])
def test_thoughts_of_responses_are_not_shown_where_asked(place: Place, model: Path, kind: str) -> None:
    """An output that was begun with them is not gone on with."""
    tokenizer, said = load_tokenizer(model), []

    def reply(request: Request, sample: int) -> str:
        said.append(tokenizer.decode(request.prompt_ids))
        return "[[A]]" if kind != "responses" else "Rating: [[3]]"

    place.sampler = ScriptedSampler(reply)
    row = {"id": "p", "instruction": "ask"} | {
        "pairs": {"response_a": "<think>weigh</think>a", "response_b": "b"},
        "responses": {"response": "<think>weigh</think>a"},
        "candidates": {"responses": ["<think>weigh</think>a", "b"]},
    }[kind]
    prompt = RatingPrompt() if kind == "responses" else PairwisePrompt()
    place.rows(row)
    place.judge(prompt)
    assert any("weigh" in text for text in said)
    with pytest.raises(StageError, match="begun with a decoding that is not the one given"):
        place.judge(prompt, stripping=True)
    said.clear()
    place.judge(prompt, stripping=True, restart=True)
    assert said and not any("weigh" in text for text in said)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_other_formats_are_made_at_the_end(place: Place, ending: str) -> None:
    place.pairs(3)
    output = place.folder / f"out.{ending}"
    place.judge(output=output, merge="both_agree")
    names = {path.name for path in place.folder.iterdir()}
    assert {f"out.{ending}", "out.verdicts.jsonl", f"out.merged.{ending}"} < names
    content = output.read_bytes()
    place.judge(output=output)
    assert output.read_bytes() == content
    with pytest.raises(DataError, match="ends in no format"):
        place.judge(output=place.folder / "out.txt")
