"""Asking a teacher: what it says is used, refused replies are counted by reason, too many of them end the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from judgekit.errors import StageError
from judgekit.prompts.pairwise import PairwisePrompt
from judgekit.rows import ORDERS, Judgment, Order, ResponsePair, read_rows
from judgekit.samplers.hf import HfConfig
from judgekit.samplers.openai import OpenAIConfig
from judgekit.sampling.base import Request
from judgekit.schema.composition import Composer
from judgekit.schema.config import RunConfig
from judgekit.schema.models import ModelConfig
from judgekit.schema.teachers import TeacherConfig
from judgekit.stages.lab import Lab
from judgekit.stages.teaching import TaughtJudgments, find_teacher
from judgekit.store import Artifact
from judgekit.tracking.recording import recorded
from tests.helpers import ScriptedSampler
from tests.sampling.scripted_server import Answer, Body, ScriptedServer, last, refusal, reply
from tests.training.tiny import make_model

PROMPT = PairwisePrompt(ties=True)
PAIRS = [ResponsePair(f"p{i}", f"Question {i}?", f"first {i}", f"second {i}", None) for i in range(4)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny") / "model", max_position_embeddings=2048)


def make_config(tiny: Path, store: Path, **teacher: Any) -> RunConfig:
    return RunConfig(
        name="taught",
        store=str(store),
        model=ModelConfig(name="tiny", path=str(tiny), dtype="float32", max_length=2048),
        sampler=HfConfig(judge_tokens=64),
        teacher=TeacherConfig(**teacher),
    )


@dataclass(frozen=True, kw_only=True)
class Judged(TaughtJudgments):
    label = "teacher"
    prompt: PairwisePrompt = PROMPT
    orders: tuple[Order, ...] = ORDERS
    expected: int = len(PAIRS)

    def pairs(self) -> list[ResponsePair]:
        return PAIRS


def asked(config: RunConfig, folder: Path, answer: Callable[[Request, int], str]) -> Artifact:
    with recorded(config, folder) as record:
        lab = Lab(config, record, lambda _: ScriptedSampler(answer))
        return lab.make(Judged(teacher=find_teacher(lab))).done


def test_usable_judgments_are_kept_and_others_counted_by_reason(tiny: Path, tmp_path: Path) -> None:
    answers = {
        "p0/ab": "[[A]]", "p0/ba": "[[B]]", "p1/ab": "[[C]]", "p1/ba": "I'm sorry, but I cannot compare these.",
        "p2/ab": "One is fine.", "p2/ba": "[[A]] or [[B]]", "p3/ab": "[[A]]", "p3/ba": "[[A]]",
    }  # fmt: skip
    config = make_config(tiny, tmp_path / "store", max_failed=0.4)
    stage = asked(config, tmp_path / "run", lambda request, _: answers[request.id])
    rows = read_rows(stage.file("judgments.jsonl"), Judgment)
    assert [(row.id, row.order, row.verdict) for row in rows] == [
        ("p0", "ab", "A"), ("p0", "ba", "A"), ("p1", "ab", "tie"), ("p3", "ab", "A"), ("p3", "ba", "B"),
    ]  # fmt: skip
    assert stage.info.rows == {"asked": 8, "usable": 5}
    assert stage.info.dropped == {
        "teacher: refused": 1, "teacher: another format: missing": 1, "teacher: another format: ambiguous": 1,
    }  # fmt: skip
    failed = [json.loads(line) for line in stage.file("failures.jsonl").read_text().splitlines()]
    assert [(row["id"], row["text"]) for row in failed] == [
        (name, answers[name]) for name in ("p1/ba", "p2/ab", "p2/ba")
    ]


def test_a_verdict_without_room_is_counted_once(tiny: Path, tmp_path: Path) -> None:
    def answer(request: Request, sample: int) -> str:
        return "[[A]]" if request.params.choices else "very " * 600 if request.id == "p0/ab" else "Fine."

    config = make_config(tiny, tmp_path / "store", verdict="constrained", max_failed=0.2)
    stage = asked(config, tmp_path / "run", answer)
    assert stage.info.rows == {"asked": 8, "usable": 7} and stage.info.dropped == {"too long": 1}
    (failed,) = [json.loads(line) for line in stage.file("failures.jsonl").read_text().splitlines()]
    assert failed["id"] == "p0/ab" and failed["reason"].startswith("teacher: too long: ")


def test_too_many_failures_end_the_run_and_a_finished_stage_forgets_the_limit(tiny: Path, tmp_path: Path) -> None:
    calls: list[str] = []

    def answer(request: Request, sample: int) -> str:
        calls.append(request.id)
        return "No idea." if request.id.endswith("ba") else "[[A]]"

    config = make_config(tiny, tmp_path / "store", max_failed=0.49)
    with pytest.raises(StageError) as error:
        asked(config, tmp_path / "run", answer)
    for part in ("Of 8 questions", "failed on 4", "max_failed=0.49", "4 x another format", "'No idea.'"):
        assert part in str(error.value)
    laxer = replace(config, teacher=TeacherConfig(max_failed=0.5))
    stage = asked(laxer, tmp_path / "run", answer)
    assert stage.info.rows["usable"] == 4 and len(calls) == 8, "finished replies are kept"
    assert asked(config, tmp_path / "run", answer).reused


def test_a_server_that_refuses_times_out_and_cuts_off(tiny: Path, tmp_path: Path) -> None:
    def chat(body: Body, number: int) -> Answer:
        text = last(body)
        swapped = text.index("second") < text.index("first")
        if "Question 0" in text:
            return reply("Both have merits, but", "length", generated=64)
        if "Question 1" in text:
            return replace(reply("[[A]]"), delay=3.0 if swapped else 0.0)
        if "Question 2" in text and swapped:
            return refusal(400, "flagged", code="content_policy_violation")
        return reply("[[B]]" if swapped else "[[A]]")

    with ScriptedServer(chat) as server:
        sampler = OpenAIConfig(
            base_url=server.url, served_model="m", retries=0, timeout_seconds=1.5, judge_tokens=64, concurrency=8
        )
        config = make_config(tiny, tmp_path / "store", sampler=sampler, max_failed=0.5)
        lab_calls: list[str] = []
        stage = asked(config, tmp_path / "run", lambda request, _: lab_calls.append(request.id) or "")
    assert not lab_calls, "the server is asked, not the seed"
    assert stage.info.rows == {"asked": 8, "usable": 4}
    assert stage.info.dropped == {
        "teacher: cut off": 2, "timed out": 1, "refused by the server's content filter": 1,
    }  # fmt: skip
    rows = read_rows(stage.file("judgments.jsonl"), Judgment)
    assert [(row.id, row.order, row.verdict) for row in rows] == [
        ("p1", "ab", "A"), ("p2", "ab", "A"), ("p3", "ab", "A"), ("p3", "ba", "A"),
    ]  # fmt: skip


def test_the_stage_is_planned_without_a_teacher_at_hand(tmp_path: Path) -> None:
    config = Composer().job(["teacher=openai", "teacher.sampler.served_model=gpt", f"store={tmp_path}"]).config
    assert isinstance(config, RunConfig)
    lab = Lab(config, None)
    lab.make(Judged(teacher=find_teacher(lab)))
    assert [(stage.name, stage.generations) for stage in lab.planned] == [("teacher", 8)]
