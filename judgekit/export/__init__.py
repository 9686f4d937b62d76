"""Taking a finished run's judge and data elsewhere: PEFT adapter, merged model, training rows, each with a card."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from judgekit.errors import StageError
from judgekit.export.finished_run import ExportRun
from judgekit.run_folder import RunFolder
from judgekit.store import share

CARD = "README.md"
_MARK = "\n- judgekit\n"


def export(run_dir: Path, output: Path | None = None, *, merged: bool = False, data: bool = False) -> list[Path]:
    """Write what a run made into folders that need no judgekit, and return them.

    ``adapter/`` (PEFT) unless the run trained whole weights; ``model/`` with ``merged``, or when the run trained whole
    weights; ``data/`` with ``data``. Folders of an earlier export are replaced, others are left alone.

    :param output: where the folders go; default ``export`` in the run's folder
    :raises DataError: a file of the run that cannot be read
    :raises StageError: the run is not finished, its rows are gone, or a folder in the way is not an export
    :raises ModelError: the base model cannot be obtained
    """
    run = ExportRun.read(run_dir)
    root = output if output is not None else RunFolder(run_dir).export
    wanted: dict[str, Callable[[ExportRun, Path], None]] = {}
    if run.is_adapter:
        wanted["adapter"] = _adapter
    if merged or not run.is_adapter:
        wanted["model"] = _model
    if data:
        wanted["data"] = _data
    for name in wanted:
        _check_free(root / name)
    for name, write in wanted.items():
        partial = root / f".{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        write(run, partial)
        share(partial)
        shutil.rmtree(root / name, ignore_errors=True)
        partial.rename(root / name)
    return [root / name for name in wanted]


def _check_free(folder: Path) -> None:
    """Only an earlier export may be replaced; its card says that it is one."""
    card = folder / CARD
    if folder.exists() and not (card.is_file() and _MARK in card.read_text(encoding="utf-8", errors="replace")):
        raise StageError(f"{folder} is in the way and is not an earlier export. Name another place with -o FOLDER.")


def _adapter(run: ExportRun, folder: Path) -> None:
    from judgekit.export.cards import judge_card
    from judgekit.export.weights import write_adapter

    write_adapter(run, folder)
    (folder / CARD).write_text(judge_card(run, "adapter"), encoding="utf-8")


def _model(run: ExportRun, folder: Path) -> None:
    from judgekit.export.cards import judge_card
    from judgekit.export.weights import write_model

    write_model(run, folder)
    (folder / CARD).write_text(judge_card(run, "model"), encoding="utf-8")


def _data(run: ExportRun, folder: Path) -> None:
    from judgekit.export.cards import data_card
    from judgekit.export.conversations import write_conversations

    files = write_conversations(run, folder)
    (folder / CARD).write_text(data_card(run, files), encoding="utf-8")
