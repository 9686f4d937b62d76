"""Training rows in the conversational format that TRL and other trainers read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judgekit.errors import StageError
from judgekit.export.finished_run import ExportRun
from judgekit.prompts.chat import is_plain
from judgekit.rows import Demonstration, Preference, read_rows
from judgekit.store import file_digest

ROWS = "rows.jsonl"


@dataclass(frozen=True)
class RowsFile:
    """One exported file.

    :param stage: the stage that made the rows
    :param kind: ``demonstrations`` (prompt, completion) or ``preferences`` (prompt, chosen, rejected)
    """

    name: str
    stage: str
    kind: str
    rows: int
    sha256: str


def conversation(row: Demonstration | Preference) -> dict[str, Any]:
    """A row as TRL's prompt-completion or preference type: every text a list of messages, or plain text as it is."""
    if is_plain(row.prompt):
        plain = row.prompt[0]["content"]
        if isinstance(row, Demonstration):
            return {"prompt": plain, "completion": row.target}
        return {"prompt": plain, "chosen": row.chosen, "rejected": row.rejected}
    prompt = [dict(message) for message in row.prompt]
    if isinstance(row, Demonstration):
        return {"prompt": prompt, "completion": _reply(row.target)}
    return {"prompt": prompt, "chosen": _reply(row.chosen), "rejected": _reply(row.rejected)}


def _reply(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def write_conversations(run: ExportRun, folder: Path) -> list[RowsFile]:
    """One JSON Lines file for each stage that made training rows.

    :raises StageError: the store no longer holds the rows
    """
    files: list[RowsFile] = []
    for stage in run.manifest["stages"]:
        kind = _kind(stage["rows"])
        if kind is None:
            continue
        source = Path(stage["path"]) / ROWS
        if not source.is_file():
            raise StageError(f"{source} is gone. Give the run's command again: {run.manifest['command']}")
        rows: Sequence[Demonstration | Preference]
        rows = read_rows(source, Demonstration) if kind == "demonstrations" else read_rows(source, Preference)
        target = folder / (stage["name"].replace("/", "-") + ".jsonl")
        lines = [json.dumps(conversation(row), ensure_ascii=False) + "\n" for row in rows]
        target.write_text("".join(lines), encoding="utf-8", newline="\n")
        files.append(RowsFile(target.name, stage["name"], kind, len(rows), file_digest(target)))
    if not files:
        raise StageError(f"The run in {run.path} made no training rows.")
    return files


def _kind(counts: dict[str, int]) -> str | None:
    """What a stage's rows are, by what it counted."""
    return next((kind for kind in ("demonstrations", "preferences") if kind in counts), None)
