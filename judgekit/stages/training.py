"""Training stages that every recipe shares."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from judgekit.evaluation.judging import judge_pairs
from judgekit.losses.base import LOSSES, LossConfig
from judgekit.rows import ORDERS, ResponsePair
from judgekit.sampling.text import TextSampler
from judgekit.schema.optim import OptimConfig
from judgekit.schema.trainer import TrainerConfig
from judgekit.stages.judging import consistent_accuracy
from judgekit.stages.lab import Lab
from judgekit.stages.models import Judge, Judging, Origin
from judgekit.stages.stage import Made, Stage, at, read, unkeyed
from judgekit.stages.surface_cues import PreferenceCues
from judgekit.store import Workspace
from judgekit.tracking.progress import StageProgress
from judgekit.training.training_job import Task
from judgekit.weights import Weights

if TYPE_CHECKING:
    from judgekit.training.trainer import TrainResult

_LOGPS = "logps.safetensors"


class Validation(Protocol):
    """How a checkpoint is scored: a frozen dataclass of what the score depends on besides the checkpoint."""

    def score(self, model: TextSampler) -> float:
        """The score of a checkpoint; the highest is chosen."""
        ...


@dataclass(frozen=True)
class ConsistentAccuracy:
    """Consistent accuracy of greedy judgments on the validation split."""

    splits: Made[Any]
    judging: Judging = Judging()

    def score(self, model: TextSampler) -> float:
        """Share of pairs judged right in both orders."""
        pairs = self.splits.rows("validation", ResponsePair)
        verdicts = judge_pairs(
            model, self.judging.protocol, pairs, ORDERS, self.judging.greedy, constrained=self.judging.constrained,
            title="validation",
        )  # fmt: skip
        return consistent_accuracy(pairs, verdicts)


class Place(Protocol):
    """Where training happens and is told of: memory is made free, checkpoints are asked, steps are logged and shown."""

    def release(self) -> None:
        """Give the memory of a sampler's model back."""

    def checkpoint(self, folder: Path) -> TextSampler:
        """A checkpoint, ready to be asked."""

    def log(self, series: str, step: int, values: dict[str, float]) -> None:
        """Log a step."""

    def show(self, title: str) -> StageProgress | None:
        """Show progress, None where nobody looks."""


@dataclass(frozen=True, kw_only=True)
class Train(Stage):
    """Weights trained from ``start`` on another stage's ``rows.jsonl`` (``judge/``), and their series.

    :param task: ``sft`` or ``dpo``
    :param loss: the settings of the loss that the task depends on
    :param reference: stage of reference log-probabilities, with ``reference_of`` the model they are of
    :param validation: scores checkpoints; None takes the last one
    :param stop_at: end at the first checkpoint with this score
    """

    label = "train/{judge}"
    version = 5
    judge: str
    task: Task
    rows: Made[Any]
    start: Origin
    optim: OptimConfig
    loss: dict[str, Any]
    reference: Made[Reference] | None = None
    reference_of: Origin | None = None
    validation: Validation | None = None
    stop_at: float | None = None
    trainer: TrainerConfig = read("trainer")
    dtype: str = read("model.dtype")
    template: dict[str, Any] = read("model.template", off={})
    seed: int = read("seed")
    place: Place = unkeyed("frees memory, asks, logs and shows; decides nothing")

    def build(self, workspace: Workspace) -> None:
        """Train; a killed attempt goes on from its last checkpoint."""
        reports = _Reports(self, workspace)
        result = self._train(reports)
        for reason, count in result.refused.items():
            workspace.drop(reason, count)
        workspace.count(rows=result.rows, prompts=result.prompts, steps=result.steps, chosen_step=result.chosen_step)
        workspace.tokens(prompt=result.tokens, generated=0)
        write_series(reports.series, workspace.path / "series.jsonl")

    def _train(self, reports: _Reports) -> TrainResult:
        """A sampler's model makes room before and after it."""
        from judgekit.training.trainer import train

        self.place.release()
        result = train(
            self.task, self.rows.file("rows.jsonl"), self.start.fetch(), reports.workspace.path / "judge",
            reports.workspace.scratch, self.optim, _loss(self.loss), self.trainer, self.seed, self.judge,
            reports.step, reports.checkpoint if self.validation is not None else None,
            reference_file=self.reference.file(_LOGPS) if self.reference is not None else None,
            reference=self.reference_of.fetch() if self.reference_of is not None else None,
            dtype=self.dtype, template=self.template, stop_at=self.stop_at, on_plan=reports.planned,
        )  # fmt: skip
        if reports.shown is not None:
            reports.shown.end()  # it may have stopped early
        self.place.release()
        return result


