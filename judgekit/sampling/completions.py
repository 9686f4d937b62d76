"""Answers of a server: which are finished replies, which are none, and the thought that stands beside a reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from judgekit.sampling.base import Finish, Request
from judgekit.sampling.server import Unfinished

ENDED = ("stop", "eos", "eos_token", "stop_sequence", "end_turn")
"""Finish reasons that say that a reply is done, as servers spell them."""
CUT = ("length", "max_tokens", "model_length")
FILTERED = ("content_filter", "content_policy_violation", "safety")
EMPTY = "the server's model gave an empty reply"


@dataclass(frozen=True, slots=True)
class Completion:
    """A finished answer.

    :param text: the reply; a thought that the server gives apart stands before it as ``<think>...</think>``
    :param finish: None: a content filter ended it
    :param declined: what the model says in place of a reply
    """

    text: str
    finish: Finish | None
    prompt: int
    generated: int
    declined: str = ""


def usage_of(answer: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens of prompt and reply as a server counts them."""
    counts = answer.get("usage")
    counts = counts if isinstance(counts, dict) else {}
    return int(counts.get("prompt_tokens") or 0), int(counts.get("completion_tokens") or 0)


def thought_tokens_of(answer: Mapping[str, Any]) -> int | None:
    """Tokens of the thought in a reply as a server counts them; None where it does not."""
    counts = answer.get("usage")
    details = counts.get("completion_tokens_details") if isinstance(counts, dict) else None
    told = details.get("reasoning_tokens") if isinstance(details, dict) else None
    return told if isinstance(told, int) and told >= 0 else None


def choice_of(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first choice.

    :raises Unfinished: there is none
    :raises ValueError: it is no chat completion
    """
    choices = answer.get("choices")
    if choices == [] or choices is None and "choices" in answer:
        raise Unfinished("the server's answer holds no reply")
    if not isinstance(choices, list) or not isinstance(choices[0], dict):
        raise ValueError("no choices")
    return choices[0]


def read_completion(answer: Mapping[str, Any], request: Request, quote: Callable[[object], str]) -> Completion:
    """A finished answer. Only a finish reason that says so makes it one.

    :param quote: puts a server's words into one line
    :raises Unfinished: it is none
    :raises ValueError: it is no chat completion
    """
    choice = choice_of(answer)
    message = choice.get("message") or {}
    if not isinstance(message, dict):
        raise ValueError("no message")
    prompt, generated = usage_of(answer)
    reason = str(choice.get("finish_reason") or "null").lower()
    if reason in FILTERED:
        return Completion("", None, prompt, generated)
    content, thought = _texts(message.get("content"))
    if declined := message.get("refusal") if not content else None:
        return Completion("", "eos", prompt, generated, quote(declined))
    if choice.get("error"):
        raise Unfinished("the server broke a reply off", quote(_words(choice["error"])))
    if reason not in ENDED + CUT:
        if message.get("tool_calls") or message.get("function_call"):
            raise Unfinished("the server's model called a tool instead of a reply", quote(reason), lasting=True)
        raise Unfinished("the server did not finish a reply", f"finish_reason {quote(reason)}")
    finish: Finish = "length" if reason in CUT else "eos"
    # vLLM tells what ended a reply, others do not.
    if finish == "eos" and request.params.stop and isinstance(choice.get("stop_reason", ""), str):
        finish = "stop"
    thought = next((one for name in ("reasoning_content", "reasoning") if (one := _said(message.get(name)))), thought)
    text = _joined(thought, content, finish)
    if not text.strip() and finish == "eos" and not request.prefill:
        tools = message.get("tool_calls") or message.get("function_call")
        told = "the server's model called a tool instead of a reply" if tools else EMPTY
        raise Unfinished(told, lasting=True)
    return Completion(text, finish, prompt, generated)


def _joined(thought: str, content: str, finish: Finish) -> str:
    """Thought and answer in one text. A reply that was ended in its thought never closes it."""
    if not thought.strip() or thought.strip() in content:
        return content
    if content.strip():
        return f"<think>{thought}</think>\n\n{content}"
    return f"<think>{thought}</think>" if finish == "eos" else f"<think>{thought}"


def _texts(content: Any) -> tuple[str, str]:
    """Text and thought of a content, which may be a list of parts.

    :raises Unfinished: a part that is no text
    """
    if content is None or isinstance(content, str):
        return content or "", ""
    text, thought = [], []
    for part in content if isinstance(content, list) else [content]:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("text", "output_text") and isinstance(part.get("text"), str):
            text.append(part["text"])
        elif kind in ("thinking", "reasoning"):
            inner = part.get("thinking", part.get("text"))
            thought.append(inner if isinstance(inner, str) else _texts(inner)[0])
        else:
            raise Unfinished("the server's reply holds something else than text", lasting=True)
    return "".join(text), "".join(thought)


def _said(value: Any) -> str:
    return value if isinstance(value, str) and value.strip() else ""


def _words(error: Any) -> Any:
    return error.get("message") or error if isinstance(error, dict) else error
