"""Sampling in text: chat messages in, replies out, through the generation cache.

Rows that cannot be asked (too long for the model, text that has no encoding) are refused with a reason and counted;
they never end a run and are never cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from judgekit.errors import StageError
from judgekit.prompts.chat import PLAIN, check_text, encode_prompt, opened
from judgekit.prompts.templates import ChatTokenizer
from judgekit.prompts.thoughts import split_thought
from judgekit.rows import Message
from judgekit.sampling.base import (
    Finish,
    Generation,
    ModelChanged,
    Prices,
    Progress,
    Refusal,
    Request,
    Sampler,
    SamplingParams,
)
from judgekit.sampling.cache import GenerationCache
from judgekit.sampling.session import Shard, sample_all
from judgekit.sampling.thinking import thought_tokens
from judgekit.store import Workspace

CHOICE_TOKENS = 16
"""Room for the longest allowed verdict, tokens."""


@dataclass(frozen=True, slots=True)
class TextRequest:
    """One prompt in text and the samples wanted of it.

    :param prefill: text that already starts the reply
    """

    id: str
    prompt: tuple[Message, ...]
    params: SamplingParams
    samples: tuple[int, ...] = (0,)
    prefill: str = ""


@dataclass(frozen=True, slots=True)
class Replies:
    """Generations by (request id, sample) and, for refused requests, the reason by request id."""

    generations: Mapping[tuple[str, int], Generation]
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TextSampler:
    """A model that is asked in text.

    :param tokenizer: None where a server encodes the messages itself; it then also says which prompts are too long
    :param max_length: context of the model, tokens
    :param shard: draw only this part of every call
    :param prices: what the model's owner charges
    :param served: what a server calls the model
    """

    tokenizer: ChatTokenizer | None
    sampler: Sampler
    cache: GenerationCache
    max_length: int
    progress: Callable[[str], Progress] | None = None
    shard: Shard | None = None
    prices: Prices | None = None
    served: str | None = None

    def ask(self, requests: Sequence[TextRequest], workspace: Workspace | None, title: str = "sampling") -> Replies:
        """Sample all requests; refused ones are counted as dropped in the workspace.

        :param title: what progress is shown under
        """
        prepared = [(request.id, self._prepare(request)) for request in requests]
        asked = [request for _, request in prepared if isinstance(request, Request)]
        refused = {name: refusal for name, refusal in prepared if isinstance(refusal, Refusal)}
        progress = self.progress(title) if self.progress is not None else None
        begun = {
            request.id: mark for request in requests if request.id not in refused and (mark := self._opened(request))
        }
        draw = partial(
            sample_all, self.sampler, self.cache, asked, workspace=workspace, progress=progress, shard=self.shard,
            prices=self.prices,
            thought=lambda request, reply: thought_tokens(reply, begun.get(request.id, ""), self.tokenizer),
        )  # fmt: skip
        try:
            samples = draw()
        except ModelChanged as change:
            self.cache.move(change.digest)
            if workspace is not None:  # the stage is named by the other model
                raise StageError(f"{change} Run the same command again to go on with it.") from None
            samples = draw()
        refused |= samples.refused
        if workspace is not None:
            for refusal in refused.values():
                workspace.drop(refusal.reason)
        reasons = {name: str(refusal) for name, refusal in refused.items()}
        return Replies(_Begun(samples, begun) if begun else samples, reasons)

    def close(self) -> None:
        """Give memory, connections and files back; the next call begins anew."""
        self.cache.close()
        self.sampler.close()

    def _opened(self, request: TextRequest) -> str:
        """The marker of a thought inside which replies begin."""
        if self.tokenizer is None or request.params.choices:
            return ""
        return opened(self.tokenizer, request.prompt, request.prefill)

    def _prepare(self, request: TextRequest) -> Request | Refusal:
        if self.tokenizer is None:
            return _as_text(request)
        try:
            choosing = bool(request.params.choices)
            ids = tuple(encode_prompt(self.tokenizer, request.prompt, request.prefill, answers=choosing))
        except ValueError as error:
            return Refusal(str(error))
        room = self.max_length - request.params.max_new_tokens
        if len(ids) > room:
            reply = request.params.max_new_tokens
            detail = f"{len(ids)} prompt tokens, with {reply} for the reply the limit is {room} (model.max_length)"
            return Refusal(TOO_LONG, detail)
        return Request(request.id, ids, request.params, request.samples)


@dataclass(frozen=True, slots=True)
class _Begun(Mapping[tuple[str, int], Generation]):
    """Generations whose text begins with the marker of the thought that the prompt opened, so that all see it.

    :param begun: markers by request id
    """

    samples: Mapping[tuple[str, int], Generation]
    begun: Mapping[str, str]

    def __getitem__(self, name: tuple[str, int]) -> Generation:
        found = self.samples[name]
        return replace(found, text=self.begun[name[0]] + found.text) if name[0] in self.begun else found

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self.samples)

    def __len__(self) -> int:
        return len(self.samples)


TOO_LONG = "too long"


def _as_text(request: TextRequest) -> Request | Refusal:
    """The request for a server that encodes text itself; contents lose their outer white space, as always.

    Plain text is asked as a user's message: what the server makes of it is up to its chat template.
    """
    roles = {PLAIN: "user"}
    messages = tuple(
        {"role": roles.get(turn["role"], turn["role"]), "content": turn["content"].strip()} for turn in request.prompt
    )
    for text in (*(turn["content"] for turn in messages), request.prefill):
        try:
            check_text(text)
        except ValueError as error:
            return Refusal(str(error))
        if "\0" in text:  # servers answer it with anything from an error to a cut
            return Refusal("text holds a NUL character")
    return Request(request.id, (), request.params, request.samples, messages, request.prefill)


@dataclass(frozen=True, slots=True)
class Decided:
    """A reply whose verdict was chosen among allowed ones.

    :param p_first: probability of the first allowed verdict, with half of that of a tie, the third, where there is
        one; None when the reply never came to a verdict
    """

    text: str
    finish: Finish
    p_first: float | None = None


def ask_for_verdict(
    judge: TextSampler,
    requests: Sequence[TextRequest],
    choices: tuple[str, ...],
    lead: str,
    stop: tuple[str, ...],
    workspace: Workspace | None,
    title: str,
) -> tuple[dict[tuple[str, int], Decided], Mapping[str, str]]:
    """Constrained decoding: reason freely up to the verdict, then choose among the allowed verdicts.

    :param choices: for the first position, the second, and a tie where the protocol has one
    :param lead: text between reasoning and verdict
    :param stop: where the reasoning ends; a reply that hits its token limit instead gets no verdict. Empty: the verdict
        comes at once
    :return: replies by (request id, sample), and refused requests with their reasons. One sample alone is refused, and
        missing among the replies, where its reasoning leaves no room for a verdict in the context
    """
    if not stop:
        return _decide_at_once(judge, requests, choices, lead, workspace, title)
    free = [replace(request, params=replace(request.params, stop=stop)) for request in requests]
    reasoned = judge.ask(free, workspace, title)
    follow_ups = []
    for request in requests:
        for sample in request.samples:
            reply = reasoned.generations.get((request.id, sample))
            # Inside a thought that names the format nothing is decided yet.
            if reply is not None and reply.finish != "length" and split_thought(reply.text).closed:
                prefill = request.prefill + reply.text.rstrip() + lead
                name = f"{request.id}#{sample}"
                follow_ups.append(replace(_choosing(request, choices, prefill), id=name, samples=(sample,)))
    chosen = judge.ask(follow_ups, workspace, f"{title}: verdicts")
    decided, refused = {}, dict(reasoned.refused)
    for (name, sample), reply in reasoned.generations.items():
        choice = chosen.generations.get((f"{name}#{sample}", sample))
        if (reason := chosen.refused.get(f"{name}#{sample}")) is not None:
            refused[name] = reason
        elif choice is None:  # cut at its limit, or still thinking
            decided[name, sample] = Decided(reply.text, "length")
        else:
            text = reply.text.rstrip() + lead + choice.text
            decided[name, sample] = Decided(text, choice.finish, _first(choice, choices))
    return decided, refused


def _decide_at_once(
    judge: TextSampler, requests: Sequence[TextRequest], choices: tuple[str, ...], lead: str,
    workspace: Workspace | None, title: str,
) -> tuple[dict[tuple[str, int], Decided], Mapping[str, str]]:  # fmt: skip
    chosen = judge.ask([_choosing(request, choices, request.prefill + lead) for request in requests], workspace, title)
    decided = {
        key: Decided(lead + choice.text, choice.finish, _first(choice, choices))
        for key, choice in chosen.generations.items()
    }
    return decided, chosen.refused


def _choosing(request: TextRequest, choices: tuple[str, ...], prefill: str) -> TextRequest:
    params = replace(
        request.params, stop=(), choices=choices, max_new_tokens=CHOICE_TOKENS, beams=1, repetition_penalty=1.0
    )
    return replace(request, params=params, prefill=prefill)


def _first(choice: Generation, choices: tuple[str, ...]) -> float | None:
    """Half of a tie belongs to either side, so that exchanging them turns p into 1 - p."""
    probs = choice.choice_probs or {}
    if choices[0] not in probs:
        return None
    return probs[choices[0]] + sum(probs[text] for text in choices[2:]) / 2