@dataclass(frozen=True, kw_only=True)
class Reference(Stage):
    """Log-probabilities of preference pairs under ``model``, which every loss, β and learning rate shares.

    :param judge: whose training they are for
    :param batch_size: decides with ``max_steps`` which pairs are computed
    """

    label = "reference/{judge}"
    version = 4
    judge: str
    rows: Made[Any]
    model: Origin
    batch_size: int
    max_steps: int | None
    trainer: TrainerConfig = read("trainer")
    dtype: str = read("model.dtype")
    template: dict[str, Any] = read("model.template", off={})
    seed: int = read("seed")
    place: Place = unkeyed("frees memory")

    def build(self, workspace: Workspace) -> None:
        """Compute them."""
        from judgekit.training.trainer import compute_reference

        self.place.release()
        optim = OptimConfig(batch_size=self.batch_size, max_steps=self.max_steps)
        pairs = compute_reference(
            self.rows.file("rows.jsonl"), self.model.fetch(), workspace.path / _LOGPS, workspace.scratch,
            optim, self.trainer, self.seed, self.name, self.dtype, self.template,
        )  # fmt: skip
        workspace.count(pairs=pairs)


def _loss(settings: dict[str, Any]) -> LossConfig:
    """The loss of which a task reads these settings."""
    return LOSSES.read({"name": "sft"} | settings)


def train_judge(
    lab: Lab,
    name: str,
    task: Task,
    rows: Made[Any],
    start: Judge,
    optim: OptimConfig,
    validation: Validation | None = None,
    stop_at: float | None = None,
    reference: Judge | None = None,
    base: Callable[[], Weights] | None = None,
) -> Judge:
    """Train ``start`` on a stage's ``rows.jsonl`` and give the new judge.

    :param task: ``sft`` or ``dpo``
    :param validation: scores checkpoints; None takes the last one
    :param stop_at: end at the first checkpoint with this score
    :param reference: reference model of ``dpo``; None: ``start``
    :param base: what an adapter is trained on; None: the seed
    """
    place = _Place(lab, base)
    logps, model = None, None
    if task == "dpo":
        lab.make(PreferenceCues(judge=name, rows=rows))
        model = (reference or start).origin
        logps = lab.make(
            Reference(
                judge=name, rows=rows, model=model, batch_size=optim.batch_size, max_steps=optim.max_steps, place=place
            )
        )
    made = lab.make(
        Train(
            judge=name, task=task, rows=rows, start=start.origin, optim=optim,
            loss=lab.use(lab.config.loss).settings(task) if task == "dpo" else {"sft_average": at("loss.sft_average")},
            reference=logps, reference_of=model, validation=validation, stop_at=stop_at, place=place,
        )
    )  # fmt: skip
    if made.artifact is not None and made.artifact.reused:
        for step, values in read_series(made.file("series.jsonl")).items():
            lab.record.tracker.log(name, step, values)
    return Judge(name, lab.trained(made, base))


@dataclass(frozen=True)
class _Place:
    """A lab as training sees it."""

    lab: Lab
    base: Callable[[], Weights] | None

    def release(self) -> None:
        """Give the memory of a sampler's model back."""
        self.lab.release()

    def checkpoint(self, folder: Path) -> TextSampler:
        """A checkpoint, ready to be asked."""
        return self.lab.ask(self.lab.weights_in(folder, self.base))

    def log(self, series: str, step: int, values: dict[str, float]) -> None:
        """Log a step."""
        self.lab.record.tracker.log(series, step, values)

    def show(self, title: str) -> StageProgress | None:
        """Show progress."""
        return self.lab.progress.training(title) if self.lab.progress is not None else None


class _Reports:
    """Where a training stage's steps and checkpoints are told."""

    def __init__(self, stage: Train, workspace: Workspace) -> None:
        self.stage, self.workspace = stage, workspace
        self.shown: StageProgress | None = None

    @property
    def series(self) -> Path:
        """The series so far, which a killed attempt leaves to the next."""
        return self.workspace.scratch / "series.jsonl"

    def planned(self, total: int, done: int) -> None:
        """Show how many steps there are."""
        self.shown = self.stage.place.show(self.stage.name)
        if self.shown is not None:
            self.shown.begin(total, done)

    def step(self, step: int, values: dict[str, float]) -> None:
        """Keep, log and show a step that is done."""
        self._keep(step, values)
        if self.shown is not None:
            self.shown.advance(1, 0)

    def _keep(self, step: int, values: dict[str, float]) -> None:
        named = {f"{self.stage.name}/{key}": value for key, value in values.items()}
        with self.series.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "values": named}) + "\n")
        self.stage.place.log(self.stage.judge, step, named)

    def checkpoint(self, step: int, folder: Path) -> float:
        """Score a checkpoint."""
        import torch

        assert self.stage.validation is not None
        score = self.stage.validation.score(self.stage.place.checkpoint(folder))
        if torch.cuda.is_available():
            self.stage.place.release()  # training goes on in the same memory
        self._keep(step, {"validation": score})
        return score


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
