"""The folder a run or an evaluation leaves, and the one place that spells its file names::

RUN_DIR/config.yaml                      the frozen, resolved configuration
RUN_DIR/manifest.json                    run id, versions, seed, judges, benchmarks, stages, status
RUN_DIR/metrics.json                     final numbers by flat name; metrics.jsonl: their series
RUN_DIR/judge/                           weights, tokenizer and judge.yaml: protocol, decoding, base model
RUN_DIR/pairs/BENCHMARK.jsonl            RUN_DIR/verdicts/JUDGE.BENCHMARK.jsonl
RUN_DIR/responses/BENCHMARK.jsonl        RUN_DIR/scores/JUDGE.BENCHMARK.jsonl
RUN_DIR/bias.json                        judge and meta-judge by iteration, of recipes with an actor
RUN_DIR/report.html  run.log  export/  wandb/
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from judgekit.errors import DataError

JUDGE_FILE = "judge.yaml"
"""Makes a folder a judge: protocol, decoding and base model."""
BIAS_FILE = "bias.json"
WANDB = "wandb"


class RunFolder:
    """A run's folder; whether anything is there is for the caller to see.

    :ivar judge: folder of the judge the run leaves
    :ivar export: where exports go that are given no other place
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config, self.manifest, self.report = path / "config.yaml", path / "manifest.json", path / "report.html"
        self.metrics, self.series, self.bias = path / "metrics.json", path / "metrics.jsonl", path / BIAS_FILE
        self.judge, self.export, self.wandb = path / "judge", path / "export", path / WANDB

    def pairs(self, benchmark: str) -> Path:
        """Pairs of a benchmark."""
        return self.path / "pairs" / f"{benchmark}.jsonl"

    def verdicts(self, judge: str, benchmark: str) -> Path:
        """A judge's verdicts on them."""
        return self.path / "verdicts" / f"{judge}.{benchmark}.jsonl"

    def responses(self, benchmark: str) -> Path:
        """Single responses of a benchmark."""
        return self.path / "responses" / f"{benchmark}.jsonl"

    def scores(self, judge: str, benchmark: str) -> Path:
        """A judge's scores of them."""
        return self.path / "scores" / f"{judge}.{benchmark}.jsonl"

    def judged(self, judge: str) -> dict[str, tuple[Path, Path]]:
        """Pairs and a judge's verdicts by benchmark, of those that have both."""
        names = sorted(path.stem for path in (self.path / "pairs").glob("*.jsonl"))
        files = {name: (self.pairs(name), self.verdicts(judge, name)) for name in names}
        return {name: (pairs, verdicts) for name, (pairs, verdicts) in files.items() if verdicts.is_file()}

    def read_manifest(self) -> dict[str, Any]:
        """``manifest.json``.

        :raises DataError: when the folder is no run or the file cannot be read
        """
        missing = f"not there. Name the folder of a run, the one that holds {self.manifest.name}"
        return _read(self.manifest, missing=missing)

    def read_metrics(self) -> dict[str, float | int | None]:
        """``metrics.json``: final numbers so far; empty when there are none.

        :raises DataError: when the file cannot be read
        """
        return _read(self.metrics, hint=". Delete it to start anew") if self.metrics.exists() else {}

    def known_manifest(self) -> dict[str, Any]:
        """``manifest.json``; empty when there is none that can be read."""
        return _if_any(self.read_manifest)

    def known_metrics(self) -> dict[str, Any]:
        """``metrics.json``; empty when there is none that can be read."""
        return _if_any(self.read_metrics)

    def is_finished(self, config_digest: str) -> bool:
        """Whether it holds a finished run of the configuration with this digest."""
        manifest = self.known_manifest()
        return bool(manifest.get("status") == "finished" and manifest.get("config_digest") == config_digest)


def judge_folder(path: Path) -> Path | None:
    """The folder of a judge that a run left: the run's own, or the one named; None where neither is one."""
    return next((folder for folder in (RunFolder(path).judge, path) if (folder / JUDGE_FILE).is_file()), None)


def leave(source: Path, target: Path) -> None:
    """Copy what a stage made into a run's folder."""
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(source, target)


def _if_any(read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return read()
    except (DataError, OSError):
        return {}


def _read(path: Path, missing: str = "not there", hint: str = "") -> dict[str, Any]:
    try:
        held = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(missing, file=path) from error
    except ValueError as error:
        raise DataError(f"not JSON: {error}{hint}", file=path) from error
    if not isinstance(held, dict):
        raise DataError(f"not a JSON object{hint}", file=path)
    return held
