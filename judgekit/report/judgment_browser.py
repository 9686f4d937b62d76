"""Every judgment of a run, summed up by pair and packed for the browser in the report."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, zip_longest
from typing import Any, Literal, get_args

from judgekit.evaluation.labelled_verdicts import MISSING
from judgekit.prompts.thoughts import split_thought
from judgekit.randomness import shuffled
from judgekit.report.judged_benchmark import JudgedBenchmark
from judgekit.report.shown_text import shortened
from judgekit.rows import ORDERS, ResponsePair, Verdict
from judgekit.verdict_rows import VerdictRow

MOST_JUDGMENTS = 20_000
"""Judgments in the browser when the configuration does not say how many (``logger.report_judgments``)."""
MOST_CHARACTERS = 60_000_000
"""Characters in the browser, whatever the number of judgments: a browser's memory is limited too."""
LONGEST_TEXT = 250_000
"""Characters of one text in the browser; the files of the run hold it whole."""

Outcome = Literal["right", "wrong", "tie", "inconsistent", "invalid", "unlabelled"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """What one judge said about one pair.

    :param reasons: why verdicts are missing, each once
    :param verdicts: all samples of each order that was judged, ``ab`` first
    """

    judge: str
    outcome: Outcome
    reasons: tuple[str, ...]
    verdicts: tuple[VerdictRow, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One pair with what every judge said that was asked about its benchmark."""

    benchmark: str
    pair: ResponsePair
    judged: tuple[JudgedPair, ...]

    @property
    def judgments(self) -> int:
        """Judgments of the pair, over judges, orders and samples."""
        return sum(len(judged.verdicts) for judged in self.judged)

    @property
    def characters(self) -> int:
        """Characters of all its texts, as far as they are shown."""
        pair = self.pair
        texts = [pair.instruction, pair.response_a, pair.response_b, pair.reference or ""]
        texts += [row.text for judged in self.judged for row in judged.verdicts]
        return sum(min(len(text), LONGEST_TEXT) for text in texts)


@dataclass(frozen=True, slots=True)
class Browser:
    """What the page holds for its browser.

    :param packed: JSON, gzipped and in base64; see :func:`pack`
    :param judgments: judgments in it, and ``left_out`` those that are not
    """

    packed: str
    judgments: int
    left_out: int
    pairs: int
    pairs_left_out: int


def outcome(label: Verdict | None, verdicts: Sequence[Verdict | None]) -> Outcome:
    """Sum up the verdicts of one judge on one pair, one of each order.

    ``tie``: a tie in all orders where the label names a winner. Of invalid and inconsistent, invalid says more.
    """
    named = set(verdicts)
    if None in named:
        return "invalid"
    if len(named) > 1:
        return "inconsistent"
    if label is None:
        return "unlabelled"
    if named == {label}:
        return "right"
    return "tie" if named == {"tie"} else "wrong"


def entries(benchmark: JudgedBenchmark) -> list[Entry]:
    """The pairs of a benchmark in file order, each with what all judges said."""
    judged = {
        judge: dict(_judged_pairs(judge, benchmark.pairs, rows)) for judge, rows in benchmark.verdicts.items() if rows
    }
    return [
        Entry(benchmark.name, pair, tuple(by_pair[pair.id] for by_pair in judged.values()))
        for pair in benchmark.pairs
        if judged
    ]


def browser(benchmarks: Sequence[JudgedBenchmark], most: int = MOST_JUDGMENTS) -> Browser | None:
    """All judgments, or as many as may be shown; None where there are none or none are wanted.

    :param most: judgments at most, whole pairs only
    """
    by_benchmark = [entries(benchmark) for benchmark in benchmarks]
    everything = list(chain.from_iterable(by_benchmark))
    shown = _bounded(by_benchmark, most) if most else []
    if not shown:
        return None
    judgments = sum(entry.judgments for entry in shown)
    return Browser(
        packed=pack(shown),
        judgments=judgments,
        left_out=sum(entry.judgments for entry in everything) - judgments,
        pairs=len(shown),
        pairs_left_out=len(everything) - len(shown),
    )


def pack(shown: Sequence[Entry]) -> str:
    """Entries as the page's script reads them, gzipped and in base64: no character of it can end an element.

    JSON: ``{"benchmarks": [...], "judges": [...], "pairs": [{"benchmark": PLACE, "id", "instruction", ...}],
    "judged": [{"pair": PLACE, "judge": PLACE, "outcome", "reasons", "verdicts": [{"order", "verdict", ...}]}]}``.
    Invisible characters in texts are made visible.
    """
    benchmarks = list(dict.fromkeys(entry.benchmark for entry in shown))
    judges = list(dict.fromkeys(judged.judge for entry in shown for judged in entry.judged))
    held = {
        "benchmarks": [shortened(name) for name in benchmarks],
        "judges": [shortened(name) for name in judges],
        "pairs": [{"benchmark": benchmarks.index(entry.benchmark), **_texts(asdict(entry.pair))} for entry in shown],
        "judged": [
            {
                "pair": place,
                "judge": judges.index(judged.judge),
                "outcome": judged.outcome,
                "reasons": [shortened(reason) for reason in judged.reasons],
                "verdicts": [_judgment(row) for row in judged.verdicts],
            }
            for place, entry in enumerate(shown)
            for judged in entry.judged
        ],
    }
    text = json.dumps(held, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("utf-8"), 6, mtime=0)).decode("ascii")


def _judgment(row: VerdictRow) -> dict[str, Any]:
    """A verdict's fields, its thought apart from its answer."""
    reply = split_thought(row.text)
    return _texts({**asdict(row), "id": None, "text": reply.answer, "thought": reply.thought or None})


def _texts(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that hold anything, texts so that they can be shown."""
    return {
        name: shortened(value, LONGEST_TEXT) if isinstance(value, str) else value
        for name, value in values.items()
        if value is not None
    }


def _judged_pairs(
    judge: str, pairs: Sequence[ResponsePair], rows: Sequence[VerdictRow]
) -> Iterator[tuple[str, JudgedPair]]:
    """What one judge said, by pair id. As in the metrics an order that was judged at all must have a verdict."""
    by_pair: dict[str, list[VerdictRow]] = {}
    for row in sorted(rows, key=lambda row: (row.order, row.sample)):
        by_pair.setdefault(row.id, []).append(row)
    orders = [order for order in ORDERS if any(row.order == order for row in rows)]
    for pair in pairs:
        held = by_pair.get(pair.id, [])
        first = {row.order: row for row in reversed(held)}
        named = [first[order].verdict if order in first else None for order in orders]
        missing = {MISSING} if len(first) < len(orders) else set()
        reasons = sorted({row.reason for row in first.values() if row.verdict is None} | missing)
        yield pair.id, JudgedPair(judge, outcome(pair.label, named), tuple(reasons), tuple(held))


def _bounded(by_benchmark: Sequence[Sequence[Entry]], most: int) -> list[Entry]:
    """Entries within both bounds, in their order: from each benchmark in turn, as even a mix of outcomes as there is.

    A pair that no longer fits is left out and a smaller one may still come in.
    """
    queues = [_mix(held) for held in by_benchmark]
    judgments = characters = 0
    chosen: set[tuple[str, str]] = set()
    for entry in (entry for turn in zip_longest(*queues) for entry in turn if entry is not None):
        more = entry.characters
        if judgments + entry.judgments <= most and characters + more <= MOST_CHARACTERS:
            judgments += entry.judgments
            characters += more
            chosen.add((entry.benchmark, entry.pair.id))
    return [entry for held in by_benchmark for entry in held if (entry.benchmark, entry.pair.id) in chosen]


def _mix(held: Sequence[Entry]) -> list[Entry]:
    """Entries of one benchmark, one of each outcome of the last judge in turn, drawn at random but always the same."""
    queues = [
        shuffled([entry for entry in held if entry.judged[-1].outcome == wanted], "report", held[0].benchmark, wanted)
        for wanted in OUTCOMES
        if held
    ]
    return [entry for turn in zip_longest(*queues) for entry in turn if entry is not None]
