"""Thoughts with a budget of their own (``sampler.thinking_tokens``): first the thought, then the answer behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from judgekit.prompts.chat import decode_reply
from judgekit.prompts.thoughts import CHANNEL, THOUGHTS, closer_of, first_opener, split_thought
from judgekit.sampling.base import Generation
from judgekit.sampling.text import Replies, TextRequest, TextSampler
from judgekit.store import Workspace

CLOSERS = tuple(closer for _, closer in THOUGHTS)
CLOSED = "thought closed at sampler.thinking_tokens"
"""What such thoughts are counted under."""


@dataclass(frozen=True, slots=True)
class ThinkingSampler(TextSampler):
    """A model whose replies may think for so many tokens before they take those that were asked for.

    Replies are sampled up to the end of their thought, where nothing but that ends them: a verdict named in a thought
    is none. A thought that reaches its budget is closed there, as the model itself would. What comes after is sampled
    behind it, as a continuation. Replies that do not think take the tokens that were asked for, and no more.

    :param budget: longest thought, tokens
    """

    budget: int = 0

    def ask(self, requests: Sequence[TextRequest], workspace: Workspace | None, title: str = "sampling") -> Replies:
        """Sample all requests; see ``TextSampler.ask``. Choices are made at once."""
        if not requests or any(request.params.choices for request in requests):
            return TextSampler.ask(self, requests, workspace, title)
        answer = max(request.params.max_new_tokens for request in requests)
        thinking = replace(self, max_length=self.max_length - answer)  # both have to fit
        limits = {"max_new_tokens": self.budget, "stop": CLOSERS}
        first = [replace(request, params=replace(request.params, **limits)) for request in requests]  # type: ignore[arg-type]
        thought = TextSampler.ask(thinking, first, workspace, title)
        asked = {request.id: request for request in requests}
        done: dict[tuple[str, int], Generation] = {}
        begun: dict[tuple[str, int], Generation] = {}
        for name, reply in thought.generations.items():
            found, whole = self._thought(reply, asked[name[0]])
            (done if whole else begun)[name] = found
        closed = sum(found.finish == "length" and bool(first_opener(found.text)) for found in begun.values())
        if workspace is not None and closed:
            workspace.count(**{CLOSED: closed})
        follow_ups = [_answer(asked[name], sample, found) for (name, sample), found in begun.items()]
        answered = TextSampler.ask(self, follow_ups, workspace, f"{title}: answers")
        return _joined(thought, done, begun, answered)

    def _thought(self, reply: Generation, request: TextRequest) -> tuple[Generation, bool]:
        """What stands before the answer, and whether it is the whole reply."""
        opener = first_opener(reply.text)
        if reply.finish == "stop":
            end = closer_of(opener) if opener else self._closer(reply)
            return replace(reply, text=reply.text + end), False
        if not opener:  # it does not think
            return self._plain(reply, request)
        if reply.finish == "eos" or split_thought(reply.text).closed:
            return reply, reply.finish == "eos"
        end = closer_of(opener)
        frame = "<|end|><|start|>assistant" if opener.startswith(CHANNEL) else "\n"
        return replace(reply, text=f"{reply.text.rstrip()}{frame}{end}\n\n"), False

    def _closer(self, reply: Generation) -> str:
        """The marker at which a reply stopped that had opened no thought."""
        assert self.tokenizer is not None
        after = decode_reply(self.tokenizer, reply.token_ids)[len(reply.text) :]
        return next((closer for closer in CLOSERS if after.startswith(closer)), CLOSERS[0])

    def _plain(self, reply: Generation, request: TextRequest) -> tuple[Generation, bool]:
        """A reply without a thought, with the stops and the length that were asked for."""
        assert self.tokenizer is not None
        wanted, text = request.params, reply.text
        places = [place for stop in wanted.stop if (place := text.find(stop)) >= 0]
        if places:
            return replace(reply, text=text[: min(places)], finish="stop"), True
        longer = reply.tokens - wanted.max_new_tokens
        if longer > 0 or longer == 0 and reply.finish == "length":
            ids = reply.token_ids[: wanted.max_new_tokens]
            return replace(reply, text=decode_reply(self.tokenizer, ids), token_ids=ids, finish="length"), True
        return reply, reply.finish != "length"


def _answer(request: TextRequest, sample: int, begun: Generation) -> TextRequest:
    """The request that goes on behind a thought, or where a reply without one was cut."""
    left = request.params.max_new_tokens - (0 if first_opener(begun.text) else begun.tokens)
    params = replace(request.params, max_new_tokens=left)
    return replace(
        request, id=f"{request.id}#{sample}", samples=(sample,), params=params, prefill=request.prefill + begun.text
    )


def _joined(
    thought: Replies,
    done: Mapping[tuple[str, int], Generation],
    begun: Mapping[tuple[str, int], Generation],
    answered: Replies,
) -> Replies:
    """Thoughts and answers as one reply each; where one sample's answer is refused the request is."""
    refused, made = dict(thought.refused), dict(done)
    for (name, sample), before in begun.items():
        follow_up = f"{name}#{sample}"
        if follow_up in answered.refused:
            refused[name] = answered.refused[follow_up]
            continue
        after = answered.generations[follow_up, sample]
        made[name, sample] = replace(
            after, text=before.text + after.text, token_ids=before.token_ids + after.token_ids,
            prompt_tokens=before.prompt_tokens,
        )  # fmt: skip
    kept = {key: made[key] for key in thought.generations if key[0] not in refused}
    return Replies(kept, refused)
