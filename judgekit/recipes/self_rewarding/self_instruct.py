"""Asking a model for a new instruction after the pattern of given ones (Self-Instruct, arXiv 2212.10560)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from judgekit.rows import Message

ASK = (
    "Here are {count} requests that different people sent to an AI assistant. Think of one more request that somebody "
    "else could send: a task of another kind or topic that a language model can do without pictures, files or the "
    "internet. Reply with the request alone, do not answer it.\n\n{examples}\n\nRequest {next}:"
)

_LABEL = re.compile(r"\A\W*(?:new\s+)?(?:request|task|instruction|prompt)\W*(?:\d+\W*)?:[\s*_]*", re.IGNORECASE)
_NEXT = re.compile(r"^[^\w\n]*(?:request|task|instruction|prompt)\W*\d+\W*:", re.IGNORECASE | re.MULTILINE)


def new_prompt(examples: Sequence[str]) -> tuple[Message, ...]:
    """Ask for a request unlike the examples."""
    listed = "\n\n".join(f"Request {number}: {text}" for number, text in enumerate(examples, start=1))
    # Examples may hold braces, so they go in last and in one piece.
    head = ASK.replace("{count}", str(len(examples))).replace("{next}", str(len(examples) + 1))
    return ({"role": "user", "content": listed.join(head.split("{examples}"))},)


def read_new_prompt(text: str) -> str:
    """The request of a reply without a label before it; of several only the first. Empty where there is none."""
    found = _LABEL.sub("", text.strip(), count=1)
    further = _NEXT.search(found)
    found = (found[: further.start()] if further else found).strip()
    return found[1:-1].strip() if len(found) > 1 and found[0] == found[-1] == '"' else found
