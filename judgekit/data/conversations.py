"""Prompts and responses that are conversations: as text for judges, and the shapes in which data sets keep them.

No released protocol of a judge says how it shows a conversation, so all show the same text where their instruction or
response stands: a lone user message, or a lone assistant message as response, as it is; otherwise every turn under its
speaker, with blank lines between.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

Turns = Sequence[Mapping[str, Any]]

SPEAKERS = {
    **dict.fromkeys(("system", "developer"), "System"),
    **dict.fromkeys(("user", "human", "prompter"), "User"),
    **dict.fromkeys(("assistant", "gpt", "model", "chatbot", "bot"), "Assistant"),
    **dict.fromkeys(("tool", "function", "function_response", "tool_response", "observation", "ipython"), "Tool"),
}
"""What a turn stands under, by its role."""
SHAPES = (
    "prompt", "chosen", "rejected", "chosen_model", "rejected_model", "completion", "messages", "conversations",
    "conversation", "conversation_a", "conversation_b", "winner",
)  # fmt: skip
"""Columns of other shapes than judgekit's own."""
SIDES = (("chosen", "rejected"), ("conversation_a", "conversation_b"))
_TURN = re.compile(r"\n\n(Human|Assistant): ?")


def is_conversation(value: Any) -> bool:
    """Whether a value is messages: ``{"role", "content"}``, or ``{"from", "value"}``."""
    turns = [value] if isinstance(value, dict) else value
    return isinstance(turns, list) and bool(turns) and all(
        isinstance(turn, dict) and ("role" in turn or "from" in turn) for turn in turns
    )  # fmt: skip


def prompt_text(value: Any) -> str:
    """A prompt of messages as text.

    :raises ValueError: saying what cannot be shown
    """
    return _text(value, "User")


def response_text(value: Any) -> str:
    """A response of messages as text.

    :raises ValueError: saying what cannot be shown
    """
    return _text(value, "Assistant")


def _text(value: Any, alone: str) -> str:
    turns = [(_speaker(turn), _content(turn)) for turn in _listed(value)]
    turns = [turn for turn in turns if turn != ("System", "")]
    if len(turns) == 1 and turns[0][0] == alone and not _calls(_listed(value)[-1]):
        return turns[0][1]
    return "\n\n".join(f"{speaker}: {text}" for speaker, text in turns)


def _listed(value: Any) -> Turns:
    return [value] if isinstance(value, dict) else value


def _speaker(turn: Mapping[str, Any]) -> str:
    role = turn.get("role", turn.get("from"))
    if not isinstance(role, str) or role.lower() not in SPEAKERS:
        raise ValueError(f"has a turn of role {role!r}; use system, user, assistant or tool")
    return SPEAKERS[role.lower()]


def _content(turn: Mapping[str, Any]) -> str:
    """Its text and its calls of tools; a judge is not shown thoughts, which are kept apart from the content."""
    content = turn.get("content", turn.get("value"))
    parts = content if isinstance(content, list) else [] if content is None else [content]
    calls = [_call(call) for call in _calls(turn)]
    if content is None and not calls:
        raise ValueError("has a turn without content; give a text or remove the row")
    return "\n".join(["".join(map(_part, parts))] * bool(parts) + calls)


def _part(part: Any) -> str:
    text = part.get("text") if isinstance(part, dict) and part.get("type", "text") == "text" else part
    if not isinstance(text, str):
        kind = part.get("type") if isinstance(part, dict) else type(part).__name__
        raise ValueError(f"has a part of type {kind}, and judges are shown text only; remove the row")
    return text


def _calls(turn: Mapping[str, Any]) -> list[Any]:
    calls = turn.get("tool_calls")
    return calls if isinstance(calls, list) else []


def _call(call: Any) -> str:
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise ValueError('has a tool call without a name; write {"function": {"name": ..., "arguments": ...}}')
    given = function.get("arguments")
    return f"[calls {function['name']}({given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)})]"


