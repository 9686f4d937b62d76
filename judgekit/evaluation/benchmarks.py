"""Benchmarks of judges: labelled response pairs from files in their published formats."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from judgekit.errors import DataError
from judgekit.rows import ResponsePair, Verdict
from judgekit.schema.config import BenchmarkConfig

LLMBAR_FILE = "dataset.json"
LLMBAR_RELEASE = Path("Dataset", "LLMBar")
"""Where the released repository keeps its sets; other folders of it hold processed copies of the same rows."""
LLMBAR_LABELS: dict[int, Verdict] = {1: "A", 2: "B"}


def load_benchmark(name: str, config: BenchmarkConfig, held_out: Sequence[ResponsePair]) -> list[ResponsePair] | None:
    """The pairs of a benchmark, None when its path is not given.

    :param name: the benchmark's name in the configuration
    :param held_out: the run's own held-out pairs, which kind ``starter`` returns
    :raises DataError: for files that are missing or not in the format of the kind
    """
    if config.kind == "starter":
        return _spread(held_out, config.limit)
    if config.path is None:
        return None
    path = Path(config.path)
    if not path.exists():
        raise DataError(f"does not exist; correct benchmark.{name}.path, or set it to null", file=path)
    if config.kind == "llmbar":
        return _spread(_read_llmbar(path), config.limit)
    from judgekit.data.sources import read_pairs

    return _spread(read_pairs(path), config.limit)


def _spread(pairs: Sequence[ResponsePair], limit: int | None) -> list[ResponsePair]:
    """At most ``limit`` pairs at even distances, so that every subset keeps about its share."""
    if limit is None or limit >= len(pairs):
        return list(pairs)
    return [pairs[(2 * index + 1) * len(pairs) // (2 * limit)] for index in range(limit)]


def _read_llmbar(path: Path) -> list[ResponsePair]:
    """LLMBar (Zeng et al. 2023): one ``dataset.json``, a folder of them, or the released repository.

    The subset is the folder of the file, relative to the folder given.
    """
    if path.is_file():
        return _read_llmbar_file(path, path.resolve().parent.name)
    root = path / LLMBAR_RELEASE if (path / LLMBAR_RELEASE).is_dir() else path
    files = sorted(root.rglob(LLMBAR_FILE))
    if not files:
        raise DataError(f"holds no {LLMBAR_FILE}; give LLMBar's folder or one of its files", file=path)
    pairs = []
    for file in files:
        subset = file.parent.relative_to(root).as_posix()
        pairs += _read_llmbar_file(file, root.resolve().name if subset == "." else subset)
    return pairs


def _read_llmbar_file(file: Path, subset: str) -> list[ResponsePair]:
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"not JSON in UTF-8: {error}", file=file) from error
    if not isinstance(rows, list):
        raise DataError("must be a list of rows", file=file)
    return [_llmbar_pair(row, file, subset, number) for number, row in enumerate(rows, start=1)]


def _llmbar_pair(row: Any, file: Path, subset: str, number: int) -> ResponsePair:
    if not isinstance(row, dict):
        raise DataError("must be an object", file=file, line=number)
    for field in ("input", "output_1", "output_2"):
        if not isinstance(row.get(field), str):
            raise DataError("must be a text", file=file, line=number, field=field)
    label = row.get("label")
    if type(label) is not int or label not in LLMBAR_LABELS:
        raise DataError(f"must be 1 or 2, not {json.dumps(label)}", file=file, line=number, field="label")
    return ResponsePair(
        id=f"llmbar/{subset}/{number - 1}",
        instruction=row["input"],
        response_a=row["output_1"],
        response_b=row["output_2"],
        label=LLMBAR_LABELS[label],
        subset=subset,
    )
