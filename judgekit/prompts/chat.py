"""Chat messages to token ids: the one function that sampling and training share.

Message text is data. The chat template is rendered with a placeholder for every content; only what the template
itself wrote is parsed for special tokens, the contents are encoded as plain text. So a response that holds
``<|im_start|>`` ends up as characters, never as a turn boundary, and no BOS is doubled.

Models without a chat template, such as released judges, read plain text: a prompt of one message whose role is
``text`` is encoded in one piece, white space included, behind the BOS that the tokenizer itself puts before a text.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any, Protocol

from judgekit.errors import ModelError
from judgekit.rows import Message

ROLES = ("system", "user", "assistant")
PLAIN = "text"
"""Role of the one message of a prompt in plain text."""
_SLOT = re.compile(r"jkslot(\d+)qzx")
# Llama 3.2 templates print today's date unless given one; a prompt must not change overnight.
_TEMPLATE_DATE = "26 Jul 2024"


class ChatTokenizer(Protocol):
    """What is used of a ``transformers`` tokenizer."""

    @property
    def chat_template(self) -> Any:
        """Jinja text, None without one."""

    @property
    def added_tokens_decoder(self) -> Any:
        """Special and other added tokens by id."""

    @property
    def eos_token_id(self) -> Any:
        """The token that ends a text, None without one."""

    def apply_chat_template(self, conversation: Any, **options: Any) -> Any:
        """Render messages."""

    def encode(self, text: Any, **options: Any) -> Any:
        """Token ids of a text."""

    def __hash__(self) -> int:
        """By identity."""


def encode_prompt(tokenizer: ChatTokenizer, messages: Sequence[Message], prefill: str = "") -> list[int]:
    """Token ids of a chat up to where the assistant's reply begins.

    Outer white space of every content is removed first. ``prefill`` is text that starts the assistant's turn; it is
    encoded as it would be in front of a word, so that cutting a reply at a line end and going on from there gives the
    same ids as the whole reply.

    :raises ValueError: a role or text that cannot be encoded; the message is the reason to count the row under
    :raises ModelError: the tokenizer's chat template cannot be used
    """
    if is_plain(messages):
        return _start(tokenizer) + _literal(tokenizer, check_text(messages[0]["content"] + prefill))
    contents = [check_text(message["content"]).strip() for message in messages]
    roles = [message["role"] for message in messages]
    ids: list[int] = []
    for part in _render(tokenizer, roles, generation_prompt=True):
        if isinstance(part, int):
            ids += _literal(tokenizer, contents[part])
        else:
            ids += _template_ids(tokenizer, part)
    return ids + _before_word(tokenizer, check_text(prefill))


def is_plain(messages: Sequence[Message]) -> bool:
    """Whether a prompt is plain text instead of a chat."""
    return len(messages) == 1 and messages[0]["role"] == PLAIN


def encode_reply(tokenizer: ChatTokenizer, text: str, end: bool = True, prompt: Sequence[Message] = ()) -> list[int]:
    """Token ids of an assistant's reply, to follow those of ``encode_prompt``.

    :param end: append the token that ends an assistant's turn
    :param prompt: what it follows; after plain text it is encoded as the text's continuation
    :raises ValueError: text that cannot be encoded
    """
    ids = _literal(tokenizer, check_text(text))
    if is_plain(prompt):
        before = prompt[0]["content"][-1:]
        head, joined = _literal(tokenizer, before), _literal(tokenizer, before + text)
        ids = joined[len(head) :] if joined[: len(head)] == head else ids
    return [*ids, end_of_turn(tokenizer)] if end else ids


def check_text(text: str) -> str:
    """The text itself.

    :raises ValueError: half of a surrogate pair, which no UTF-8 and so no token stands for
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("text holds a lone surrogate") from error
    return text


def end_of_turn(tokenizer: ChatTokenizer) -> int:
    """The special token that the chat template puts right after an assistant's message; without one, the end of text.

    :raises ModelError: the template puts none there, or there is neither
    """
    if not tokenizer.chat_template:
        if tokenizer.eos_token_id is None:
            raise ModelError("The model's tokenizer has neither a chat template nor a token that ends a text.")
        return int(tokenizer.eos_token_id)
    return _end_of_turn(tokenizer, str(tokenizer.chat_template))


