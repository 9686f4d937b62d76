"""Outside rows to be judged, read one at a time: pairs, single responses, or several responses to one instruction."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, get_args

from judgekit.data.conversations import SHAPES
from judgekit.data.records import RENAME, Record
from judgekit.data.sources import PAIR_FIELDS, read_pair, renamed
from judgekit.data.tables import BadRow, raise_bad, read_table
from judgekit.errors import DataError
from judgekit.randomness import digest
from judgekit.rows import Response, ResponsePair, Verdict

InputKind = Literal["pairs", "responses", "candidates"]
FIELDS = (*PAIR_FIELDS, "response", "criterion", "responses", "names")
Columns = Mapping[str, str] | None
"""{our field: their column} where names differ."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Several responses to one instruction, to be ranked.

    :param names: of the responses, by default their places counted from 1; unique
    """

    id: str
    instruction: str
    responses: tuple[str, ...]
    names: tuple[str, ...]
    reference: str | None = None

    @property
    def pairs(self) -> list[ResponsePair]:
        """Each response with each later one; ``ID#1-2`` is the first with the second."""
        return [
            ResponsePair(
                id=f"{self.id}#{a + 1}-{b + 1}",
                instruction=self.instruction,
                response_a=self.responses[a],
                response_b=self.responses[b],
                label=None,
                reference=self.reference,
                group=self.id,
                model_a=self.names[a],
                model_b=self.names[b],
            )
            for a, b in combinations(range(len(self.responses)), 2)
        ]


InputRow = ResponsePair | Response | Candidates


@dataclass(frozen=True, slots=True)
class Survey:
    """What a first look at an input found.

    :param rows: rows that can be judged
    :param repeated: rows without ids that repeat an earlier one and are left out
    :param bad: what is wrong with rows that cannot be judged
    :param sha256: of the file
    """

    kind: InputKind
    rows: int
    repeated: int
    bad: tuple[DataError, ...]
    sha256: str


def survey(path: Path, columns: Columns = None) -> Survey:
    """Read an input once and keep none of it, so that mistakes are known before anything is judged.

    :raises DataError: for a file that cannot be read, or whose columns say nothing to be judged
    """
    kind = kind_of(path, columns)
    bad: list[DataError] = []
    rows = repeated = 0
    for row in _rows(path, kind, bad.append, columns):
        rows += row is not None
        repeated += row is None
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Survey(kind, rows, repeated, tuple(bad), sha256)


def kind_of(path: Path, columns: Columns = None) -> InputKind:
    """What an input holds, by the columns of its first row.

    :raises DataError: when they are not those of any kind
    """
    skipped: list[DataError] = []
    line, values = next(_table(path, skipped.append, columns), (None, None))
    if values is None or line is None:
        raise skipped[0]
    record = Record.own(path, line, values, columns)
    if record.has("response_a") or record.has("response_b"):
        return "pairs"
    if record.has("responses"):
        return "candidates"
    if record.has("response"):
        return "responses"
    message = (
        f"has {', '.join(values) or 'no columns'}; give instruction with response_a and response_b (pairs), with "
        f"response (single responses), or with responses, a list. {RENAME}"
    )
    raise DataError(message, file=path, line=line)


def read_inputs(path: Path, kind: InputKind, bad: BadRow = raise_bad, columns: Columns = None) -> Iterator[InputRow]:
    """Yield the rows of an input; of rows that repeat an earlier one the first only.

    Memory holds one row and a hash of each id.

    :param bad: told of each row that cannot be judged; by default the first one is raised
    :raises DataError: naming file, line and field
    """
    return (row for row in _rows(path, kind, bad, columns) if row is not None)


def _table(path: Path, bad: BadRow, columns: Columns) -> Iterator[tuple[int, dict[str, Any]]]:
    """All columns, so that a message can list them, unless some have other names."""
    return read_table(path, [*renamed(columns, FIELDS), *SHAPES] if columns else None, bad)


def _rows(path: Path, kind: InputKind, bad: BadRow, columns: Columns) -> Iterator[InputRow | None]:
    """Rows, None for one without an id that repeats an earlier one."""
    build = BUILDERS[kind]
    seen: set[int] = set()
    named: bool | None = None
    for line, values in _table(path, bad, columns):
        if named is None:  # the first row says whether the file names its rows
            named = "id" in (columns or {}) or "id" in values
        try:
            record = Record.own(path, line, values, columns)
            row = build(record, record.id() if named else None)
            key = int.from_bytes(hashlib.sha256(row.id.encode("utf-8", "surrogatepass")).digest()[:8], "big")
            if key in seen and named:
                raise record.error("id", f"'{row.id}' is also the id of an earlier row; ids must be unique")
        except DataError as error:
            bad(error)
            continue
        yield None if key in seen else row
        seen.add(key)


def _pair(record: Record, row_id: str | None) -> ResponsePair:
    """With its label where that is plain; a judge is not shown it, so whatever else stands there is no mistake."""
    label = record.values.get(record.columns.get("label", "label"))
    return read_pair(record, row_id, label if label in get_args(Verdict) else None)


def _response(record: Record, row_id: str | None) -> Response:
    instruction, response = record.asked("instruction"), record.text("response")
    criterion = record.maybe("criterion")
    return Response(
        id=row_id if row_id is not None else f"response-{digest([instruction, response, criterion])}",
        instruction=instruction,
        response=response,
        reference=record.maybe("reference"),
        criterion=criterion,
    )


def _candidates(record: Record, row_id: str | None) -> Candidates:
    instruction, responses = record.asked("instruction"), tuple(record.texts("responses"))
    if len(responses) < 2:
        raise record.error("responses", f"holds {len(responses)}; give two or more to compare")
    names = tuple(str(number) for number in range(1, len(responses) + 1))
    if record.has("names") and record.value("names") is not None:
        names = tuple(record.texts("names", len(responses)))
        if len(set(names)) < len(names):
            raise record.error("names", "holds a name twice; every response needs its own")
    return Candidates(
        id=row_id if row_id is not None else f"candidates-{digest([instruction, list(responses), list(names)])}",
        instruction=instruction,
        responses=responses,
        names=names,
        reference=record.maybe("reference"),
    )


BUILDERS: dict[InputKind, Callable[[Record, str | None], InputRow]] = {
    "pairs": _pair,
    "responses": _response,
    "candidates": _candidates,
}
