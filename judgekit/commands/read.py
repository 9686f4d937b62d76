"""``judgekit read``: how a protocol reads replies, whoever wrote them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from judgekit.data.records import Record
from judgekit.data.tables import read_table
from judgekit.errors import ConfigError, Problem
from judgekit.prompts.base import PairProtocol, PointProtocol
from judgekit.prompts.thoughts import split_thought
from judgekit.schema.composition import Composer
from judgekit.schema.evaluation import EvalConfig


def read_replies(file: Path, overrides: Sequence[str], output: Path | None) -> None:
    """Write a row for every reply, to ``output`` or stdout, and say on stderr how many could be read.

    :param file: rows with ``text`` and, where the reply hit its token limit, ``truncated``; other fields are kept
    :raises ConfigError: where no protocol is named
    :raises DataError: naming file, line and field
    """
    config, _ = Composer(name="eval", kind=EvalConfig).values(overrides)
    assert isinstance(config, EvalConfig)
    if config.prompt is None:
        raise ConfigError([Problem("prompt", "no protocol is named", "Add prompt=pairwise, or another prompt=NAME")])
    counts: Counter[str] = Counter()
    rows = _read(file, config.prompt.protocol, counts)
    if output is None:
        _write(rows, sys.stdout)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("w", encoding="utf-8") as target:
            _write(rows, target)
    total, well = counts.total(), counts.pop("", 0)
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
    print(
        f"{total} replies: {well} read" + (f", {total - well} invalid ({reasons})" if reasons else ""), file=sys.stderr
    )


def _read(file: Path, protocol: PairProtocol | PointProtocol, counts: Counter[str]) -> Iterator[dict[str, Any]]:
    for line, values in read_table(file):
        record = Record(file, line, values)
        text, truncated = record.text("text"), values.get("truncated") or False
        if not isinstance(truncated, bool):
            raise record.error("truncated", f"is {truncated!r}; write true or false")
        found: dict[str, Any]
        if isinstance(protocol, PairProtocol):
            reading = protocol.read(text, truncated)
            found = {"verdict": reading.verdict, "invalid": reading.invalid}
        else:
            scored = protocol.read_score(text, truncated)
            found = {"score": scored.score, "invalid": scored.invalid}
        counts[found["invalid"] or ""] += 1
        reply = split_thought(text)
        kept = {name: value for name, value in values.items() if name not in ("text", "truncated")}
        yield kept | found | {"thought": reply.thought, "answer": reply.answer}


def _write(rows: Iterator[dict[str, Any]], target: TextIO) -> None:
    for row in rows:
        target.write(json.dumps(row, ensure_ascii=False) + "\n")
