"""Constrained decoding: one of a few allowed texts, with the probability of each.

The allowed texts form a tree of tokens. Only where it branches does the model decide anything, so only there is it
asked: the probability of a text is the product, over the branches it passes, of the model's probability of its token
among the tokens allowed there. That is the distribution token-by-token constrained decoding samples from; every back
end computes it from the same few log-probabilities. (A grammar over characters would also admit other tokenizations
of a verdict, which no model was trained to write.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from judgekit.prompts.chat import encode_reply
from judgekit.prompts.templates import ChatTokenizer
from judgekit.sampling.base import Generation, Request

Start = tuple[int, ...]
"""Tokens of a reply up to a branch."""


@dataclass(frozen=True, slots=True)
class Choices:
    """Allowed texts and the tree of their tokens.

    :param branches: by the tokens before it, the tokens allowed at each branch
    """

    texts: tuple[str, ...]
    ids: tuple[tuple[int, ...], ...]
    branches: Mapping[Start, tuple[int, ...]]

    @classmethod
    def of(cls, texts: Sequence[str], tokenizer: ChatTokenizer) -> Choices:
        """The tree of some texts.

        :raises ValueError: when one text begins another, so that its end would be a further choice
        """
        return cls.of_tokens(texts, [tuple(encode_reply(tokenizer, text, end=False)) for text in texts])

    @classmethod
    def of_tokens(cls, texts: Sequence[str], ids: Sequence[tuple[int, ...]]) -> Choices:
        """The tree of some texts whose tokens are known.

        :raises ValueError: when one text begins another, so that its end would be a further choice
        """
        children: dict[Start, dict[int, None]] = {}
        for tokens in ids:
            for step, token in enumerate(tokens):
                children.setdefault(tokens[:step], {})[token] = None
        if any(tokens in children for tokens in ids) or len(set(ids)) < len(ids):
            raise ValueError(f"of the allowed replies {list(texts)} one begins another")
        return cls(
            tuple(texts), tuple(ids), {start: tuple(found) for start, found in children.items() if len(found) > 1}
        )

    def decide(self, scores: Mapping[Start, Sequence[float]], request: Request, uniform: float) -> Generation:
        """Draw a text at the request's temperature (the likeliest at 0).

        :param scores: log-probabilities (or logits) of the allowed tokens at every branch, in ``branches`` order
        :param uniform: number in [0, 1) that decides
        """
        logps = [0.0] * len(self.texts)
        for start, allowed in self.branches.items():
            total = _logsumexp(scores[start])
            of = {token: score - total for token, score in zip(allowed, scores[start], strict=True)}
            for index, tokens in enumerate(self.ids):
                if tokens[: len(start)] == start:
                    logps[index] += of[tokens[len(start)]]
        best = _draw(logps, request.params.temperature, uniform)
        probs = {text: math.exp(logp) for text, logp in zip(self.texts, logps, strict=True)}
        return Generation(self.texts[best], self.ids[best], "choice", len(request.prompt_ids), probs)


def _logsumexp(values: Sequence[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))


def _draw(logps: Sequence[float], temperature: float, uniform: float) -> int:
    """Index drawn from log-probabilities divided by the temperature; the likeliest at 0."""
    if temperature == 0:
        return max(range(len(logps)), key=lambda i: logps[i])
    scaled = [logp / temperature for logp in logps]
    top = max(scaled)
    weights = [math.exp(value - top) for value in scaled]
    left = uniform * sum(weights)
    for index, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return index
    return len(weights) - 1
