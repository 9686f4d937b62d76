"""``verdicts.jsonl``: what a judge answered, one row per pair, order and sample."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from judgekit.errors import DataError
from judgekit.rows import ORDERS, VERDICTS, Order, Verdict, json_line, write_lines

MergeRule = Literal[
    "none", "panda", "panda_symmetric", "both_agree", "judgebench", "fastchat", "average_score", "average_probability"
]
"""How one verdict is made of those of both orders (``evaluation.merging``)."""


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One verdict on one pair shown in one order.

    :param id: id of the pair
    :param order: ``ba`` means the judge saw response_b first
    :param sample: index of the sample, unique within (id, order)
    :param verdict: names the response (A = response_a), not the position; None when invalid
    :param invalid: why there is no verdict, ``REASON`` or ``REASON: DETAIL``; None when there is one
    :param text: the judge's reply
    :param p_a: probability that response_a is better, where decoding yields it
    :param score_a: score the judge gave response_a, for judges that score; likewise ``score_b``
    """

    id: str
    order: Order
    sample: int
    verdict: Verdict | None
    invalid: str | None
    text: str
    p_a: float | None = None
    score_a: float | None = None
    score_b: float | None = None

    @property
    def reason(self) -> str:
        """What a row without a verdict is counted under: its reason without what is particular to the row."""
        return (self.invalid or "unstated").partition(": ")[0]


OPTIONAL = ("p_a", "score_a", "score_b")
FIELDS = ("id", "order", "sample", "verdict", "invalid", "score_a", "score_b", "p_a", "text")


def write_verdicts(path: Path, rows: Iterable[VerdictRow]) -> int:
    """Write verdicts as JSON Lines and return how many; scores and probabilities that are None are left out.

    The file appears whole or not at all.
    """
    return write_lines(path, (json_line(verdict_values(row)) for row in rows))


def verdict_values(row: VerdictRow) -> dict[str, Any]:
    """A row as the file has it: scores and probabilities that are None are left out."""
    values = {name: getattr(row, name) for name in FIELDS}
    return {name: value for name, value in values.items() if value is not None or name not in OPTIONAL}


def read_verdicts(path: str | Path) -> list[VerdictRow]:
    """Read verdicts as judgekit writes them (outside data goes through ``judgekit.data.logs``).

    ``sample`` is 0 and ``text`` empty where left out; other fields are ignored.

    :raises DataError: naming line and field, for rows that are not as ``VerdictRow`` says
    """
    return list(iter_verdicts(Path(path)))


def iter_verdicts(path: Path, texts: bool = True) -> Iterator[VerdictRow]:
    """Yield what ``read_verdicts`` reads.

    :param texts: keep the judge's replies; metrics do not look at them
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _parse(line, path, number, texts)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise DataError("there is no such verdict file", file=path) from error


def _parse(line: bytes, path: Path, number: int, texts: bool) -> VerdictRow:
    try:
        values = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8: {error}", file=path, line=number) from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"not JSON: {error}", file=path, line=number) from error
    if not isinstance(values, dict):
        raise DataError("must be a JSON object", file=path, line=number)

    for field, message in _faults(values):
        found = f", not {_shown(values[field])}" if field in values else ""
        raise DataError(message + found, file=path, line=number, field=field)
    return VerdictRow(
        id=values["id"],
        order=values["order"],
        sample=values.get("sample", 0),
        verdict=values["verdict"],
        invalid=values.get("invalid"),
        text=values.get("text", "") if texts else "",
        **{name: values.get(name) for name in OPTIONAL},
    )


def _faults(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the fields that cannot be used and what each must be."""
    for name in ("id", "order", "verdict"):
        if name not in values:
            yield name, "is missing"
            return
    verdict, invalid, sample = values["verdict"], values.get("invalid"), values.get("sample", 0)
    if not isinstance(values["id"], str):
        yield "id", "must be a string"
    if values["order"] not in ORDERS:
        yield "order", f"must be one of {', '.join(ORDERS)}"
    if type(sample) is not int or sample < 0:
        yield "sample", "must be a whole number, 0 or more"
    if verdict is not None and verdict not in VERDICTS:
        yield "verdict", f"must be one of {', '.join(VERDICTS)} or null"
    if invalid is not None and (not isinstance(invalid, str) or not invalid):
        yield "invalid", "must be a reason or null"
    if verdict is None and invalid is None:
        yield "invalid", "must say why the verdict is null"
    if verdict is not None and invalid is not None:
        yield "invalid", "must be null where there is a verdict"
    if not isinstance(values.get("text", ""), str):
        yield "text", "must be a string"
    for name in OPTIONAL:
        if values.get(name) is not None and not _is_number(values[name]):
            yield name, "must be a finite number or null"
    if _is_number(values.get("p_a")) and not 0 <= values["p_a"] <= 1:
        yield "p_a", "must lie in [0, 1]"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
