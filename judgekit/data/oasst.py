"""Open Assistant conversation trees (Köpf et al. 2023, arXiv 2304.07327): human rankings of replies to one prompt.

A row is a tree. Ranked replies (``rank`` 0 is best) to one prompt make a group. The instruction is the conversation up
to the prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, TypeAlias

from judgekit.data.records import Record
from judgekit.randomness import pick
from judgekit.rows import ResponsePair, ScoredResponse

Message: TypeAlias = Mapping[str, Any]

FIELDS = ("prompt",)
"""Fields of a tree that are read."""
FIRST_TURN = "first turn"
SPEAKERS = {"prompter": "User", "assistant": "Assistant"}


@dataclass(frozen=True, slots=True)
class Group:
    """Ranked replies to one prompt, in the order of the file.

    :param subset: ``first turn`` or ``later turns``
    """

    id: str
    instruction: str
    subset: str
    replies: Sequence[Message]


def ranked_groups(record: Record) -> Iterator[Group]:
    """The groups of a tree.

    :raises DataError: for a tree that is not one
    """
    todo: list[tuple[Message, tuple[Message, ...]]] = [(_checked(record, record.value("prompt")), ())]
    while todo:
        message, before = todo.pop()
        path = (*before, message)
        replies = [_checked(record, reply) for reply in message.get("replies") or []]
        ranked = [reply for reply in replies if reply.get("rank") is not None]
        if len(ranked) > 1:
            subset = FIRST_TURN if len(path) == 1 else "later turns"
            yield Group(f"oasst/{message['message_id']}", _conversation(path), subset, ranked)
        todo += [(reply, path) for reply in reversed(replies)]


def ranked_responses(record: Record) -> Iterator[ScoredResponse]:
    """Single replies scored by rank: 0 is the best score."""
    for group in ranked_groups(record):
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


def best_and_worst(record: Record, seed: int) -> Iterator[ResponsePair]:
    """The pair of a first turn whose replies are not all ranked alike; which reply is called A is drawn by id."""
    for group in ranked_groups(record):
        if group.subset != FIRST_TURN:
            continue
        best, worst = (end(group.replies, key=lambda reply: reply["rank"]) for end in (min, max))
        if best["rank"] == worst["rank"]:
            continue
        first = pick((True, False), seed, group.id, "label")
        yield ResponsePair(
            id=group.id,
            instruction=group.instruction,
            response_a=(best if first else worst)["text"],
            response_b=(worst if first else best)["text"],
            label="A" if first else "B",
            subset=group.subset,
            group=group.id,
        )


def language(record: Record) -> str:
    """The language of a tree's prompt, as Open Assistant names it (``en``, ``de``, ``pt-BR``).

    :raises DataError: it names none
    """
    prompt = record.value("prompt")
    found = prompt.get("lang") if isinstance(prompt, dict) else None
    if not isinstance(found, str):
        raise record.error("prompt", "names no language (lang); add it, or take all trees with language=null")
    return found


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
