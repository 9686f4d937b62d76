"""Training stages that every recipe shares."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judgekit.recipes.lab import Handle, Judge, Lab, section
from judgekit.schema.optim import OptimConfig
from judgekit.store import Artifact, Workspace
from judgekit.tracking.progress import StageProgress
from judgekit.training.job import Task, reference_settings
from judgekit.weights import Weights

if TYPE_CHECKING:
    from judgekit.training.trainer import TrainResult


def train_judge(
    lab: Lab,
    name: str,
    task: Task,
    rows: Handle,
    start: Judge,
    optim: OptimConfig,
    validate: Callable[[Weights], float] | None,
    validation: Sequence[Handle] = (),
    stop_at: float | None = None,
    reference: Judge | None = None,
) -> Judge:
    """Train ``start`` on a stage's ``rows.jsonl`` and give the new judge.

    :param task: ``sft`` or ``dpo``
    :param validate: score of a checkpoint; None takes the last one
    :param validation: stages ``validate`` reads
    :param stop_at: end at the first checkpoint with this score
    :param reference: reference model of ``dpo``; None: ``start``
    """
    config = _shared_settings(lab) | {
        "task": task,
        "optim": asdict(optim),
        "loss": lab.config.loss.settings(task),
        "trainer": {key: value for key, value in asdict(lab.config.trainer).items() if key != "threads"},
        "name": name,
        "validate": validate is not None,
        "stop_at": stop_at,
    }
    if validate is not None:
        # Which checkpoint is chosen depends on how its judgments are decoded.
        config["judging"] = section(lab.config.sampler, "judge_tokens", "verdict")
    logps = reference_logps(lab, name, rows, reference or start, optim) if task == "dpo" else None

    def build(workspace: Workspace) -> None:
        assert isinstance(rows, Artifact)
        kept = logps.file(_LOGPS) if isinstance(logps, Artifact) else None
        reports = _Reports(lab, name, workspace, validate)
        result = _train(lab, name, task, rows.file("rows.jsonl"), start, optim, reports, kept, stop_at)
        for reason, count in result.refused.items():
            workspace.drop(reason, count)
        workspace.count(rows=result.rows, steps=result.steps, chosen_step=result.chosen_step)
        workspace.tokens(prompt=result.tokens, generated=0)
        write_series(reports.series, workspace.path / "series.jsonl")

    inputs = [rows, lab.source(start), *([logps] if logps else []), *validation]
    handle = lab.stage(f"train/{name}", 2, config, inputs, build)
    if isinstance(handle, Artifact) and handle.reused:
        for step, values in read_series(handle.file("series.jsonl")).items():
            lab.record.tracker.log(name, step, values)
    return Judge(name, handle)


_LOGPS = "logps.safetensors"


def reference_logps(lab: Lab, name: str, rows: Handle, start: Judge, optim: OptimConfig) -> Handle:
    """Log-probabilities of preference pairs under ``start``, which every loss, β and learning rate shares.

    :param name: training stage they are for
    :param rows: stage whose ``rows.jsonl`` holds the pairs
    :param optim: decides which pairs are computed together, and with that the last bits
    """
    settings = section(optim, "batch_size", "max_steps") | {"trainer": reference_settings(lab.config.trainer)}

    def build(workspace: Workspace) -> None:
        from judgekit.training.trainer import compute_reference

        assert isinstance(rows, Artifact)
        lab.release()
        pairs = compute_reference(
            rows.file("rows.jsonl"), lab.weights(start), workspace.path / _LOGPS, workspace.scratch,
            optim, lab.config.trainer, lab.config.seed, f"reference/{name}", lab.config.model.dtype,
        )  # fmt: skip
        workspace.count(pairs=pairs)

    return lab.stage(f"reference/{name}", 1, _shared_settings(lab) | settings, [rows, lab.source(start)], build)


def _shared_settings(lab: Lab) -> dict[str, Any]:
    return {"dtype": lab.config.model.dtype, "seed": lab.config.seed}


@dataclass
class _Reports:
    """Where a training stage's steps and checkpoints are told."""

    lab: Lab
    name: str
    workspace: Workspace
    validate: Callable[[Weights], float] | None
    shown: StageProgress | None = None

    @property
    def series(self) -> Path:
        """The series so far, which a killed attempt leaves to the next."""
        return self.workspace.scratch / "series.jsonl"

    def planned(self, total: int, done: int) -> None:
        """Show how many steps there are."""
        if self.lab.progress is not None:
            self.shown = self.lab.progress.training(f"train/{self.name}")
            self.shown.begin(total, done)

    def step(self, step: int, values: dict[str, float]) -> None:
        """Keep, log and show a step that is done."""
        self._keep(step, values)
        if self.shown is not None:
            self.shown.advance(1, 0)

    def _keep(self, step: int, values: dict[str, float]) -> None:
        named = {f"train/{self.name}/{key}": value for key, value in values.items()}
        with self.series.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "values": named}) + "\n")
        self.lab.record.tracker.log(self.name, step, named)

    def checkpoint(self, step: int, folder: Path) -> float:
        """Score a checkpoint."""
        import torch

        assert self.validate is not None
        score = self.validate(self.lab.trained(folder))
        if torch.cuda.is_available():
            self.lab.release()  # training goes on in the same memory
        self._keep(step, {"validation": score})
        return score


def _train(
    lab: Lab,
    name: str,
    task: Task,
    rows_file: Path,
    start: Judge,
    optim: OptimConfig,
    reports: _Reports,
    reference: Path | None,
    stop_at: float | None,
) -> TrainResult:
    """``train`` with a run's settings; a sampler's model makes room before and after it."""
    from judgekit.training.trainer import train

    config = lab.config
    lab.release()
    result = train(
        task, rows_file, lab.weights(start), reports.workspace.path / "judge", reports.workspace.scratch,
        optim, config.loss, config.trainer, config.seed, name, reports.step,
        reports.checkpoint if reports.validate is not None else None,
        reference_file=reference, dtype=config.model.dtype, stop_at=stop_at, on_plan=reports.planned,
    )  # fmt: skip
    if reports.shown is not None:
        reports.shown.end()  # it may have stopped early
    lab.release()
    return result


def read_series(path: Path) -> dict[int, dict[str, float]]:
    """Values by step; those of a step done twice (after a kill) count once. A torn last line is left out."""
    found: dict[int, dict[str, float]] = {}
    for line in path.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            point = json.loads(line)
            found.setdefault(point["step"], {}).update(point["values"])
    return found


def write_series(source: Path, target: Path) -> None:
    """The series once more, each step once and in order: the same bytes whether or not training was interrupted."""
    points = read_series(source)
    lines = [json.dumps({"step": step, "values": points[step]}) + "\n" for step in sorted(points)]
    target.write_text("".join(lines), encoding="utf-8")
