"""Open Assistant conversation trees (Köpf et al. 2023, arXiv 2304.07327): human rankings of replies to one prompt.

A row is a tree. Ranked replies (``rank`` 0 is best) to one prompt make a group: all its pairs, or its single replies
scored by rank. The instruction is the conversation up to the prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import NoneType
from typing import Any, TypeAlias

from judgekit.data.records import Record
from judgekit.evaluation.benchmarks.base import Loader
from judgekit.rows import ResponsePair, ScoredResponse

Message: TypeAlias = Mapping[str, Any]

SPEAKERS = {"prompter": "User", "assistant": "Assistant"}


@dataclass(frozen=True, slots=True)
class _Group:
    """Ranked replies to one prompt, in the order of the file."""

    id: str
    instruction: str
    subset: str
    replies: Sequence[Message]


def _groups(record: Record) -> Iterator[_Group]:
    todo: list[tuple[Message, tuple[Message, ...]]] = [(_checked(record, record.value("prompt")), ())]
    while todo:
        message, before = todo.pop()
        path = (*before, message)
        replies = [_checked(record, reply) for reply in message.get("replies") or []]
        ranked = [reply for reply in replies if reply.get("rank") is not None]
        if len(ranked) > 1:
            subset = "first turn" if len(path) == 1 else "later turns"
            yield _Group(f"oasst/{message['message_id']}", _conversation(path), subset, ranked)
        todo += [(reply, path) for reply in reversed(replies)]


def _checked(record: Record, message: Any) -> Message:
    good = isinstance(message, dict) and all(isinstance(message.get(name), str) for name in ("message_id", "text"))
    if good and message.get("role") in SPEAKERS and type(message.get("rank")) in (int, NoneType):
        return dict(message)
    needed = "message_id, text, role (prompter or assistant) and a whole rank or null"
    raise record.error("prompt", f"every message needs {needed}; correct it or remove the tree")


def _conversation(path: Sequence[Message]) -> str:
    if len(path) == 1:
        return str(path[0]["text"])
    return "\n\n".join(f"{SPEAKERS[message['role']]}: {message['text']}" for message in path)


def _pairs(record: Record, folder: str) -> Iterator[ResponsePair]:
    for group in _groups(record):
        for first, second in combinations(group.replies, 2):
            ahead = second["rank"] - first["rank"]
            yield ResponsePair(
                id=f"oasst/{first['message_id']}/{second['message_id']}",
                instruction=group.instruction,
                response_a=first["text"],
                response_b=second["text"],
                label="A" if ahead > 0 else "B" if ahead < 0 else "tie",
                subset=group.subset,
                group=group.id,
                model_a=first.get("model_name"),
                model_b=second.get("model_name"),
            )


def _rankings(record: Record, folder: str) -> Iterator[ScoredResponse]:
    for group in _groups(record):
        for reply in group.replies:
            yield ScoredResponse(
                id=f"oasst/{reply['message_id']}",
                instruction=group.instruction,
                response=reply["text"],
                score=float(0 - reply["rank"]),
                low=None,
                high=None,
                group=group.id,
                system=reply.get("model_name"),
                subset=group.subset,
            )


LOADER = Loader(_pairs, ("prompt",), "*tree*.jsonl")
RANKINGS = Loader(_rankings, ("prompt",), "*tree*.jsonl")
