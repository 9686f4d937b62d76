"""Chat messages to token ids: the one function that sampling and training share.

Message text is data. The chat template is rendered with a placeholder for every content; only what the template
itself wrote is parsed for special tokens, the contents are encoded as plain text. So a response that holds
``<|im_start|>`` or ``</think>`` ends up as characters, never as a turn boundary, and no BOS is doubled. In what the
model itself says, in its replies and what begins them, the markers of thoughts are the tokens they are.

Models without a chat template, such as released judges, read plain text: a prompt of one message whose role is
``text`` is encoded in one piece, white space included, behind the BOS that the tokenizer itself puts before a text.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from typing import Any

from judgekit.errors import ModelError
from judgekit.prompts.templates import ChatTokenizer, render
from judgekit.prompts.thoughts import CHANNEL, HARMONY, MARKER_TOKENS, closer_of, marks, opened_by
from judgekit.rows import Message

PLAIN = "text"
"""Role of the one message of a prompt in plain text."""


def encode_prompt(
    tokenizer: ChatTokenizer, messages: Sequence[Message], prefill: str = "", *, answers: bool = False
) -> list[int]:
    """Token ids of a chat up to where the assistant's reply begins.

    Outer white space of every content is removed first. ``prefill`` is text that starts the assistant's turn; it is
    encoded as it would be in front of a word, so that cutting a reply at a line end and going on from there gives the
    same ids as the whole reply. Where the template opens a thought, ``prefill`` is taken as ``as_begun`` says.

    :param answers: what follows is the answer, no thought, even if ``prefill`` is empty
    :raises ValueError: a role or text that cannot be encoded; the message is the reason to count the row under
    :raises ModelError: the tokenizer's chat template cannot be used
    """
    if is_plain(messages):
        return _start(tokenizer) + _outside(tokenizer, check_text(messages[0]["content"] + prefill))
    contents = [check_text(message["content"]).strip() for message in messages]
    rendered = render(tokenizer, [message["role"] for message in messages], generation_prompt=True)
    ids: list[int] = []
    for part in rendered.parts:
        if isinstance(part, int):
            texts = (contents[index] for index in rendered.turns[part])
            ids += _outside(tokenizer, "\n\n".join(text for text in texts if text))
        else:
            ids += _template_ids(tokenizer, part)
    return ids + _before_word(tokenizer, as_begun(tokenizer, check_text(prefill)) if prefill or answers else "")


def is_plain(messages: Sequence[Message]) -> bool:
    """Whether a prompt is plain text instead of a chat."""
    return len(messages) == 1 and messages[0]["role"] == PLAIN


def encode_reply(tokenizer: ChatTokenizer, text: str, end: bool = True, prompt: Sequence[Message] = ()) -> list[int]:
    """Token ids of an assistant's reply, to follow those of ``encode_prompt``.

    :param end: append the token that ends an assistant's turn
    :param prompt: what it follows at once; after plain text it is encoded as the text's continuation, after a chat as
        ``as_begun`` says. Empty: it goes on somewhere in a reply
    :raises ValueError: text that cannot be encoded
    """
    check_text(text)
    ids = _said(tokenizer, as_begun(tokenizer, text) if prompt and not is_plain(prompt) else text)
    if is_plain(prompt):
        before = prompt[0]["content"][-1:]
        head, joined = _said(tokenizer, before), _said(tokenizer, before + text)
        ids = joined[len(head) :] if joined[: len(head)] == head else ids
    return [*ids, end_of_turn(tokenizer)] if end else ids


def as_begun(tokenizer: ChatTokenizer, text: str) -> str:
    """A reply as it follows the prompt of a template that opens a thought, or answers in a channel.

    What begins with the opening marker is not opened twice. What has no thought gets it closed first, as the template
    itself writes such a reply, so that no answer stands inside a thought.
    """
    if not tokenizer.chat_template:
        return text
    _, opener, closing = _frame(tokenizer, str(tokenizer.chat_template))
    marker = opener.rstrip()
    if marker and text.lstrip().lower().startswith(marker.lower()):
        return text.lstrip()[len(marker) :].removeprefix(opener[len(marker) :])
    return text if not closing or "close" in marks(text) or text.startswith(CHANNEL) else closing + text


def opened(tokenizer: ChatTokenizer, messages: Sequence[Message], prefill: str = "") -> str:
    """The opening marker of a thought inside which the reply to a prompt begins; empty: it begins in none."""
    if is_plain(messages) or not tokenizer.chat_template:
        return opened_by(prefill)
    asked, *_ = _frame(tokenizer, str(tokenizer.chat_template))
    return opened_by(asked + (as_begun(tokenizer, prefill) if prefill else ""))


@functools.lru_cache(maxsize=8)
def _frame(tokenizer: ChatTokenizer, template: str) -> tuple[str, str, str]:
    """What a template writes before a reply, the marker of a thought it opens there, and what then ends the thought."""
    del template  # part of the cache key: a tokenizer's template can be replaced
    asked = _after_user(tokenizer, ["user"], generation_prompt=True)
    opener = opened_by(asked)
    try:
        answered = _after_user(tokenizer, ["user", "assistant"], generation_prompt=False)
    except ModelError:
        answered = ""
    # How the template itself writes a reply without a thought, where it says so.
    closing = answered[len(asked) :] if answered.startswith(asked) else ""
    if marks(closing) != ["close"]:
        closing = f"\n{closer_of(opener)}\n\n" if opener else ""
    return asked, opener, closing


def _after_user(tokenizer: ChatTokenizer, roles: Sequence[str], generation_prompt: bool) -> str:
    """What a template writes behind a user's message."""
    parts = render(tokenizer, roles, generation_prompt).parts
    following = parts[parts.index(0) + 1 :]
    return following[0] if following and isinstance(following[0], str) else ""


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
    tail = render(tokenizer, ["user", "assistant"], generation_prompt=False).parts[-1]
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


