"""What one training stage is to do, as every process that takes part in it needs to know."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from judgekit.losses.base import LossConfig
from judgekit.randomness import digest
from judgekit.schema.fields import allowed
from judgekit.schema.optim import OptimConfig
from judgekit.schema.trainer import TrainerConfig
from judgekit.schema.validation import build
from judgekit.training.batches import Unit, epoch_batches
from judgekit.weights import Weights

Task = Literal["sft", "dpo"]


@dataclass(frozen=True)
class TrainingJob:
    """One training stage, or only its reference log-probabilities.

    :param task: ``sft`` on ``Demonstration`` rows or ``dpo`` on ``Preference`` rows
    :param start: the weights it starts from
    :param work: checkpoints, and records of its processes
    :param stage: name of the stage, used in messages and in random draws
    :param dtype: precision of the base weights; ``auto``: as stored
    :param reference_file: where reference log-probabilities are kept (DPO)
    :param reference: the weights that file was computed from; it is then only read. None: it is computed from
        ``start`` where it is not there yet
    :param reference_only: end when that file is written
    :param template: arguments of the chat template
    """

    task: Task
    rows_file: Path
    start: Weights
    work: Path
    optim: OptimConfig
    loss: LossConfig
    trainer: TrainerConfig
    seed: int
    stage: str
    dtype: str
    reference_file: Path
    reference: Weights | None = None
    reference_only: bool = False
    template: dict[str, Any] = field(default_factory=dict)

    @property
    def processes(self) -> int:
        """Processes over all nodes."""
        return self.trainer.devices * self.trainer.nodes

    @property
    def sharded(self) -> bool:
        """Whether each process holds a shard of the weights."""
        return self.processes > 1 and self.trainer.strategy == "fsdp"

    def write(self, path: Path) -> None:
        """Write the job as JSON."""
        path.write_text(json.dumps(asdict(self), default=lambda value: str(Path(value).absolute())), encoding="utf-8")

    @staticmethod
    def read(path: Path) -> TrainingJob:
        """The job that ``write`` wrote."""
        held: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        sections = {"optim": OptimConfig, "loss": LossConfig, "trainer": TrainerConfig}
        paths = {name: Path(held[name]) for name in ("rows_file", "work", "reference_file")}
        weights = {name: _weights(held[name]) for name in ("start", "reference")}
        built: dict[str, Any] = {name: build(kind, held[name])[0] for name, kind in sections.items()}
        return TrainingJob(**held | built | paths | weights)


def _weights(held: dict[str, Any] | None) -> Weights | None:
    if held is None:
        return None
    return Weights(Path(held["base"]), Path(held["adapter"]) if held["adapter"] is not None else None)


@dataclass(frozen=True)
class Plan:
    """The steps of a job.

    :param batches: the units of every optimizer step, in order, over all processes
    :param per_epoch: steps of the first epoch
    """

    job: TrainingJob
    batches: list[list[Unit]]
    per_epoch: int

    @property
    def reference_batches(self) -> list[list[Unit]]:
        """Batches that hold every pair once."""
        return self.batches[: self.per_epoch]

    @property
    def reached(self) -> list[Unit]:
        """The units that any step sees, in order."""
        return [unit for _, unit in sorted({unit.index: unit for batch in self.batches for unit in batch}.items())]


def make_plan(job: TrainingJob, units: list[Unit]) -> Plan:
    """Batches in an order that depends on rows, seed and epoch only, not on how many processes there are."""
    optim, batches, per_epoch = job.optim, list[list[Unit]](), 0
    for epoch in range(optim.epochs):
        left = None if optim.max_steps is None else optim.max_steps - len(batches)
        if left == 0:
            break
        batches += epoch_batches(
            units, optim.batch_size, job.seed, epoch, left,
            spread=job.trainer.spread_prompts, grouped=job.trainer.group_prompts,
        )  # fmt: skip
        per_epoch = len(batches) if epoch == 0 else per_epoch
    return Plan(job, batches, per_epoch)


def weights_key(job: TrainingJob, units: list[Unit]) -> str:
    """Digest of all that determines the trained weights, rounding aside."""
    rows = digest([[unit.epoch, unit.prompt, *unit.completions] for unit in units], 64)
    parts = [asdict(job.optim), asdict(job.loss), decisive(job.trainer)]
    return digest([job.task, job.start.digest, rows, *parts, job.seed, job.stage, job.dtype], 64)


def decisive(trainer: TrainerConfig) -> dict[str, Any]:
    """The trainer's settings without those that change results by rounding alone, unless they are asked to count."""
    settings = {field.name: allowed(field) for field in fields(trainer)}
    return {
        name: getattr(trainer, name)
        for name, setting in settings.items()
        if setting.unkeyed is None and (trainer.strict or not setting.rounding)
    }


def reference_key(plan: Plan) -> str:
    """Digest of all that determines reference log-probabilities, rounding aside: weights and pairs."""
    job = plan.job
    contents = [[[unit.prompt, *unit.completions] for unit in batch] for batch in plan.reference_batches]
    return digest([(job.reference or job.start).digest, job.dtype, decisive(job.trainer), contents], 64)
