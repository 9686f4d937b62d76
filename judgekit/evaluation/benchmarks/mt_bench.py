"""MT-Bench human judgments (Zheng et al. 2023, arXiv 2306.05685): votes on two models' conversations.

Every vote is a row, so a pair that several people voted on weighs as much as it has votes, as in the paper's agreement
tables. On turn 2 the judge sees both questions, and with each response the answer to the first question before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from judgekit.data.records import Record
from judgekit.evaluation.benchmarks.base import BENCHMARKS, Benchmark, Loader
from judgekit.papers import Paper
from judgekit.rows import ResponsePair, Verdict

WINNERS: dict[str, Verdict] = {"model_a": "A", "model_b": "B", "tie": "tie", "tie (inconsistent)": "tie"}


def _pair(record: Record, folder: str) -> Iterator[ResponsePair]:
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


LOADER = Loader(
    _pair,
    ("question_id", "model_a", "model_b", "winner", "conversation_a", "conversation_b", "turn"),
    "human*",
)
BENCHMARKS.add("mt_bench", Benchmark(LOADER, paper=Paper("MT-Bench", "2306.05685")))