@functools.lru_cache(maxsize=8)
def _end_of_turn(tokenizer: ChatTokenizer, template: str) -> int:
    del template  # part of the cache key: a tokenizer's template can be replaced
    parts = _render(tokenizer, ["user", "assistant"], generation_prompt=False)
    tail = parts[-1]
    ids = _template_ids(tokenizer, tail) if isinstance(tail, str) else []
    if not ids or ids[0] not in _special_tokens(tokenizer):
        raise ModelError(
            "The chat template puts no special token after an assistant's message, so replies have no end."
        )
    return ids[0]


@functools.lru_cache(maxsize=8)
def _special_tokens(tokenizer: ChatTokenizer) -> frozenset[int]:
    """Ids of all special tokens, once it is sure that their text can be encoded without yielding them.

    :raises ModelError: the tokenizer parses special tokens in plain text whatever it is asked
    """
    special = {index: str(token.content) for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    for index, text in special.items():
        if _encode(tokenizer, text, literal=True) == [index] and _encode(tokenizer, f"a{text}a", literal=True) == (
            _encode(tokenizer, f"a{text}a", literal=False)
        ):
            raise ModelError(f"The tokenizer cannot encode {text!r} as plain text. Use its fast (tokenizers) version.")
    return frozenset(special)


def _render(tokenizer: ChatTokenizer, roles: Sequence[str], generation_prompt: bool) -> list[str | int]:
    """Pieces the template writes (text) and places of contents (index of the message), in order."""
    unknown = sorted(set(roles) - set(ROLES))
    if unknown:
        raise ValueError(f"unknown role {unknown[0]!r}")
    if not tokenizer.chat_template:
        raise ModelError("The model's tokenizer has no chat template. Use an instruction-tuned model.")
    slots = [{"role": role, "content": f"jkslot{index}qzx"} for index, role in enumerate(roles)]
    try:
        text = tokenizer.apply_chat_template(
            slots, tokenize=False, add_generation_prompt=generation_prompt, date_string=_TEMPLATE_DATE
        )
    except Exception as error:
        from jinja2 import TemplateError

        if not isinstance(error, TemplateError):
            raise
        raise ModelError(f"The model's chat template refuses these roles ({', '.join(roles)}): {error}") from error
    pieces = _SLOT.split(text)
    parts: list[str | int] = [int(piece) if place % 2 else piece for place, piece in enumerate(pieces)]
    if [part for part in parts if isinstance(part, int)] != list(range(len(roles))):
        raise ModelError("The model's chat template drops, repeats or reorders messages.")
    return [part for part in parts if part != ""]


def _start(tokenizer: ChatTokenizer) -> list[int]:
    """What the tokenizer puts before a text: a BOS or nothing."""
    bare, whole = _encode(tokenizer, "a", literal=False), list(tokenizer.encode("a", verbose=False))
    place = next((at for at in range(len(whole)) if whole[at : at + len(bare)] == bare), 0)
    return whole[:place]


def _before_word(tokenizer: ChatTokenizer, text: str) -> list[int]:
    """Ids of a text as they are in front of a word: white space at an end may be tokenised otherwise."""
    if not text.endswith("\n"):
        return _literal(tokenizer, text)
    word = _literal(tokenizer, "A")
    ids = _literal(tokenizer, text + "A")
    return ids[: -len(word)] if ids[-len(word) :] == word else _literal(tokenizer, text)


def _literal(tokenizer: ChatTokenizer, text: str) -> list[int]:
    _special_tokens(tokenizer)
    return _encode(tokenizer, text, literal=True) if text else []


def _template_ids(tokenizer: ChatTokenizer, text: str) -> list[int]:
    return _encode(tokenizer, text, literal=False)


def _encode(tokenizer: ChatTokenizer, text: str, literal: bool) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False, split_special_tokens=literal, verbose=False))
