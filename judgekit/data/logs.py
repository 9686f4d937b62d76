"""What judges said, in anyone's files: verdicts and scores, alone or beside what they are measured against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from judgekit.data.conversations import SHAPES
from judgekit.data.records import RENAME, Record
from judgekit.data.sources import GOLD, PAIR_FIELDS, PAIR_TEXTS, read_label, read_pair, renamed, warn_of_clusters
from judgekit.data.tables import folded, read_table
from judgekit.data.verdict_words import VerdictWords
from judgekit.errors import ConfigError, DataError, Problem
from judgekit.rows import ORDERS, Order, ResponsePair, ScoredResponse, Verdict
from judgekit.score_rows import ScoreRow
from judgekit.verdict_rows import VerdictRow

VerdictNames = Literal["response", "position"]
"""What A is in a verdict: response_a, or the response that was shown first."""
LogKind = Literal["verdicts", "scores"]

VERDICT_FIELDS = ("id", "order", "sample", "verdict", "invalid", "p_a", "score_a", "score_b", "text")
SCORE_FIELDS = ("id", "sample", "score", "invalid", "text")
LABELLED_FIELDS = tuple(dict.fromkeys((*PAIR_FIELDS, GOLD, *VERDICT_FIELDS)))
SCORED_FIELDS = (
    "id", "instruction", "response", "label", GOLD, "score", "low", "high", "group", "system", "criterion", "reference",
    "subset",
)  # fmt: skip
FIELDS = tuple(dict.fromkeys((*LABELLED_FIELDS, *SCORED_FIELDS)))
UNSTATED = "unstated"
_MIRROR: Mapping[Verdict | None, Verdict | None] = {"A": "B", "B": "A", "tie": "tie", None: None}


def log_kind(path: Path, columns: Mapping[str, str] | None = None) -> LogKind:
    """What a file holds, by the columns of its first row.

    :raises DataError: when it holds neither
    """
    line, values = next(read_table(path))
    for kind, field in (("verdicts", "verdict"), ("scores", "score")):
        if field in (columns or {}) or field in values:
            return "verdicts" if kind == "verdicts" else "scores"
    message = f"has {', '.join(values) or 'no columns'}; verdicts need the column verdict, scores the column score"
    raise DataError(f"{message}. {RENAME}", file=path, line=line)


def split_columns(columns: Mapping[str, str], *files: tuple[Path, Sequence[str]]) -> list[dict[str, str]]:
    """The names that hold for each of several files: those of its fields whose columns it has.

    :param files: each with its fields; none where names cannot differ
    :raises ConfigError: for a name of no field, or a column that no file has
    """
    renamed(columns, FIELDS)
    found = []
    for path, fields in files:
        held = set(next(read_table(path))[1]) if columns and fields else set()
        found.append({field: name for field, name in columns.items() if field in fields and folded(name) in held})
    for field, name in columns.items():
        if not any(field in given for given in found):
            message = f"no file with the field '{field}' has a column '{name}'"
            raise ConfigError([Problem(f"columns.{field}", message, "Correct the column's name")])
    return found


def read_verdicts(
    path: str | Path, columns: Mapping[str, str] | None = None, *, names: VerdictNames = "response"
) -> list[VerdictRow]:
    """Verdicts of a file (``tables.read_table``).

    Fields: ``id``, ``verdict`` (``verdict_words``; nothing is an invalid one); optional ``order`` (ab), ``sample`` (0),
    ``invalid``, ``p_a``, ``score_a``, ``score_b``, ``text``.

    :param columns: {our field: their column} where names differ
    :param names: what A is in the file; read rows name responses
    :raises DataError: naming file, line and field
    """
    words, path = VerdictWords(), Path(path)
    rows = [row for _, row in iter_verdicts(path, columns, words=words, names=names)]
    words.check(path, "verdict")
    return rows


def iter_verdicts(
    path: Path,
    columns: Mapping[str, str] | None = None,
    *,
    words: VerdictWords,
    names: VerdictNames = "response",
    texts: bool = True,
) -> Iterator[tuple[int, VerdictRow]]:
    """Yield (line, row) of what ``read_verdicts`` reads; the caller checks the words.

    :param texts: keep the judge's replies; metrics do not look at them
    """
    read = renamed(columns, VERDICT_FIELDS)
    for line, values in read_table(path, read if texts else read[:-1]):
        record = Record(path, line, values, columns or {})
        yield line, _verdict(record, record.id(), words, names)


def read_labelled(
    path: Path, columns: Mapping[str, str] | None = None, *, names: VerdictNames = "response"
) -> tuple[list[ResponsePair], list[tuple[int, VerdictRow]]]:
    """Pairs and (line, verdict) of one file that holds both: ``verdict`` and ``label`` (or ``gold``).

    All other fields of ``read_pairs`` and ``read_verdicts`` are optional. Without ids rows of several orders or samples
    belong together by their texts, and every other row is a pair of its own.

    :raises DataError: naming file, line and field; also for a pair with two labels
    """
    words = VerdictWords()
    pairs: dict[str, ResponsePair] = {}
    rows: list[tuple[int, VerdictRow]] = []
    read = [*renamed(columns, LABELLED_FIELDS)[:-1], *SHAPES]  # without the texts of replies
    for number, (line, values) in enumerate(read_table(path, read), start=1):
        record = Record.own(path, line, values, columns)
        _need_gold(record)
        row_id = _row_id(record, number, texts=PAIR_TEXTS)
        pair = read_pair(record, row_id, read_label(record, words), texts=False)
        if pairs.setdefault(pair.id, pair).label != pair.label:
            field = "label" if record.has("label") else GOLD
            raise record.error(field, f"is not that of an earlier row of pair '{pair.id}'; give a pair one label")
        row = _verdict(record, pair.id, words, names)
        if row_id is not None and not record.has("id") and rows and row.order != rows[0][1].order:
            message = "is missing, so that nobody knows which rows of both orders belong together; give every pair one"
            raise record.error("id", message)
        rows.append((line, row))
    words.check(path, "verdict")
    found = list(pairs.values())
    warn_of_clusters(path, found)
    return found, rows


def _need_gold(record: Record) -> None:
    if not record.has("label") and not record.has(GOLD):
        message = "is missing, and so is 'label'; add the column, or give the labels with --gold FILE"
        raise record.error(GOLD, f"{message}. {record.remedy}")


def _row_id(record: Record, number: int, texts: Sequence[str] = ()) -> str | None:
    """The id of a row, its number where rows stand alone, None where texts say to which others it belongs."""
    if record.has("id"):
        return record.id()
    if texts and (record.has("order") or record.has("sample")) and all(record.maybe(field) for field in texts):
        return None
    if _sample(record):
        raise record.error("id", "is missing, so that nobody knows what this is another sample of; add the column")
    return f"row {number}"


def _verdict(record: Record, row_id: str, words: VerdictWords, names: VerdictNames) -> VerdictRow:
    verdict, invalid = words.read(record, "verdict"), record.maybe("invalid")
    if verdict is not None and invalid is not None:
        raise record.error("invalid", "must be empty where there is a verdict; empty one of the two")
    order, p_a = _order(record), record.maybe_number("p_a")
    if p_a is not None and not 0 <= p_a <= 1:
        raise record.error("p_a", f"must lie in [0, 1], not {p_a}")
    scores = record.maybe_number("score_a"), record.maybe_number("score_b")
    if names == "position" and order == "ba":
        verdict, scores, p_a = _MIRROR[verdict], scores[::-1], None if p_a is None else 1 - p_a
    reason = (invalid or UNSTATED) if verdict is None else None
    return VerdictRow(row_id, order, _sample(record), verdict, reason, _text(record), p_a, *scores)


def _order(record: Record) -> Order:
    given = record.maybe("order")
    if given is None:
        return "ab"
    for order in ORDERS:
        if given.strip().lower() == order:
            return order
    raise record.error("order", f"holds {given!r}; use ab, or ba where response_b was shown first")


def _sample(record: Record) -> int:
    number = record.maybe_number("sample") or 0.0
    if number < 0 or not number.is_integer():
        raise record.error("sample", f"holds {number}; use whole numbers, 0 the first")
    return int(number)


def _text(record: Record) -> str:
    """A judge's reply, which may hold anything."""
    text = record.values.get(record.columns.get("text", "text"))
    if text is not None and not isinstance(text, str):
        raise record.error("text", f"holds {text!r} where text belongs")
    return text or ""


