"""Checkpoints of a training stage: what resuming a killed run needs, and the choice among them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from judgekit.store import share

_RESUME_FILES = ("optimizer.safetensors", "state.json")


@dataclass(frozen=True)
class TrainingProgress:
    """How far a stage is.

    :param tokens: packed tokens trained on
    :param seconds: time spent, over all attempts
    :param loss: loss of the last step
    """

    step: int
    tokens: int
    seconds: float
    loss: float


@dataclass(frozen=True)
class State(TrainingProgress):
    """A checkpoint read back, with the trained values and the optimizer's state by name."""

    tensors: dict[str, Tensor]


class Checkpoints:
    """Checkpoint folders ``step-NNNNNN`` in ``work``, each a usable adapter or model, and their scores.

    :param key: digest of all that determines the training; checkpoints of another key are removed
    """

    def __init__(self, work: Path, key: str) -> None:
        self.work, self.key = work, key
        work.mkdir(parents=True, exist_ok=True)
        owner = work / "key"
        if not owner.exists() or owner.read_text(encoding="utf-8") != key:
            for folder in work.glob("step-*"):
                shutil.rmtree(folder)
            self._scores_file.unlink(missing_ok=True)
            owner.write_text(key, encoding="utf-8")

    @property
    def _scores_file(self) -> Path:
        return self.work / "scores.json"

    def folder(self, step: int) -> Path:
        """Where the checkpoint of a step is."""
        return self.work / f"step-{step:06d}"

    def steps(self) -> list[int]:
        """Steps with a whole checkpoint, in order."""
        return sorted(int(path.name[5:]) for path in self.work.glob("step-*") if path.name[5:].isdigit())

    def save(
        self, progress: TrainingProgress, tensors: dict[str, Tensor], write_weights: Callable[[Path], None]
    ) -> None:
        """Write a checkpoint; it appears whole or not at all.

        :param tensors: trained values and the optimizer's state by name
        :param write_weights: writes the adapter or model into a folder
        """
        partial = self.work / f"step-{progress.step:06d}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        write_weights(partial)
        save_file({name: value.cpu().contiguous() for name, value in tensors.items()}, partial / _RESUME_FILES[0])
        (partial / _RESUME_FILES[1]).write_text(json.dumps(asdict(progress)), encoding="utf-8")
        share(partial)
        shutil.rmtree(self.folder(progress.step), ignore_errors=True)
        partial.rename(self.folder(progress.step))

    def progress(self) -> TrainingProgress | None:
        """How far the latest checkpoint is, None without one."""
        steps = self.steps()
        if not steps:
            return None
        return TrainingProgress(**json.loads((self.folder(steps[-1]) / _RESUME_FILES[1]).read_text(encoding="utf-8")))

    def load(self, device: torch.device) -> State | None:
        """The latest checkpoint, None without one."""
        progress = self.progress()
        if progress is None:
            return None
        tensors = load_file(self.folder(progress.step) / _RESUME_FILES[0], device=str(device))
        return State(**asdict(progress), tensors=tensors)

    def scores(self) -> dict[int, float]:
        """Validation score by step."""
        if not self._scores_file.exists():
            return {}
        held = json.loads(self._scores_file.read_text(encoding="utf-8"))
        return {int(step): float(score) for step, score in held.items()}

    def record(self, step: int, score: float) -> None:
        """Keep the validation score of a step."""
        partial = self._scores_file.with_suffix(".partial")
        partial.write_text(json.dumps({**self.scores(), step: score}), encoding="utf-8")
        partial.replace(self._scores_file)

    def reached(self, target: float | None) -> bool:
        """Whether a checkpoint has scored at least ``target``; never without one."""
        return target is not None and max(self.scores().values(), default=float("-inf")) >= target

    def chosen(self) -> int:
        """The step with the highest score, the earliest among equals; the last step without scores."""
        scores = self.scores()
        return min(scores, key=lambda step: (-scores[step], step)) if scores else self.steps()[-1]

    def prune(self) -> None:
        """Remove all checkpoints but the latest and the chosen one."""
        for step in set(self.steps()[:-1]) - {self.chosen()}:
            shutil.rmtree(self.folder(step))

    def publish(self, step: int, output: Path) -> None:
        """Copy the weights of a step to ``output``, without what only resuming needs."""
        shutil.copytree(self.folder(step), output, ignore=shutil.ignore_patterns(*_RESUME_FILES), dirs_exist_ok=True)
