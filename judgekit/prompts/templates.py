"""Chat templates: where they put the contents of messages, whatever roles and forms of content they take.

Many templates refuse a system message, drop it silently, want user and assistant in turn, or read only contents that
are lists of parts. Then messages are put together (a system message into the user's turn) and that is said once.
"""

from __future__ import annotations

import functools
import itertools
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from judgekit.errors import ModelError

log = logging.getLogger(__name__)

ROLES = ("system", "user", "assistant")
ARGUMENTS = "judgekit_template_arguments"
"""Attribute of a tokenizer that holds further arguments of its template."""
_SLOT = re.compile(r"jkslot(\d+)qzx")
_PRINTED_PART = re.compile(r"""['"]text['"]\s*:""")
# Templates print today's date unless given one; a prompt must not change overnight.
_TEMPLATE_DATE = datetime(2024, 7, 26)


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

    def decode(self, token_ids: Any, **options: Any) -> Any:
        """Text of token ids."""

    def __hash__(self) -> int:
        """By identity."""


Turn = tuple[str, tuple[int, ...]]
"""Role, and the messages (by index) that stand in it."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a template writes around contents.

    :param parts: text of the template, and places of turns (index), in order
    :param turns: the messages of each turn, by index
    """

    parts: tuple[str | int, ...]
    turns: tuple[tuple[int, ...], ...]


def render(tokenizer: ChatTokenizer, roles: Sequence[str], generation_prompt: bool) -> Rendered:
    """What the template writes for messages of these roles; their contents have no part in it.

    :raises ValueError: an unknown role
    :raises ModelError: no template, or one that takes the messages in no form
    """
    unknown = sorted(set(roles) - set(ROLES))
    if unknown:
        raise ValueError(f"unknown role {unknown[0]!r}")
    if not tokenizer.chat_template:
        raise ModelError("The model's tokenizer has no chat template. Use an instruction-tuned model.")
    return _render(tokenizer, str(tokenizer.chat_template), tuple(roles), generation_prompt)


@functools.lru_cache(maxsize=256)
def _render(tokenizer: ChatTokenizer, template: str, roles: tuple[str, ...], generation_prompt: bool) -> Rendered:
    first: Exception | None = None
    layouts = _layouts(roles)
    for as_parts, (changed, turns) in itertools.product((False, True), layouts.items()):
        try:
            parts = _written(tokenizer, turns, generation_prompt, as_parts)
        except ModelError as error:
            first = first or error
            continue
        if changed:
            _say(tokenizer, template, changed)
        return Rendered(parts, tuple(messages for _, messages in turns))
    assert first is not None
    raise first


def _layouts(roles: tuple[str, ...]) -> dict[str, tuple[Turn, ...]]:
    """Ways to give messages to a template by what is said of them, the plainest first."""
    folded = ["user" if role == "system" else role for role in roles]
    ways = {
        "": tuple((role, (index,)) for index, role in enumerate(roles)),
        "messages of one role that follow each other are put together": _joined(roles),
        "the system message is put before the user's, into one turn": _joined(folded),
    }
    return {said: turns for place, (said, turns) in enumerate(ways.items()) if turns not in [*ways.values()][:place]}


def _joined(roles: Iterable[str]) -> tuple[Turn, ...]:
    groups = itertools.groupby(enumerate(roles), key=lambda item: item[1])
    return tuple((role, tuple(index for index, _ in group)) for role, group in groups)


@functools.lru_cache(maxsize=64)
def _say(tokenizer: ChatTokenizer, template: str, changed: str) -> None:
    """Tell once what a template made necessary."""
    del template  # another one may need the same
    log.warning(
        "The chat template of %s does not take these roles as they are: %s.",
        getattr(tokenizer, "name_or_path", "") or "the model", changed,
    )  # fmt: skip


def _written(
    tokenizer: ChatTokenizer, turns: Sequence[Turn], generation_prompt: bool, as_parts: bool
) -> tuple[str | int, ...]:
    """:raises ModelError: the template does not write every turn once, in their order"""
    from jinja2 import TemplateError

    slots = [
        {"role": role, "content": [{"type": "text", "text": slot}] if as_parts else slot}
        for role, slot in ((role, f"jkslot{index}qzx") for index, (role, _) in enumerate(turns))
    ]
    options = {"date_string": _TEMPLATE_DATE.strftime("%d %b %Y"), "strftime_now": _TEMPLATE_DATE.strftime}
    try:
        text = tokenizer.apply_chat_template(
            slots, tokenize=False, add_generation_prompt=generation_prompt, **options | arguments_of(tokenizer)
        )
    except (TemplateError, TypeError, ValueError, LookupError, AttributeError) as error:
        roles = ", ".join(role for role, _ in turns)
        raise ModelError(f"The model's chat template refuses these roles ({roles}): {error}") from error
    parts = tuple(int(piece) if place % 2 else piece for place, piece in enumerate(_SLOT.split(text)))
    places = [part for part in parts if isinstance(part, int)]
    printed = as_parts and any(isinstance(part, str) and _PRINTED_PART.search(part) for part in parts)
    if places != list(range(len(turns))) or printed:
        raise ModelError("The model's chat template drops, repeats or reorders messages.")
    return tuple(part for part in parts if part != "")


def arguments_of(tokenizer: ChatTokenizer) -> dict[str, Any]:
    """Further arguments its template is rendered with."""
    found: dict[str, Any] = getattr(tokenizer, ARGUMENTS, {})
    return found


def set_arguments(tokenizer: Any, arguments: Mapping[str, Any]) -> None:
    """Render a tokenizer's template with these from now on.

    :raises ModelError: the template knows no such variable
    """
    from jinja2 import meta
    from transformers.utils.chat_template_utils import _compile_jinja_template

    template = str(tokenizer.get_chat_template()) if tokenizer.chat_template else ""
    environment = _compile_jinja_template(template).environment
    known = meta.find_undeclared_variables(environment.parse(template)) - _GIVEN
    if unknown := sorted(set(arguments) - known):
        listed = f"Its variables are {', '.join(sorted(known))}" if known else "It has no variables"
        raise ModelError(f"model.template.{unknown[0]}: the model's chat template does not read it. {listed}.")
    setattr(tokenizer, ARGUMENTS, dict(arguments))


_GIVEN = {
    "messages", "add_generation_prompt", "bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token",
    "mask_token", "additional_special_tokens", "raise_exception", "strftime_now",
}  # fmt: skip
"""Variables of templates that are not the user's to give."""
