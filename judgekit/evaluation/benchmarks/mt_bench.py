"""MT-Bench human judgments (Zheng et al. 2023, arXiv 2306.05685): votes on two models' conversations.

Every vote is a row, so a pair that several people voted on weighs as much as it has votes, as in the paper's agreement
tables. FastChat's "human" is the experts' votes; those of the authors are a benchmark of their own. On turn 2 the judge
sees both questions, and with each response the answer to the first question before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from judgekit.data.records import Record
from judgekit.evaluation.benchmarks.base import BENCHMARKS, Benchmark, Loader
from judgekit.papers import Paper
from judgekit.rows import ResponsePair, Verdict

if TYPE_CHECKING:
    from judgekit.evaluation.sections import Numbers
    from judgekit.verdict_rows import VerdictRow

VOTERS = ("expert", "author")
WINNERS: dict[str, Verdict] = {"model_a": "A", "model_b": "B", "tie": "tie", "tie (inconsistent)": "tie"}


def _pair(record: Record, folder: str, voter: str) -> Iterator[ResponsePair]:
    judge = record.asked("judge")
    if not judge.startswith(VOTERS):
        raise record.error("judge", f"holds {judge!r}, which begins with none of {', '.join(VOTERS)}; remove the row")
    if not judge.startswith(voter):
        return
    turn = record.choice("turn", {1: 1, 2: 2})
    question, response_a = _turns(record, "conversation_a", turn)
    _, response_b = _turns(record, "conversation_b", turn)
    yield ResponsePair(
        id=f"mt_bench/{record.line - 1}",
        instruction=question,
        response_a=response_a,
        response_b=response_b,
        label=record.choice("winner", WINNERS),
        subset=f"turn {turn}",
        group=f"mt_bench/{record.name('question_id')}",
        model_a=record.asked("model_a"),
        model_b=record.asked("model_b"),
    )


def _turns(record: Record, field: str, turn: int) -> tuple[str, str]:
    """What the user asked up to a turn and what the model answered."""
    messages = record.items(field)[: 2 * turn]
    texts: dict[str, list[str]] = {"user": [], "assistant": []}
    for message in messages:
        role, content = _message(record, field, message)
        texts[role].append(content)
    if len(texts["user"]) != turn or len(texts["assistant"]) != turn:
        raise record.error(field, f"must hold {turn} questions and answers in turn; correct it or remove the row")
    if turn == 1:
        return texts["user"][0], texts["assistant"][0]
    asked, answered = (
        "\n\n".join(f"[Turn {number}]\n{text}" for number, text in enumerate(texts[role], start=1))
        for role in ("user", "assistant")
    )
    return asked, answered


def _message(record: Record, field: str, message: Any) -> tuple[str, str]:
    if isinstance(message, dict) and message.get("role") in ("user", "assistant"):
        content = message.get("content")
        if isinstance(content, str):
            return message["role"], content
    raise record.error(field, 'must hold {"role": "user" or "assistant", "content": text}; correct it')


def _loader(voter: str) -> Loader[ResponsePair]:
    return Loader(
        partial(_pair, voter=voter),
        ("question_id", "model_a", "model_b", "winner", "judge", "conversation_a", "conversation_b", "turn"),
        "human*",
    )


def mt_bench(
    pairs: Sequence[ResponsePair], verdicts: Sequence[VerdictRow], *, resamples: int = 1000, seed: int = 0
) -> Numbers:
    """Agreement with people's votes by turn, as FastChat's ``compute_agreement.py`` has it.

    Both orders make one verdict by the rule ``fastchat``. ``with_ties`` is over all votes, where ties are a class;
    ``without_ties`` leaves out votes and verdicts that are ties. Votes on a pair without a valid verdict are left out.
    """
    from judgekit.evaluation.merging import one_a_pair
    from judgekit.evaluation.sections import accuracies, subset_of, written

    rows = [row for row in one_a_pair(verdicts, "fastchat") if row.verdict is not None]
    found: dict[str, dict[str, Any]] = {}
    for name, banned in (("with_ties", None), ("without_ties", "tie")):
        said = [row for row in rows if row.verdict != banned]
        judged = {row.id for row in said}
        votes = [pair for pair in pairs if pair.id in judged and pair.label != banned]
        known = {pair.id for pair in votes}
        parts = accuracies(votes, [row for row in said if row.id in known], subset_of, 0.0, resamples, seed)
        for turn in parts:
            found.setdefault(turn, {})[name] = parts[turn]
    return {turn: written(parts) for turn, parts in found.items()}


for kind, voter in (("mt_bench", "expert"), ("mt_bench_author", "author")):
    paper = Paper("MT-Bench", "2306.05685")
    BENCHMARKS.add(kind, Benchmark(_loader(voter), aggregate=mt_bench, merge="fastchat", paper=paper))
