"""Outside data -> rows: the only door through which foreign rows enter.

Everything is checked here, by file, line and field, so that code behind this door trusts its rows. Text is never
altered: what the file holds is what the judge reads.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from judgekit.data import oasst
from judgekit.data.answers import gsm8k_answer, last_boxed
from judgekit.data.conversations import SHAPES
from judgekit.data.maths import CHECKERS, maths_instructions
from judgekit.data.records import Record
from judgekit.data.tables import read_hub, read_table
from judgekit.data.verdict_words import VerdictWords
from judgekit.errors import ConfigError, Problem
from judgekit.randomness import digest, draw_bits
from judgekit.rows import Instruction, ResponsePair, ScoredResponse, Verdict
from judgekit.schema.data import SourceConfig

__all__ = ["load_source", "read_instructions", "read_pairs", "read_table"]

INSTRUCTION_FIELDS = ("id", "instruction", "input", "category", "near_miss", "answer", "checker")
PAIR_FIELDS = (
    "id",
    "instruction",
    "response_a",
    "response_b",
    "label",
    "reference",
    "subset",
    "group",
    "model_a",
    "model_b",
    "input",
)
PAIR_TEXTS = ("instruction", "response_a", "response_b")
GOLD = "gold"
"""Another name of the column ``label``."""
SOLVED_FIELDS = {"gsm8k": ("question", "answer"), "math": ("problem", "solution", "type")}

_log = logging.getLogger(__name__)

Numbered = Iterable[tuple[int, dict[str, Any]]]
Kind = TypeVar("Kind", Instruction, ResponsePair)


def read_instructions(
    path: Path, columns: Mapping[str, str] | None = None, *, source: str = "jsonl", needed: Collection[str] = ()
) -> list[Instruction]:
    """Instructions of a file (``tables.read_table``).

    Fields: ``instruction``, text or messages, or what ``conversations.shaped`` takes for one; optional ``input`` (added
    to the instruction after a blank line), ``category``, ``near_miss``, ``answer``, ``checker`` and ``id``. Without
    ids, rows are named by their text, and a repeated instruction is left out.

    :param columns: {our field: their column} where names differ
    :param needed: optional fields that must be there, for example ``near_miss``
    :raises DataError: naming file, line and field
    """
    return _instructions(path, _table(path, columns, INSTRUCTION_FIELDS, SHAPES), columns, source, needed)


def read_pairs(
    path: str | Path,
    columns: Mapping[str, str] | None = None,
    *,
    texts: bool = True,
    words: VerdictWords | None = None,
) -> list[ResponsePair]:
    """Response pairs of a file (``tables.read_table``).

    Fields: ``instruction``, ``response_a``, ``response_b``, texts or messages, or a preference of another shape
    (``conversations.shaped``); optional ``label`` or ``gold`` (``verdict_words``),
    ``reference``, ``subset``, ``group``, ``model_a``, ``model_b``, ``input`` and ``id``. Without ids, rows are named by
    their content. Pairs that make one cluster, of which intervals know nothing, are warned of.

    :param columns: {our field: their column} where names differ
    :param texts: False accepts pairs without instruction and responses, which can be measured if not asked for
    :param words: reads the labels; None: one of their own, checked at the end
    :raises DataError: naming file, line and field
    """
    path, own = Path(path), words or VerdictWords()
    pairs = _pairs(path, _table(path, columns, (*PAIR_FIELDS, GOLD), SHAPES), columns, own, texts)
    if words is None:
        own.check(path, "label")
    warn_of_clusters(path, pairs)
    return pairs


def warn_of_clusters(file: str | Path, pairs: Collection[ResponsePair]) -> None:
    """Say what intervals of these pairs rest on where that is not what their instructions tell."""
    if len(pairs) > 1 and len({pair.cluster for pair in pairs}) == 1:
        message = (
            "%s: all %d pairs have one instruction (or group), so they are one cluster and intervals mean nothing; "
        )
        _log.warning(message + "give each its instruction, or a column 'group'", file, len(pairs))
    if alone := sum(pair.group is None and not pair.instruction.strip() for pair in pairs):
        _log.warning("%s: %d pairs without instruction or group count as independent of each other", file, alone)


def load_source(
    config: SourceConfig, seed: int, drop: Callable[[str], None] = lambda reason: None
) -> list[Instruction] | list[ResponsePair]:
    """The rows of one source: response pairs when the source holds them (``pairs: given``), else instructions.

    ``config.count`` rows are drawn by (seed, id) and keep their order.

    :param drop: called with the reason for every row that is left out
    :raises ConfigError: when the configuration asks for what the source cannot give
    :raises DataError: for bad rows, naming file, line and field
    """
    if config.kind in ("maths", "constraints"):
        return _generated(config, seed)
    if config.kind == "starter":
        return _take(starter_instructions(), config, seed)
    if config.kind == "oasst":
        return _take(_trees(config, seed, drop), config, seed)
    if config.kind in SOLVED_FIELDS:
        return _take(_solved(config), config, seed)
    name, columns = _name(config), config.columns
    if config.pairs == "given":
        words = VerdictWords()
        pairs = _pairs(name, _rows(config, (*PAIR_FIELDS, GOLD), SHAPES), columns, words)
        words.check(name, "label")
        return _take(pairs, config, seed)
    needed = {"near_miss": ("near_miss",), "verified": ("answer", "checker")}.get(config.pairs, ())
    rows = _rows(config, INSTRUCTION_FIELDS, SHAPES)
    return _take(_instructions(name, rows, columns, config.kind, needed), config, seed)


def _generated(config: SourceConfig, seed: int) -> list[Instruction]:
    if config.count is None:
        message = f"a source of kind {config.kind} has no end, and its count is null"
        raise ConfigError([Problem("count", message, hint="Say how many instructions to make")])
    if config.kind == "maths":
        return maths_instructions(config.count, seed)
    from judgekit.data.constraints import constraint_instructions

    return constraint_instructions(config.count, seed)


def _take(rows: list[Kind], config: SourceConfig, seed: int) -> list[Kind]:
    if config.count is None:
        return rows
    if config.count > len(rows):
        message = f"{config.count} instructions are asked for, and {_name(config)} has {len(rows)}"
        raise ConfigError([Problem("count", message, hint=f"Use at most {len(rows)}, or null for all")])
    chosen = {row.id for row in sorted(rows, key=lambda row: draw_bits(seed, row.id, "take"))[: config.count]}
    return [row for row in rows if row.id in chosen]


def _name(config: SourceConfig) -> str:
    """What to call the source in messages: the file, the data set, or the kind."""
    return config.path or config.hub_id or config.kind


def _table(
    path: Path, columns: Mapping[str, str] | None, fields: Sequence[str], shapes: Sequence[str] = ()
) -> Numbered:
    return read_table(path, [*renamed(columns, fields), *shapes])


def _rows(config: SourceConfig, fields: Sequence[str], shapes: Sequence[str] = ()) -> Numbered:
    if config.path is not None:
        return _table(Path(config.path), config.columns, fields, shapes)
    if config.hub_id is None or config.revision is None:
        message = f"a source of kind {config.kind} needs path, or hub_id and revision"
        raise ConfigError([Problem("path", message)])
    return read_hub(config.hub_id, config.revision, config.split, [*renamed(config.columns, fields), *shapes])


def renamed(columns: Mapping[str, str] | None, fields: Sequence[str]) -> list[str]:
    """Names of the foreign columns that are read.

    :raises ConfigError: for a field that these rows do not have
    """
    unknown = sorted(set(columns or {}) - set(fields))
    if unknown:
        message = f"'{unknown[0]}' is not a field of these rows"
        raise ConfigError([Problem(f"columns.{unknown[0]}", message, hint=f"Fields: {', '.join(fields)}")])
    return [(columns or {}).get(field, field) for field in fields]


def _instructions(
    file: str | Path, rows: Numbered, columns: Mapping[str, str] | None, source: str, needed: Collection[str]
) -> list[Instruction]:
    def build(record: Record, row_id: str | None) -> Instruction:
        for field in needed:
            record.asked(field)
        text, checker = record.asked("instruction"), record.maybe("checker")
        given = (record.maybe("input") or "").strip()
        text = f"{text}\n\n{given}" if given else text
        if checker is not None and checker not in CHECKERS:
            raise record.error("checker", f"'{checker}' is not one of {', '.join(CHECKERS)}")
        return Instruction(
            id=row_id if row_id is not None else f"{source}-{digest(text)}",
            text=text,
            source=source,
            category=record.maybe("category") or source,
            near_miss=record.maybe("near_miss"),
            answer=record.maybe("answer"),
            checker=checker,
            extra={"input": given} if given else {},
        )

    return _build(file, rows, columns, build)


def _pairs(
    file: str | Path,
    rows: Numbered,
    columns: Mapping[str, str] | None,
    words: VerdictWords,
    texts: bool = True,
) -> list[ResponsePair]:
    def build(record: Record, row_id: str | None) -> ResponsePair:
        return read_pair(record, row_id, read_label(record, words), texts)

    return _build(file, rows, columns, build)


def read_label(record: Record, words: VerdictWords) -> Verdict | None:
    """The label of a row, None where it has none.

    :raises DataError: for a word that is none of ``verdict_words``
    """
    named = next((name for name in ("label", GOLD) if record.has(name)), None)
    return None if named is None else words.read(record, named)


def read_pair(record: Record, row_id: str | None, label: Verdict | None, texts: bool = True) -> ResponsePair:
    """One row as a pair, named by its content where it has no id.

    :param texts: False accepts a row without instruction and responses
    :raises DataError: naming file, line and field
    """
    if texts:
        instruction, a, b = record.asked("instruction"), record.text("response_a"), record.text("response_b")
    else:
        found = [record.maybe(field) for field in PAIR_TEXTS]
        instruction, a, b = (text or "" for text in found)
        if row_id is None and None in found:
            missing = PAIR_TEXTS[found.index(None)]
            raise record.error(
                "id", f"is missing, and so is {missing}: rows need an id, or their texts. {record.remedy}"
            )
    return ResponsePair(
        id=row_id if row_id is not None else f"pair-{digest([instruction, a, b])}",
        instruction=instruction,
        response_a=a,
        response_b=b,
        label=label,
        reference=record.maybe("reference"),
        subset=record.maybe_name("subset"),
        group=record.maybe_name("group"),
        model_a=record.maybe_name("model_a"),
        model_b=record.maybe_name("model_b"),
        input=record.maybe("input"),
    )


def _solved(config: SourceConfig) -> list[Instruction]:
    r"""Problems with worked solutions: GSM8K (answer after ``####``) and MATH (answer in ``\boxed{}``).

    :raises DataError: also where a solution states no final answer
    """
    kind, fields = config.kind, SOLVED_FIELDS[config.kind]
    extract, form = (gsm8k_answer, "#### N") if kind == "gsm8k" else (last_boxed, "\\boxed{N}")

    def build(record: Record, row_id: str | None) -> Instruction:
        text = record.asked(fields[0])
        answer = extract(record.text(fields[1]))
        if not answer:
            raise record.error(fields[1], f"states no final answer in the form {form}; is this a {kind} file?")
        category = (record.maybe("type") if kind == "math" else None) or kind
        return Instruction(f"{kind}-{digest(text)}", text, kind, category, answer=answer, checker=kind)

    return _build(_name(config), _rows(config, fields), config.columns, build)


def load_rankings(config: SourceConfig, pairs: Collection[ResponsePair]) -> list[ScoredResponse]:
    """The ranked responses behind some of a source's pairs, by the pairs' groups.

    Where the source holds no rankings they are the two responses of every labelled pair, each a group of its own:
    nobody compared responses of different pairs.

    :raises DataError: for bad rows, naming file, line and field
    """
    wanted = {str(pair.group) for pair in pairs}
    if config.kind == "oasst":
        records = (Record(_name(config), line, values) for line, values in _rows(config, oasst.FIELDS))
        return [row for record in records for row in oasst.ranked_responses(record) if row.group in wanted]
    return [row for pair in pairs if pair.label is not None for row in _as_ranking(pair)]


def _as_ranking(pair: ResponsePair) -> list[ScoredResponse]:
    points = {"A": (1.0, 0.0), "B": (0.0, 1.0), "tie": (0.5, 0.5)}[str(pair.label)]
    return [
        ScoredResponse(f"{pair.id}/{side}", pair.instruction, text, score, None, None, pair.id)
        for side, text, score in zip("ab", (pair.response_a, pair.response_b), points, strict=True)
    ]


def trees(config: SourceConfig, drop: Callable[[str], None] = lambda reason: None) -> Iterator[Record]:
    """The conversation trees in the language wanted.

    :raises ConfigError: there is none
    """
    others: Counter[str] = Counter()
    found = False
    for line, values in _rows(config, oasst.FIELDS):
        record = Record(_name(config), line, values, remedy="Is this an oasst file?")
        language = None if config.language is None else oasst.language(record)
        if language == config.language:
            found = True
            yield record
        else:
            others[str(language)] += 1
            drop("tree in another language")
    if others and not found:
        held = ", ".join(f"{count} in {name}" for name, count in others.most_common())
        message = f"{_name(config)} has no tree in {config.language!r} ({held})"
        raise ConfigError([Problem("language", message, "Name another language or file; null takes all trees")])


def _trees(config: SourceConfig, seed: int, drop: Callable[[str], None]) -> list[ResponsePair]:
    """The best and the worst reply to the first prompt of every conversation tree."""
    found: dict[str, ResponsePair] = {}
    for record in trees(config, drop):
        pairs = list(oasst.best_and_worst(record, seed))
        if not pairs:
            drop("tree whose first prompt has no replies ranked apart")
        for pair in pairs:
            if pair.id in found:
                raise record.error("prompt", f"message '{pair.id}' is there twice; give one copy of every tree")
            found[pair.id] = pair
    return list(found.values())


def _build(
    file: str | Path,
    rows: Numbered,
    columns: Mapping[str, str] | None,
    build: Callable[[Record, str | None], Kind],
) -> list[Kind]:
    """Rows with unique ids: given ids may not repeat; rows named by content are kept once."""
    built: dict[str, Kind] = {}
    lines: dict[str, int] = {}
    repeated, named = 0, None
    for line, values in rows:
        record = Record.own(file, line, values, columns)
        if named is None:  # the first row says whether the source names its rows
            named = "id" in record.columns or "id" in values
        row = build(record, record.id() if named else None)
        if row.id in built and named:
            raise record.error("id", f"'{row.id}' is also the id of line {lines[row.id]}; ids must be unique")
        repeated += row.id in built
        built.setdefault(row.id, row)
        lines.setdefault(row.id, line)
    if repeated:
        _log.warning("%s: left out %d repeated rows", file, repeated)
    return list(built.values())


def starter_instructions() -> list[Instruction]:
    """The starter instructions, in file order: each has a category and a near miss.

    A near miss is highly relevant to its instruction and asks something else, so that a good answer to it is a
    wrong answer to the instruction.
    """
    with resources.as_file(resources.files("judgekit.data") / "starter" / "instructions.jsonl") as path:
        return read_instructions(path, source="starter", needed=("category", "near_miss"))