def shaped(values: Mapping[str, Any], fields: Mapping[str, str]) -> Mapping[str, Any]:
    """A row of another shape with judgekit's fields beside its own; any other row as it is.

    Pairs: ``chosen`` (response_a, the better one) and ``rejected``, or ``conversation_a``, ``conversation_b`` and
    ``winner``; the prompt is ``prompt``, or what both conversations begin with. Single responses: ``prompt`` and
    ``completion``, or ``messages`` that end in one. A prompt alone: ``prompt``, or ``messages`` that end in none.

    :param fields: those that the user gave other columns, which stay as they are
    :raises ValueError: for two conversations that do not have one prompt
    """
    if not any(name in values for name in SHAPES):
        return values
    found, own = dict(values), {*values, *fields}
    for a, b in SIDES:
        if not {"response_a", "response_b"} & own and values.get(a) is not None and values.get(b) is not None:
            prompt, found["response_a"], found["response_b"] = _pair(values.get("prompt"), values[a], values[b])
            if not {"label", "gold"} & own:
                found["label"] = "A" if a == "chosen" else values.get("winner")
            for side in (a, b):
                if f"{side}_model" in values:
                    found[{a: "model_a", b: "model_b"}[side]] = values[f"{side}_model"]
            break
    else:
        prompt, reply = _single(values)
        if reply is not None and not {"response", "responses", "response_a", "response_b"} & own:
            found["response"] = reply
    if prompt is not None and "instruction" not in own:
        found["instruction"] = prompt
    return found


def _single(values: Mapping[str, Any]) -> tuple[Any, Any]:
    """(prompt, response) of a row; None for what it lacks."""
    for name in ("messages", "conversations", "conversation"):
        turns = values.get(name)
        if is_conversation(turns) and isinstance(turns, list):
            role = turns[-1].get("role", turns[-1].get("from"))  # of a column that nobody reads it may be anything
            last = len(turns) - (SPEAKERS.get(str(role).lower()) == "Assistant")
            return turns[:last] or None, turns[last:] or None
    return values.get("prompt"), values.get("completion")


def _pair(prompt: Any, a: Any, b: Any) -> tuple[Any, Any, Any]:
    """Prompt and the two responses; a prompt that both conversations repeat is taken off them."""
    if prompt is None and all(isinstance(side, str) and _TURN.match(side) for side in (a, b)):
        a, b = _turns(a), _turns(b)
    if not (is_conversation(a) and is_conversation(b)):
        return prompt, a, b
    a, b = list(_listed(a)), list(_listed(b))
    shared = 0
    while shared < min(len(a), len(b)) - 1 and a[shared] == b[shared]:
        shared += 1
    while shared and _speaker(a[shared - 1]) == "Assistant" and _speaker(a[shared]) != "Assistant":
        shared -= 1  # an answer that both begin with is a part of the responses
    if any(_speaker(side[shared]) not in ("Assistant", "Tool") for side in (a, b)):
        raise ValueError("does not begin with what the other begins with; both must answer one prompt")
    before = a[:shared]
    if prompt is None:
        return before or None, a[shared:], b[shared:]
    if before and is_conversation(prompt):
        return (before if before[: len(prompt)] == list(_listed(prompt)) else [*_listed(prompt), *before],
                a[shared:], b[shared:])  # fmt: skip
    repeated = any(_speaker(turn) == "User" and _content(turn) == prompt for turn in before)
    return (before if repeated else prompt if not before else [{"role": "user", "content": prompt}, *before],
            a[shared:], b[shared:])  # fmt: skip


def _turns(text: str) -> Turns:
    r"""The turns of a text in which each begins with ``\n\nHuman:`` or ``\n\nAssistant:``."""
    _, *parts = _TURN.split(text)
    return [{"role": {"Human": "user"}.get(who, "assistant"), "content": said}
            for who, said in zip(parts[::2], parts[1::2], strict=True)]  # fmt: skip