def _start(tokenizer: ChatTokenizer) -> list[int]:
    """What the tokenizer puts before a text: a BOS or nothing."""
    bare, whole = _encode(tokenizer, "a", literal=False), list(tokenizer.encode("a", verbose=False))
    place = next((at for at in range(len(whole)) if whole[at : at + len(bare)] == bare), 0)
    return whole[:place]


def _before_word(tokenizer: ChatTokenizer, text: str) -> list[int]:
    """Ids of a text as they are in front of a word: white space at an end may be tokenised otherwise."""
    if not text.endswith("\n"):
        return _said(tokenizer, text)
    word = _literal(tokenizer, "A")
    ids = _said(tokenizer, text + "A")
    return ids[: -len(word)] if ids[-len(word) :] == word else _said(tokenizer, text)


def decode_reply(tokenizer: ChatTokenizer, ids: Sequence[int]) -> str:
    """Text of a reply's token ids: without special tokens, save those that mark a thought."""
    _, kept, dropped = _tokens(tokenizer)
    said = [index for index in ids if index not in dropped] if kept else list(ids)
    text: str = tokenizer.decode(said, skip_special_tokens=not kept, clean_up_tokenization_spaces=False)
    return text


def marker_tokens(tokenizer: ChatTokenizer) -> dict[str, int]:
    """Special tokens that mark thoughts, by their text; empty where markers are ordinary tokens."""
    return _tokens(tokenizer)[1]


@functools.lru_cache(maxsize=8)
def _tokens(tokenizer: ChatTokenizer) -> tuple[frozenset[int], dict[str, int], frozenset[int]]:
    """Markup that was added to the vocabulary without being special, special tokens that mark thoughts, and the others.

    Words and white space that were added are text like any other.
    """
    added = {
        index: (str(token.content), bool(token.special)) for index, token in tokenizer.added_tokens_decoder.items()
    }
    markup = {
        index for index, (text, special) in added.items()
        if not special and not text.isspace() and not text.strip().isalnum()
    }  # fmt: skip
    special = {text: index for index, (text, special) in added.items() if special}
    markers = MARKER_TOKENS | (HARMONY if HARMONY <= special.keys() else frozenset())
    kept = {text: index for text, index in special.items() if text in markers}
    return frozenset(markup), kept, frozenset(special.values()) - frozenset(kept.values())


def _said(tokenizer: ChatTokenizer, text: str) -> list[int]:
    """Ids of what the model itself says: markers of thoughts are the tokens they are, other special tokens are text."""
    markers = marker_tokens(tokenizer)
    if not markers or not any(marker in text for marker in markers):
        return _literal(tokenizer, text)
    ids: list[int] = []
    for piece in re.split(f"({'|'.join(map(re.escape, markers))})", text):
        ids += [markers[piece]] if piece in markers else _literal(tokenizer, piece)
    return ids


def _outside(tokenizer: ChatTokenizer, text: str) -> list[int]:
    """Ids of text from outside: no token in it is more than its characters."""
    ids = _literal(tokenizer, text)
    markup, *_ = _tokens(tokenizer)
    if markup.isdisjoint(ids):
        return ids
    plain = _plain_backend(tokenizer)
    return list(plain.encode(text, add_special_tokens=False).ids) if plain is not None else ids


@functools.lru_cache(maxsize=4)
def _plain_backend(tokenizer: ChatTokenizer) -> Any:
    """A copy of the tokenizer to which added markup is text; None where it has no ``tokenizers`` back end."""
    from tokenizers import Tokenizer

    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    held = json.loads(backend.to_str())
    markup, *_ = _tokens(tokenizer)
    for token in held["added_tokens"]:
        token["special"] = token["special"] or token["id"] in markup
    plain = Tokenizer.from_str(json.dumps(held))
    plain.no_truncation()
    plain.no_padding()
    plain.encode_special_tokens = True
    return plain


def _literal(tokenizer: ChatTokenizer, text: str) -> list[int]:
    _special_tokens(tokenizer)
    return _encode(tokenizer, text, literal=True) if text else []


def _template_ids(tokenizer: ChatTokenizer, text: str) -> list[int]:
    return _encode(tokenizer, text, literal=False)


def _encode(tokenizer: ChatTokenizer, text: str, literal: bool) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False, split_special_tokens=literal, verbose=False))
