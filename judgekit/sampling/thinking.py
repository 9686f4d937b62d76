"""How much of a reply is thought: counted apart, because users pay for it and do not read it."""

from __future__ import annotations

from bisect import bisect_left

from judgekit.prompts.chat import decode_reply
from judgekit.prompts.templates import ChatTokenizer
from judgekit.prompts.thoughts import split_thought
from judgekit.sampling.base import Generation


def thought_tokens(reply: Generation, begun: str, tokenizer: ChatTokenizer | None) -> int:
    """Tokens of a reply up to the end of its thought, the closing marker and the white space after it included.

    A server that counts them is believed. Where it does not, they are the same share of its tokens as of characters.

    :param begun: the marker of the thought that the prompt opened; empty: it opened none
    :param tokenizer: that the reply was sampled with; None: a server's
    """
    said = split_thought(begun + reply.text)
    if not said.thought:
        return 0
    if not said.closed:
        return reply.tokens
    if reply.served is not None and (told := reply.served.get("thought_tokens")) is not None:
        return int(told)
    end = len(reply.text.rstrip()) - len(said.answer.rstrip())
    if tokenizer is None or not reply.token_ids:
        return round(reply.tokens * end / max(1, len(reply.text)))
    ids = reply.token_ids
    return bisect_left(range(len(ids)), end, key=lambda count: len(decode_reply(tokenizer, ids[:count])))