def iter_scores(path: Path, columns: Mapping[str, str] | None = None) -> Iterator[ScoreRow]:
    """Yield scores that judges gave single responses: ``id``, ``score``; optional ``sample``, ``invalid``, ``text``.

    :raises DataError: naming file, line and field
    """
    for line, values in read_table(path, renamed(columns, SCORE_FIELDS)):
        record = Record(path, line, values, columns or {})
        yield _score(record, record.id())


def _score(record: Record, row_id: str) -> ScoreRow:
    record.value("score")
    score, invalid = record.maybe_number("score"), record.maybe("invalid")
    if score is not None and invalid is not None:
        raise record.error("invalid", "must be empty where there is a score; empty one of the two")
    return ScoreRow(row_id, _sample(record), score, None if score is not None else invalid or UNSTATED, _text(record))


def iter_scored(path: Path, columns: Mapping[str, str] | None = None) -> Iterator[tuple[str, ScoredResponse | None]]:
    """Yield (id, response with the score people gave it), None where it has none.

    Fields: ``id`` and ``gold``, ``label`` or ``score``; all others of ``ScoredResponse`` are optional. Responses of one
    group, by default of one instruction, belong together.

    :raises DataError: naming file, line and field
    """
    for line, values in read_table(path, renamed(columns, SCORED_FIELDS)):
        record = Record(path, line, values, columns or {})
        yield record.id(), _scored(record, record.id(), (GOLD, "label", "score"))


def read_scored(
    path: Path, columns: Mapping[str, str] | None = None
) -> tuple[dict[str, ScoredResponse | None], list[ScoreRow]]:
    """Responses by id and a judge's scores of one file that holds both: ``score`` and ``gold`` (or ``label``).

    :raises DataError: naming file, line and field
    """
    responses: dict[str, ScoredResponse | None] = {}
    rows = []
    fields = tuple(dict.fromkeys((*SCORED_FIELDS, *SCORE_FIELDS)))
    for number, (line, values) in enumerate(read_table(path, renamed(columns, fields)), start=1):
        record = Record(path, line, values, columns or {})
        _need_gold(record)
        row_id = str(_row_id(record, number))
        responses.setdefault(row_id, _scored(record, row_id, (GOLD, "label")))
        rows.append(_score(record, row_id))
    return responses, rows


def _scored(record: Record, row_id: str, fields: Sequence[str]) -> ScoredResponse | None:
    named = next((field for field in fields if record.has(field)), fields[0])
    record.value(named)
    gold = record.maybe_number(named)
    if gold is None:
        return None
    instruction = record.maybe("instruction") or ""
    group = record.maybe_name("group") or (instruction if instruction.strip() else f"response {row_id}")
    return ScoredResponse(
        row_id, instruction, record.maybe("response") or "", gold, record.maybe_number("low"),
        record.maybe_number("high"), group, record.maybe_name("system"), record.maybe("criterion"),
        record.maybe("reference"), record.maybe_name("subset"),
    )  # fmt: skip
