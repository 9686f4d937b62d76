"""Thought and answer of a reply, told apart once for every reader."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

THOUGHTS: tuple[tuple[str, str], ...] = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<reasoning>", "</reasoning>"),
    ("◁think▷", "◁/think▷"),
    ("[THINK]", "[/THINK]"),
    ("<|channel|>analysis", "<|channel|>final<|message|>"),
)
"""How models mark where a thought begins and where the answer after it does, by family: Qwen3, DeepSeek-R1 and others;
models taught with other tags; Kimi; Magistral; gpt-oss (Harmony channels)."""

CHANNEL = "<|channel|>"
"""Begins what a model says in a channel of Harmony."""

HARMONY = frozenset({CHANNEL, "<|message|>", "<|start|>", "<|end|>"})
"""Special tokens that frame Harmony's channels."""

MARKER_TOKENS = frozenset(marker for pair in THOUGHTS for marker in pair)
"""Texts that mark a thought where they are tokens of their own."""

_MARKERS = re.compile(
    "|".join(
        [f"(?P<open{index}>{re.escape(opener)})" for index, (opener, _) in enumerate(THOUGHTS)]
        + [f"(?P<close{index}>{re.escape(closer)})" for index, (_, closer) in enumerate(THOUGHTS)]
    ),
    re.IGNORECASE,
)
_STRIPPED = re.compile(r"analysis(?=[A-Z\[\"'(<])")
_STRIPPED_FINAL = "assistantfinal"
_FRAME = re.compile(r"<\|start\|>(?:assistant)?|<\|(?:message|end|channel)\|>")
_ENDS = re.compile(r"(?:<\|(?:return|end|start|call)\|>.*)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply in its two parts.

    :param thought: what the model wrote to itself, without its markers; empty: nothing
    :param answer: what it said after that; empty where the thought was never closed
    :param closed: whether the thought ended, also where there is none
    """

    thought: str
    answer: str
    closed: bool = True


def split_thought(text: str) -> Reply:
    """Thought and answer of a reply.

    The answer begins after the *last* closing marker; a reply may begin inside a thought that the prompt opened. An
    opening marker after the last closing one is a thought that never ended: there is no answer.
    """
    closed = opened = None
    for found in _MARKERS.finditer(text):
        if (found.lastgroup or "").startswith("close"):
            closed, opened = found, None
        else:
            opened = opened or found
    if opened is not None:
        return Reply(_bare(text[: opened.start()] + text[opened.end() :]), "", False)
    if closed is not None:
        return Reply(_bare(text[: closed.start()]), _ENDS.sub("", text[closed.end() :]).lstrip())
    if _STRIPPED.match(text):  # Harmony channels whose markers were taken out with the special tokens
        thought, final, answer = text.removeprefix("analysis").rpartition(_STRIPPED_FINAL)
        return Reply(thought, answer.lstrip()) if final else Reply(answer, "", False)
    return Reply("", text)


def marks(text: str) -> list[str]:
    """What its markers do, in order: ``open`` or ``close`` a thought."""
    return [(found.lastgroup or "").rstrip("0123456789") for found in _MARKERS.finditer(text)]


def first_mark(text: str) -> tuple[str, int, int]:
    """What the first marker in ``text`` does, ``open`` or ``close`` or nothing, and where it begins and ends."""
    found = _MARKERS.search(text)
    return ((found.lastgroup or "").rstrip("0123456789"), *found.span()) if found else ("", 0, 0)


def first_opener(text: str) -> str:
    """The marker with which the first thought in ``text`` begins; empty: none does."""
    kind, start, end = first_mark(text)
    return text[start:end] if kind == "open" else ""


def opened_by(text: str) -> str:
    """The marker that opens a thought in which ``text`` ends, with the white space after it; empty: it ends in none."""
    if marks(text)[-1:] != ["open"]:
        return ""
    *_, last = _MARKERS.finditer(text)
    after = text[last.end() :]
    return last.group() + after[: len(after) - len(after.lstrip())]


def closer_of(opener: str) -> str:
    """The marker that ends the thought that ``opener`` begins."""
    return next(closer for begin, closer in THOUGHTS if begin.lower() == opener.strip().lower())


def _bare(thought: str) -> str:
    """A thought without its markers; Harmony's frame is taken off where the thought stands in a channel."""
    bare = _MARKERS.sub("", thought)
    return (_FRAME.sub("", bare) if CHANNEL in thought else bare).strip()


R = TypeVar("R")


def of_answer(unread: Callable[[None, str], R]) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Decorator of a reader of replies: it is given the answer alone, and a thought that never ended is ``truncated``.

    :param unread: the kind of reading it returns, made of nothing and a reason
    """

    def decorate(read: Callable[..., R]) -> Callable[..., R]:
        """The reader, to be called with whole replies."""

        @wraps(read)
        def read_answer(self: Any, text: str, *args: Any, **named: Any) -> R:
            reply = split_thought(text)
            if not reply.closed:
                return unread(None, "truncated")
            if reply.thought and not reply.answer.strip():
                cut = named.get("truncated", args[0] if args else False)
                return unread(None, "truncated" if cut is True else "no answer after its thought")
            return read(self, reply.answer, *args, **named)

        return read_answer

    return decorate
