"""A sample of judgments that shows what each judge gets right, wrong and not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from judgekit.evaluation.verdicts import VerdictRow, read_verdicts
from judgekit.randomness import shuffled
from judgekit.rows import ResponsePair, Verdict, read_rows

Outcome = Literal["right", "wrong", "inconsistent", "invalid", "unlabelled"]
OUTCOMES: tuple[Outcome, ...] = ("right", "wrong", "inconsistent", "invalid", "unlabelled")


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """What one judge said about one pair.

    :param verdicts: the first sample of each order that was judged, ``ab`` first
    """

    judge: str
    outcome: Outcome
    verdicts: tuple[VerdictRow, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """One pair with the judgments of every judge that saw it."""

    benchmark: str
    pair: ResponsePair
    judged: tuple[JudgedPair, ...]


def outcome(label: Verdict | None, verdicts: Sequence[VerdictRow]) -> Outcome:
    """Sum up the verdicts of one judge on one pair over both orders."""
    named = {row.verdict for row in verdicts}
    if None in named:
        return "invalid"
    if len(named) > 1:
        return "inconsistent"
    if label is None:
        return "unlabelled"
    return "right" if named == {label} else "wrong"


def sample_cards(run_dir: Path, benchmark: str, judges: Sequence[str], count: int) -> list[Card]:
    """Up to ``count`` pairs of a benchmark, as even a mix of the last judge's outcomes as there is.

    :raises DataError: for a pair or verdict file that cannot be read
    """
    path = run_dir / "pairs" / f"{benchmark}.jsonl"
    if count <= 0 or not path.exists():
        return []
    pairs = {pair.id: pair for pair in read_rows(path, ResponsePair)}
    judged: dict[str, list[JudgedPair]] = {}
    for judge in judges:
        for pair_id, rows in _by_pair(run_dir / "verdicts" / f"{judge}.{benchmark}.jsonl").items():
            if pair_id in pairs:
                seen = JudgedPair(judge, outcome(pairs[pair_id].label, rows), rows)
                judged.setdefault(pair_id, []).append(seen)
    chosen = _mix({pair_id: seen[-1].outcome for pair_id, seen in judged.items()}, benchmark)[:count]
    return [Card(benchmark, pairs[pair_id], tuple(judged[pair_id])) for pair_id in chosen]


def _by_pair(path: Path) -> dict[str, tuple[VerdictRow, ...]]:
    """The first sample of each order by pair; none when this judge was not asked."""
    if not path.exists():
        return {}
    first: dict[tuple[str, str], VerdictRow] = {}
    for row in sorted(read_verdicts(path), key=lambda row: row.sample):
        first.setdefault((row.id, row.order), row)
    grouped: dict[str, tuple[VerdictRow, ...]] = {}
    for row in sorted(first.values(), key=lambda row: row.order):
        grouped[row.id] = (*grouped.get(row.id, ()), row)
    return grouped


def _mix(outcomes: Mapping[str, Outcome], benchmark: str) -> list[str]:
    """Pair ids, one of each outcome in turn, drawn at random but always the same."""
    queues = [
        shuffled(sorted(pair_id for pair_id, found in outcomes.items() if found == wanted), "report", benchmark, wanted)
        for wanted in OUTCOMES
    ]
    longest = max((len(queue) for queue in queues), default=0)
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]
