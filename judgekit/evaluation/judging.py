"""Judging pairs with a protocol and a sampler: prompts out, verdict rows in."""

from __future__ import annotations

from collections.abc import Sequence

from judgekit.evaluation.verdicts import VerdictRow
from judgekit.prompts.base import PairProtocol, name_response
from judgekit.rows import Order, ResponsePair
from judgekit.sampling.base import SamplingParams
from judgekit.sampling.text import TextRequest, TextSampler, ask_for_verdict
from judgekit.store import Workspace


def judge_pairs(
    judge: TextSampler,
    protocol: PairProtocol,
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

    :param params: decoding of the whole judgment
    :param samples: sample indices; greedy decoding repeats itself up to rounding in other batches
    :param constrained: choose the verdict among the protocol's verdict tokens; yields ``p_a``
    """
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
