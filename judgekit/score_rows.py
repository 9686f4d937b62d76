"""``scores.jsonl``: what a judge scored single responses, one row per response and sample."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from judgekit.errors import DataError


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One score of one response.

    :param id: id of the response
    :param sample: index of the sample, unique within the id
    :param score: on the protocol's scale; None when invalid
    :param invalid: why there is no score, ``REASON`` or ``REASON: DETAIL``; None when there is one
    :param text: the judge's reply
    """

    id: str
    sample: int
    score: float | None
    invalid: str | None
    text: str

    @property
    def reason(self) -> str:
        """What a row without a score is counted under: its reason without what is particular to the row."""
        return (self.invalid or "unstated").partition(": ")[0]


def read_scores(path: Path) -> list[ScoreRow]:
    """Read rows that judgekit wrote (``rows.write_rows``).

    :raises DataError: naming the line that is no score row
    """
    rows = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                rows.append(ScoreRow(**json.loads(line)))
            except (ValueError, TypeError) as error:
                raise DataError(f"not a score row: {error}", file=path, line=number) from error
    return rows


def mean_scores(rows: Iterable[ScoreRow]) -> dict[str, float | None]:
    """The mean over the valid samples of each response; None where there is none."""
    samples: defaultdict[str, list[float]] = defaultdict(list)
    for row in rows:
        samples[row.id] += [row.score] if row.score is not None else []
    return {name: fmean(found) if found else None for name, found in samples.items()}
