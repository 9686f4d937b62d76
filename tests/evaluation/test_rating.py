"""Judging without reasoning, with ties, and by scores of single responses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from judgekit.evaluation.judging import judge_pairs, rate_responses
from judgekit.prompts.pairwise import Pairwise, PairwisePrompt
from judgekit.prompts.rating import Rating, RatingPrompt
from judgekit.rows import ORDERS, Response, ResponsePair, write_rows
from judgekit.sampling.base import Batch, Generation, Request, SamplingParams
from judgekit.sampling.cache import GenerationCache
from judgekit.sampling.text import TextSampler
from judgekit.score_rows import ScoreRow, mean_scores, read_scores
from judgekit.store import Workspace
from judgekit.verdict_rows import VerdictRow
from tests.helpers import ScriptedSampler
from tests.prompts.test_chat import make_tokenizer

PARAMS = SamplingParams(temperature=0.0, top_p=1.0, max_new_tokens=50)
PAIRS = [ResponsePair(f"p{i}", f"question {i}", f"good {i}", f"bad {i}", "A") for i in range(4)]


class Chooser(ScriptedSampler):
    """Gives the allowed verdicts fixed probabilities and reasons in one sentence."""

    def __init__(self, *probs: float) -> None:
        super().__init__()
        self.probs, self.free = probs, 0

    def run(self, requests: Sequence[Request], batch: Batch) -> list[Generation]:
        return [self.choose(requests[index]) for index, _ in batch]

    def choose(self, request: Request) -> Generation:
        choices = request.params.choices
        if not choices:
            self.free += 1
            return Generation("Both are fine.", (1,), "stop", 1)
        best = choices[self.probs.index(max(self.probs))]
        return Generation(best, (1,), "choice", 1, dict(zip(choices, self.probs, strict=True)))


def judge_of(tmp_path: Path, sampler: ScriptedSampler) -> TextSampler:
    return TextSampler(make_tokenizer(), sampler, GenerationCache(tmp_path, "f" * 64), 2000)


@pytest.mark.parametrize(("reasoning", "text"), [(False, "[[B]]"), (True, "Both are fine.\n[[B]]")])
def test_a_verdict_alone_is_chosen_at_once(tmp_path: Path, reasoning: bool, text: str) -> None:
    sampler = Chooser(0.25, 0.75)
    protocol = Pairwise(PairwisePrompt(reasoning=reasoning))
    rows = judge_pairs(judge_of(tmp_path, sampler), protocol, PAIRS[:1], ORDERS, PARAMS, constrained=True)
    assert rows == [
        VerdictRow("p0", "ab", 0, "B", None, text, p_a=0.25),
        VerdictRow("p0", "ba", 0, "A", None, text, p_a=0.75),
    ]
    assert sampler.free == (2 if reasoning else 0)


def test_half_of_a_tie_belongs_to_either_side(tmp_path: Path) -> None:
    judge = judge_of(tmp_path, Chooser(0.2, 0.3, 0.5))
    protocol = Pairwise(PairwisePrompt(ties=True, reasoning=False))
    ab, ba = judge_pairs(judge, protocol, PAIRS[:1], ORDERS, PARAMS, constrained=True)
    assert (ab.verdict, ba.verdict) == ("tie", "tie")
    assert ab.p_a == pytest.approx(0.2 + 0.25) and ba.p_a == pytest.approx(0.3 + 0.25)


REPLIES = {
    "p0/a": "Rating: [[8]]",
    "p0/b": "Rating: [[3.5]]",
    "p1/a": "[[2]]",
    "p1/b": "[[9]]",
    "p2/a": "[[5]]",
    "p2/b": "Rating: 5",
    "p3/a": "fine",
    "p3/b": "[[11]]",
}


def test_pairs_get_the_verdict_of_two_scores_in_both_orders(tmp_path: Path) -> None:
    sampler = ScriptedSampler(lambda request, sample: REPLIES[request.id])
    rows = judge_pairs(judge_of(tmp_path, sampler), Rating(RatingPrompt()), PAIRS, ORDERS, PARAMS)
    found = [(row.id, row.order, row.verdict, row.invalid, row.score_a, row.score_b) for row in rows]
    expected = [("A", None, 8.0, 3.5), ("B", None, 2.0, 9.0), ("tie", None, 5.0, 5.0), (None, "missing", None, None)]
    assert found == [
        (pair.id, order, *said) for pair, said in zip(PAIRS, expected, strict=True) for order in ("ab", "ba")
    ]
    assert rows[0].text == "[Response A]\nRating: [[8]]\n\n[Response B]\nRating: [[3.5]]"
    assert sum(map(len, sampler.batches)) == len(REPLIES), "each response is scored once"


def test_responses_that_have_no_score_say_why(tmp_path: Path) -> None:
    rows = [
        Response("good", "q", "a"),
        Response("long", "q", "w " * 3000),
        Response("odd", "q", "\ud800"),
    ]
    workspace = Workspace(tmp_path / "work")
    judge = judge_of(tmp_path, ScriptedSampler(lambda request, sample: f"[[{sample + 1}]]"))
    rated = rate_responses(judge, Rating(RatingPrompt()), rows, PARAMS, samples=(0, 2), workspace=workspace)
    assert [(row.id, row.sample, row.score, row.reason) for row in rated] == [
        ("good", 0, 1.0, "unstated"),
        ("good", 2, 3.0, "unstated"),
        ("long", 0, None, "too long"),
        ("long", 2, None, "too long"),
        ("odd", 0, None, "text holds a lone surrogate"),
        ("odd", 2, None, "text holds a lone surrogate"),
    ]
    assert mean_scores(rated) == {"good": 2.0, "long": None, "odd": None}
    assert workspace.counts()["dropped"] == {"too long": 1, "text holds a lone surrogate": 1}
    write_rows(tmp_path / "scores.jsonl", rated)
    assert read_scores(tmp_path / "scores.jsonl") == rated


def test_means_are_over_valid_samples_alone() -> None:
    rows = [ScoreRow("x", 0, 4.0, None, ""), ScoreRow("x", 1, None, "missing", ""), ScoreRow("x", 2, 5.0, None, "")]
    assert mean_scores(rows) == {"x": 4.5}
