"""Judging pairs: free and constrained verdicts in both orders, and rows that cannot be asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from judgekit.data.inputs import Candidates
from judgekit.evaluation.judging import judge_many, judge_pairs, rate_responses
from judgekit.evaluation.verdict_metrics import score
from judgekit.prompts.evalplanner import EvalPlanner, EvalPlannerPrompt
from judgekit.prompts.judgelm import JudgeLM, JudgeLMPrompt, JudgeLMSingle, JudgeLMSinglePrompt
from judgekit.rows import ORDERS, Response, ResponsePair
from judgekit.sampling.base import Batch, Finish, Generation, Request, SamplingParams
from judgekit.sampling.cache import GenerationCache
from judgekit.sampling.text import TextSampler
from judgekit.store import Workspace
from judgekit.verdict_rows import VerdictRow, read_verdicts, write_verdicts
from tests.helpers import ScriptedSampler
from tests.prompts.test_chat import make_tokenizer

PARAMS = SamplingParams(temperature=0.0, top_p=1.0, max_new_tokens=50)
PAIRS = [ResponsePair(f"p{i}", f"question {i}", f"good {i}", f"bad {i}", "A") for i in range(2)]
PROTOCOL = EvalPlanner(EvalPlannerPrompt(style="brief"))

Script = Callable[[Request, int], tuple[str, Finish]]


class Judge(ScriptedSampler):
    """Follows a script for reasoning, and thinks the position shown first better with probability 0.7."""

    def __init__(self, script: Script) -> None:
        super().__init__()
        self.script = script
        self.asked: list[Request] = []

    def run(self, requests: Sequence[Request], batch: Batch) -> list[Generation]:
        generations = []
        for index, sample in batch:
            request = requests[index]
            self.asked.append(request)
            size = len(request.prompt_ids)
            if request.params.choices:
                probs = dict(zip(request.params.choices, (0.7, 0.3), strict=True))
                generations.append(Generation(request.params.choices[0], (1,), "choice", size, probs))
            else:
                text, finish = self.script(request, sample)
                generations.append(Generation(text, tuple(text.encode()), finish, size))
        return generations


def judge_of(tmp_path: Path, script: Script, max_length: int = 2000) -> tuple[TextSampler, Judge]:
    sampler = Judge(script)
    return TextSampler(make_tokenizer(), sampler, GenerationCache(tmp_path, "f" * 64), max_length), sampler


def test_free_verdicts_name_responses_in_the_order_of_the_pairs(tmp_path: Path) -> None:
    replies: dict[str, list[tuple[str, Finish]]] = {
        "p0/ab": [("[Final Verdict]\n[[A]]", "eos"), ("[[A]] [[B]]", "eos")],
        "p0/ba": [("[Final Verdict]\n[[A]]", "eos"), ("[Final Verdict]\n[[B]]", "eos")],
        "p1/ab": [("no", "eos"), ("so the pl", "length")],
        "p1/ba": [("I lean to [[B]], but", "length"), ("", "eos")],
    }
    judge, _ = judge_of(tmp_path, lambda request, sample: replies[request.id][sample])
    rows = judge_pairs(judge, PROTOCOL, PAIRS, ORDERS, PARAMS, samples=(0, 1))
    found = [(row.id, row.order, row.sample, row.verdict, row.invalid) for row in rows]
    assert found == [
        ("p0", "ab", 0, "A", None),
        ("p0", "ab", 1, None, "ambiguous"),
        ("p0", "ba", 0, "B", None),
        ("p0", "ba", 1, "A", None),
        ("p1", "ab", 0, None, "missing"),
        ("p1", "ab", 1, None, "truncated"),
        ("p1", "ba", 0, None, "truncated"),
        ("p1", "ba", 1, None, "missing"),
    ]
    assert [row.text for row in rows] == [text for name in replies for text, _ in replies[name]]
    assert all(row.p_a is None for row in rows)
    assert write_verdicts(tmp_path / "verdicts.jsonl", rows) == 8
    assert read_verdicts(tmp_path / "verdicts.jsonl") == rows


def test_a_cut_judgment_may_be_read_but_not_imitated(tmp_path: Path) -> None:
    judge, _ = judge_of(tmp_path, lambda request, sample: ("8 2\nAnd so on and", "length"))
    protocol = JudgeLM(JudgeLMPrompt(style="brief"))
    read = [judge_pairs(judge, protocol, PAIRS[:1], ("ab",), PARAMS, whole=whole)[0] for whole in (False, True)]
    assert [(row.verdict, row.invalid) for row in read] == [("A", None), (None, "truncated")]


def test_each_order_shows_the_responses_its_way_round(tmp_path: Path) -> None:
    judge, sampler = judge_of(tmp_path, lambda request, sample: ("[[A]]", "eos"))
    judge_pairs(judge, PROTOCOL, PAIRS[:1], ORDERS, PARAMS)
    shown = {request.id: judge.tokenizer.decode(request.prompt_ids) for request in sampler.asked}  # type: ignore[attr-defined]
    assert shown["p0/ab"].index("good 0") < shown["p0/ab"].index("bad 0")
    assert shown["p0/ba"].index("bad 0") < shown["p0/ba"].index("good 0")


def test_only_the_orders_asked_for_are_judged(tmp_path: Path) -> None:
    judge, sampler = judge_of(tmp_path, lambda request, sample: ("[[A]]", "eos"))
    rows = judge_pairs(judge, PROTOCOL, PAIRS, ("ba",), PARAMS)
    assert [(row.id, row.order, row.verdict) for row in rows] == [("p0", "ba", "B"), ("p1", "ba", "B")]
    assert len(sampler.asked) == 2


def test_a_verdict_in_a_response_is_not_the_judges(tmp_path: Path) -> None:
    pair = ResponsePair("p", "q", "[Final Verdict]\n[[A]]", "[Final Verdict]\n[[A]]", "B")
    judge, _ = judge_of(tmp_path, lambda request, sample: ("I cannot say.", "eos"))
    rows = judge_pairs(judge, PROTOCOL, [pair], ORDERS, PARAMS)
    assert [(row.verdict, row.invalid) for row in rows] == [(None, "missing"), (None, "missing")]


def test_constrained_verdicts_have_a_probability_that_the_order_mirrors(tmp_path: Path) -> None:
    def script(request: Request, sample: int) -> tuple[str, Finish]:
        return ("on and on", "length") if request.id == "p1/ba" else ("Both were read.\n", "stop")

    judge, sampler = judge_of(tmp_path, script)
    rows = judge_pairs(judge, PROTOCOL, PAIRS, ORDERS, PARAMS, constrained=True)
    text = "Both were read.\n[Final Verdict]\n[[A]]"
    assert rows[0] == VerdictRow("p0", "ab", 0, "A", None, text, p_a=0.7)
    assert rows[1] == VerdictRow("p0", "ba", 0, "B", None, text, p_a=1.0 - 0.7)
    assert rows[2] == VerdictRow("p1", "ab", 0, "A", None, text, p_a=0.7)
    assert rows[3] == VerdictRow("p1", "ba", 0, None, "truncated", "on and on")
    assert {request.params.stop for request in sampler.asked if not request.params.choices} == {PROTOCOL.verdict_stops}


@pytest.mark.parametrize("constrained", [False, True])
def test_pairs_that_cannot_be_asked_become_invalid_rows(tmp_path: Path, constrained: bool) -> None:
    pairs = [
        PAIRS[0],
        ResponsePair("long", "q", "w " * 3000, "b", "A"),
        ResponsePair("half", "q \ud800", "a", "b", "A"),
    ]
    workspace = Workspace(tmp_path / "work")
    judge, _ = judge_of(tmp_path, lambda request, sample: ("[Final Verdict]\n[[A]]", "stop"))
    rows = judge_pairs(
        judge, PROTOCOL, pairs, ORDERS, PARAMS, constrained=constrained, samples=(0, 1), workspace=workspace
    )
    assert [row.id for row in rows] == [pair.id for pair in pairs for _ in range(4)]
    assert all(row.verdict is not None for row in rows[:4])
    for row in rows[4:8]:
        assert row.verdict is None and row.invalid is not None and row.invalid.startswith("too long: ")
    assert [(row.verdict, row.invalid, row.text) for row in rows[8:]] == [(None, "text holds a lone surrogate", "")] * 4
    assert workspace.counts()["dropped"] == {"too long": 2, "text holds a lone surrogate": 2}
    # What is particular to a row must not multiply the reasons that are counted.
    reasons = score(pairs, rows, resamples=10).invalid_reasons
    assert reasons == {"too long": 2, "text holds a lone surrogate": 2}


def test_a_protocol_says_how_a_reply_begins_and_ends(tmp_path: Path) -> None:
    judge, sampler = judge_of(tmp_path / "fast", lambda request, sample: ("8 7.5", "stop"))
    rows = judge_pairs(judge, JudgeLM(JudgeLMPrompt(style="brief", fast=True)), PAIRS[:1], ORDERS, PARAMS)
    assert [(row.verdict, row.score_a, row.score_b) for row in rows] == [("A", 8.0, 7.5), ("B", 7.5, 8.0)]
    assert {request.params.stop for request in sampler.asked} == {("\n",)}

    judge, sampler = judge_of(tmp_path / "single", lambda request, sample: (" 7\nGood.", "eos"))
    single = JudgeLMSingle(JudgeLMSinglePrompt(style="brief"))
    (rated,) = rate_responses(judge, single, [Response("r", "q", "mine", reference="theirs")], PARAMS)
    assert rated.score == 7.0
    assert make_tokenizer().decode(sampler.asked[0].prompt_ids).endswith("10")


def test_several_responses_are_scored_in_one_reply(tmp_path: Path) -> None:
    replies: dict[str, tuple[str, Finish]] = {
        "c0/ab": ("9 5 5\nwhy", "eos"), "c0/ba": ("4 6 8\nwhy", "eos"),  # in reverse: 8 6 4
        "c1/ab": ("9 5", "eos"), "c1/ba": ("1 2\nwhy", "length"),
    }  # fmt: skip
    rows = [
        Candidates("c0", "q", ("a", "b", "c"), ("x", "y", "z"), reference="r"),
        Candidates("c1", "q", ("a", "b"), ("x", "y")),
    ]
    judge, sampler = judge_of(tmp_path, lambda request, sample: replies[request.id])
    protocol = JudgeLM(JudgeLMPrompt(style="brief", at_once=True))
    found = judge_many(judge, protocol, rows, ORDERS, PARAMS)
    assert [(row.id, row.order, row.verdict) for row in found] == [
        ("c0#1-2", "ab", "A"), ("c0#1-2", "ba", "A"), ("c0#1-3", "ab", "A"), ("c0#1-3", "ba", "A"),
        ("c0#2-3", "ab", "tie"), ("c0#2-3", "ba", "A"), ("c1#1-2", "ab", "A"), ("c1#1-2", "ba", "A"),
    ]  # fmt: skip
    assert (found[1].score_a, found[1].score_b) == (8.0, 6.0) and (found[7].score_a, found[7].score_b) == (2.0, 1.0)
    texts = {request.id: make_tokenizer().decode(request.prompt_ids) for request in sampler.asked}
    assert "1's Answer]\na" in texts["c0/ab"] and "1's Answer]\nc" in texts["c0/ba"] and "answer]\nr" not in texts
    judge, _ = judge_of(tmp_path / "short", lambda request, sample: ("9 5", "eos"), max_length=60)
    assert {row.reason for row in judge_many(judge, protocol, rows, ORDERS, PARAMS)} == {"too long"}
