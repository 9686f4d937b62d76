"""Judging with a protocol and a sampler: prompts out; verdict rows of pairs, score rows of single responses in."""

from __future__ import annotations

from collections.abc import Sequence

from judgekit.evaluation.scores import ScoreRow
from judgekit.evaluation.verdicts import VerdictRow
from judgekit.prompts.base import PairProtocol, PointProtocol, name_response
from judgekit.rows import Order, Response, ResponsePair, Verdict
from judgekit.sampling.base import SamplingParams
from judgekit.sampling.text import TextRequest, TextSampler, ask_for_verdict
from judgekit.store import Workspace


def judge_pairs(
    judge: TextSampler,
    protocol: PairProtocol | PointProtocol,
    pairs: Sequence[ResponsePair],
    orders: Sequence[Order],
    params: SamplingParams,
    *,
    constrained: bool = False,
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
    """
    if isinstance(protocol, PointProtocol):
        return _judge_by_scores(judge, protocol, pairs, orders, params, samples, workspace, title)
    asked = [(pair, order) for pair in pairs for order in orders]
    requests = [
        TextRequest(f"{pair.id}/{order}", protocol.judge_prompt(pair, order), params, tuple(samples))
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
            if name in refused:
                rows.append(VerdictRow(pair.id, order, sample, None, refused[name], ""))
                continue
            text, truncated, p_first = read[name, sample]
            reading = protocol.read(text, truncated)
            p_a = p_first if p_first is None or order == "ab" else 1.0 - p_first
            verdict = name_response(reading.verdict, order)
            rows.append(VerdictRow(pair.id, order, sample, verdict, reading.invalid, text, p_a=p_a))
    return rows


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
    requests = [TextRequest(row.id, protocol.score_prompt(row), params, tuple(samples)) for row in responses]
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


def _by_scores(pair: str, order: Order, a: ScoreRow, b: ScoreRow) -> VerdictRow:
    text = f"[Response A]\n{a.text}\n\n[Response B]\n{b.text}"
    if a.score is None or b.score is None:
        return VerdictRow(pair, order, a.sample, None, a.invalid or b.invalid, text, score_a=a.score, score_b=b.score)
    verdict: Verdict = "tie" if a.score == b.score else "A" if a.score > b.score else "B"
    return VerdictRow(pair, order, a.sample, verdict, None, text, score_a=a.score, score_b=b.score)
