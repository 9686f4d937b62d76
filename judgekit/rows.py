"""The data rows that flow between stages, and their JSON Lines form.

Instruction -> ResponsePair -> Judgment -> Demonstration | Preference. All rows are frozen: an augmentation
makes a new row, it never edits one.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from judgekit.errors import DataError

Verdict = Literal["A", "B", "tie"]
Order = Literal["ab", "ba"]
Message = Mapping[str, str]
"""One chat turn: ``{"role": "user" | "system" | "assistant", "content": text}``; plain text: one of role ``text``."""

VERDICTS: tuple[str, ...] = get_args(Verdict)
ORDERS: tuple[Order, ...] = ("ab", "ba")


@dataclass(frozen=True, slots=True)
class Instruction:
    """What a user asks.

    :param id: unique and stable; splits and random draws are keyed by it
    :param text: the instruction as shown to the judge
    :param source: where it comes from, for example ``starter`` or ``maths``
    :param category: topic or task kind
    :param near_miss: a highly relevant instruction that asks something else (noisy-instruction pairs)
    :param answer: ground truth of a verifiable task, as its checker reads it
    :param checker: how responses are verified (a kind of ``data.constraints`` or a maths scorer), None if they are not
    """

    id: str
    text: str
    source: str
    category: str
    near_miss: str | None = None
    answer: str | None = None
    checker: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ResponsePair:
    """Two responses to one instruction; ``label`` names the better response, not a position.

    :param group: rows of one group share an instruction; intervals resample groups
    :param model_a: who wrote response_a, where that is known; likewise ``model_b``
    :param input: the end of the instruction that is its input, where the data keeps the two apart
    """

    id: str
    instruction: str
    response_a: str
    response_b: str
    label: Verdict | None
    reference: str | None = None
    subset: str | None = None
    group: str | None = None
    model_a: str | None = None
    model_b: str | None = None
    input: str | None = None

    @property
    def cluster(self) -> str:
        """The unit the bootstrap resamples: the group, by default the instruction, without one the pair itself."""
        if self.group is not None:
            return self.group
        return self.instruction if self.instruction.strip() else f"pair {self.id}"


@dataclass(frozen=True, slots=True)
class Response:
    """One response to be scored.

    :param criterion: what is scored, as a question or a sentence; None: overall quality
    :param subset: task type or another division of the data it comes from
    """

    id: str
    instruction: str
    response: str
    reference: str | None = None
    criterion: str | None = None
    subset: str | None = None


@dataclass(frozen=True, slots=True)
class ScoredResponse:
    """One response with a human score.

    :param score: mean of the human scores; higher is better
    :param low: worst score of the scale, None where there is no scale (rankings); ``high`` the best
    :param group: responses of one group answer the same instruction
    :param system: who wrote the response, None where that is not known
    :param criterion: what was scored, as the human raters were asked; None: overall quality
    :param subset: the criterion's name or another division of the benchmark
    """

    id: str
    instruction: str
    response: str
    score: float
    low: float | None
    high: float | None
    group: str
    system: str | None = None
    criterion: str | None = None
    reference: str | None = None
    subset: str | None = None

    @property
    def shown(self) -> Response:
        """What a judge may see of it: everything but the human score."""
        return Response(self.id, self.instruction, self.response, self.reference, self.criterion, self.subset)


@dataclass(frozen=True, slots=True)
class Judgment:
    """One chain of thought of a judge on one pair in one order.

    :param id: id of the pair
    :param order: ``ba`` means the judge saw response_b first
    :param sample: index of the sample, unique within (id, order)
    :param verdict: names the response (A = response_a), not the position; None when invalid
    :param invalid: why there is no verdict; None when there is one
    :param p_a: probability that response_a is better, where decoding yields it
    :param text: the judge's whole reply (plan, execution and verdict stitched)
    :param plan: the evaluation plan alone, and ``plan_index`` its number, for recipes that plan
    """

    id: str
    order: Order
    sample: int
    verdict: Verdict | None
    invalid: str | None
    text: str
    p_a: float | None = None
    plan: str | None = None
    plan_index: int | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of several responses an actor sampled to a prompt.

    :param id: unique; ``prompt_id`` is the id of the instruction
    :param tokens: length of the response in tokens
    """

    id: str
    prompt_id: str
    instruction: str
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class PointJudgment:
    """One judgment of a single response.

    :param id: id of the response
    :param sample: index of the sample, unique within the id
    :param score: on the protocol's scale; None when invalid
    :param invalid: why there is no score; None when there is one
    :param text: the judge's whole reply
    :param tokens: its length in tokens
    """

    id: str
    sample: int
    score: float | None
    invalid: str | None
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A prompt and the reply to imitate (SFT).

    :param prompt: chat messages, the last one from the user
    :param epoch: the only epoch (0-based) that shows it, for rows an augmentation makes anew in each; None: all show it
    """

    id: str
    prompt: tuple[Message, ...]
    target: str
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Preference:
    """A prompt with a preferred and a dispreferred reply (DPO)."""

    id: str
    prompt: tuple[Message, ...]
    chosen: str
    rejected: str


Row = TypeVar(
    "Row",
    Instruction, ResponsePair, Response, ScoredResponse, Candidate, Judgment, PointJudgment, Demonstration, Preference,
)  # fmt: skip


def to_json(row: Any) -> str:
    """One line of JSON: every field, in field order."""
    return json_line(dataclasses.asdict(row))


def json_line(value: Any) -> str:
    """A value as JSON that UTF-8 can hold: characters as they are, in a row with a lone surrogate all as escapes."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False)
    return text


def write_rows(path: Path, rows: Iterable[Any]) -> int:
    """Write rows as JSON Lines and return how many. The file appears whole or not at all."""
    return write_lines(path, map(to_json, rows))


def write_lines(path: Path, lines: Iterable[str]) -> int:
    """Write lines and return how many. The file appears whole or not at all."""
    count = 0
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        for line in lines:
            file.write(line + "\n")
            count += 1
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    return count


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """Read rows judgekit wrote itself (outside data goes through ``judgekit.data.sources``)."""
    return list(iter_rows(path, kind))


def iter_rows(path: Path, kind: type[Row]) -> Iterator[Row]:
    """Yield rows of one kind from a JSON Lines file.

    :raises DataError: naming the line and the field that does not fit ``kind``
    """
    names = {f.name for f in dataclasses.fields(kind)}
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                values = json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(f"not JSON: {error}", file=path, line=number) from error
            unknown = set(values) - names
            if unknown:
                raise DataError(f"unknown field for {kind.__name__}", file=path, line=number, field=min(unknown))
            if "prompt" in values:
                values["prompt"] = tuple(values["prompt"])
            try:
                yield kind(**values)
            except TypeError as error:
                raise DataError(str(error), file=path, line=number) from error
