"""Judging with a protocol and a sampler: prompts out; verdict rows of pairs, score rows of single responses in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, product

from judgekit.data.inputs import Candidates
from judgekit.prompts.base import (
    ManyProtocol,
    PairProtocol,
    PointProtocol,
    Reading,
    ScoresReading,
    ShapedReply,
    name_response,
)
from judgekit.prompts.thoughts import split_thought
from judgekit.rows import Message, Order, Response, ResponsePair, Verdict
from judgekit.sampling.base import SamplingParams
from judgekit.sampling.text import TextRequest, TextSampler, ask_for_verdict
from judgekit.score_rows import ScoreRow
from judgekit.store import Workspace
from judgekit.verdict_rows import VerdictRow


def judge_pairs(
    judge: TextSampler,
    protocol: PairProtocol | PointProtocol,
    pairs: Sequence[ResponsePair],
    orders: Sequence[Order],
    params: SamplingParams,
    *,
    constrained: bool = False,
    whole: bool = False,
    samples: Sequence[int] = (0,),
    workspace: Workspace | None = None,
    title: str = "judging",
) -> list[VerdictRow]:
    """One verdict per pair, order and sample, in that order.

    A protocol for single responses scores each once: the higher score wins, equal scores are a tie, and both orders
    have the same row, because neither response is shown with the other.

    :param params: decoding of the whole judgment
    :param samples: sample indices; greedy decoding repeats itself up to rounding in other batches
    :param constrained: choose the verdict among the protocol's verdict tokens; yields ``p_a``
    :param whole: no verdict for a text that was cut at its limit, even behind its verdict, because it is to be imitated
    """
    if isinstance(protocol, PointProtocol):
        return _judge_by_scores(judge, protocol, pairs, orders, params, samples, workspace, title)
    asked = [(pair, order) for pair in pairs for order in orders]
    requests = [
        _shaped(protocol, f"{pair.id}/{order}", protocol.judge_prompt(pair, order), params, samples)
        for pair, order in asked
    ]
    read: dict[tuple[str, int], tuple[str, bool, float | None]]
    if constrained:
        decided, refused = ask_for_verdict(
            judge, requests, protocol.verdict_tokens, protocol.verdict_lead, protocol.verdict_stops, workspace, title
        )
        read = {key: (reply.text, reply.finish == "length", reply.p_first) for key, reply in decided.items()}
    else:
        replies = judge.ask(requests, workspace, title)
        refused = replies.refused
        read = {key: (reply.text, reply.finish == "length", None) for key, reply in replies.generations.items()}
    rows = []
    for pair, order in asked:
        for sample in samples:
            name = f"{pair.id}/{order}"
            if (name, sample) not in read:
                rows.append(VerdictRow(pair.id, order, sample, None, refused[name], ""))
                continue
            text, truncated, p_first = read[name, sample]
            reading = Reading(None, "truncated") if truncated and whole else protocol.read(text, truncated)
            p_a = p_first if p_first is None or order == "ab" else 1.0 - p_first
            verdict = name_response(reading.verdict, order)
            score_a, score_b = _scores(reading, order)
            rows.append(VerdictRow(pair.id, order, sample, verdict, reading.invalid, text, p_a, score_a, score_b))
    return rows


def judge_many(
    judge: TextSampler,
    protocol: ManyProtocol,
    rows: Sequence[Candidates],
    orders: Sequence[Order],
    params: SamplingParams,
    *,
    samples: Sequence[int] = (0,),
    workspace: Workspace | None = None,
    title: str = "judging",
) -> list[VerdictRow]:
    """Verdicts on all pairs of each row's responses from scores that one reply gives them all.

    Rows and their order are those of ``judge_pairs`` for the pairs of each row; ``ba`` shows all responses in reverse.
    A reply that cannot be read leaves every pair without a verdict, for the same reason.
    """
    requests = [
        _shaped(protocol, f"{row.id}/{order}", _many_prompt(protocol, row, order), params, samples)
        for row in rows
        for order in orders
    ]
    replies = judge.ask(requests, workspace, title)
    found = []
    for row in rows:
        scored = {}
        for order, sample in product(orders, samples):
            name = f"{row.id}/{order}"
            if name in replies.refused:
                scored[order, sample] = ScoresReading(None, replies.refused[name]), ""
            else:
                reply = replies.generations[name, sample]
                reading = protocol.read_many(reply.text, reply.finish == "length", len(row.responses))
                scored[order, sample] = reading, reply.text
        for pair, (a, b) in zip(row.pairs, combinations(range(len(row.responses)), 2), strict=True):
            for (order, sample), (reading, text) in scored.items():
                if reading.scores is None:
                    found.append(VerdictRow(pair.id, order, sample, None, reading.invalid, text))
                    continue
                scores = reading.scores if order == "ab" else reading.scores[::-1]
                verdict = protocol.compare(scores[a], scores[b])
                found.append(VerdictRow(pair.id, order, sample, verdict, None, text, None, scores[a], scores[b]))
    return found


def _many_prompt(protocol: ManyProtocol, row: Candidates, order: Order) -> tuple[Message, ...]:
    responses = row.responses if order == "ab" else row.responses[::-1]
    return protocol.many_prompt(row.instruction, responses, row.reference)


def _shaped(
    protocol: object, name: str, prompt: tuple[Message, ...], params: SamplingParams,
    samples: Sequence[int] = (0,),
) -> TextRequest:  # fmt: skip
    """A request whose reply begins and ends as the protocol says."""
    if not isinstance(protocol, ShapedReply):
        return TextRequest(name, prompt, params, tuple(samples))
    shaped = replace(params, stop=(*params.stop, *protocol.stops))
    return TextRequest(name, prompt, shaped, tuple(samples), protocol.prefill)


def _scores(reading: Reading, order: Order) -> tuple[float | None, float | None]:
    """Scores of response_a and response_b."""
    if reading.scores is None:
        return None, None
    first, second = reading.scores
    return (first, second) if order == "ab" else (second, first)


def rate_responses(
    judge: TextSampler,
    protocol: PointProtocol,
    responses: Sequence[Response],
    params: SamplingParams,
    *,
    samples: Sequence[int] = (0,),
    workspace: Workspace | None = None,
    title: str = "rating",
) -> list[ScoreRow]:
    """One score per response and sample, in that order. Parameters as ``judge_pairs``."""
    requests = [_shaped(protocol, row.id, protocol.score_prompt(row), params, samples) for row in responses]
    replies = judge.ask(requests, workspace, title)
    rows = []
    for row in responses:
        for sample in samples:
            if row.id in replies.refused:
                rows.append(ScoreRow(row.id, sample, None, replies.refused[row.id], ""))
                continue
            reply = replies.generations[row.id, sample]
            reading = protocol.read_score(reply.text, reply.finish == "length")
            rows.append(ScoreRow(row.id, sample, reading.score, reading.invalid, reply.text))
    return rows


def _judge_by_scores(
    judge: TextSampler, protocol: PointProtocol, pairs: Sequence[ResponsePair], orders: Sequence[Order],
    params: SamplingParams, samples: Sequence[int], workspace: Workspace | None, title: str,
) -> list[VerdictRow]:  # fmt: skip
    responses = [
        Response(f"{pair.id}/{side}", pair.instruction, text, pair.reference, subset=pair.subset)
        for pair in pairs
        for side, text in (("a", pair.response_a), ("b", pair.response_b))
    ]
    rated = rate_responses(judge, protocol, responses, params, samples=samples, workspace=workspace, title=title)
    scores = {(row.id, row.sample): row for row in rated}
    return [
        _by_scores(pair.id, order, scores[f"{pair.id}/a", sample], scores[f"{pair.id}/b", sample])
        for pair in pairs
        for order in orders
        for sample in samples
    ]


def _both(a: str, b: str) -> str:
    """Two replies as one, their thoughts first and together."""
    parts = [split_thought(text) for text in (a, b)]
    answers = "\n\n".join(f"[Response {name}]\n{part.answer}" for name, part in zip("AB", parts, strict=True))
    if not any(part.thought for part in parts):
        return answers
    thoughts = "\n\n".join(f"[Response {name}]\n{part.thought}" for name, part in zip("AB", parts, strict=True))
    return f"<think>{thoughts}</think>\n\n{answers}"


def _by_scores(pair: str, order: Order, a: ScoreRow, b: ScoreRow) -> VerdictRow:
    text = _both(a.text, b.text)
    if a.score is None or b.score is None:
        return VerdictRow(pair, order, a.sample, None, a.invalid or b.invalid, text, score_a=a.score, score_b=b.score)
    verdict: Verdict = "tie" if a.score == b.score else "A" if a.score > b.score else "B"
    return VerdictRow(pair, order, a.sample, verdict, None, text, score_a=a.score, score_b=b.score)
