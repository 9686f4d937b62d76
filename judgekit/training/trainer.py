"""Training stages: rows and starting weights in, an adapter (or a full model) out."""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from transformers import AutoConfig, AutoTokenizer

from judgekit.errors import StageError
from judgekit.randomness import digest, draw_bits
from judgekit.rows import Demonstration, Preference, read_rows
from judgekit.schema.config import LossConfig, OptimConfig, TrainerConfig
from judgekit.training.batches import Encoded, Unit, encode_rows, epoch_batches
from judgekit.training.checkpoints import Checkpoints, Progress
from judgekit.training.lora import load_model
from judgekit.training.module import Batches, JudgeModule, Plan, Task
from judgekit.weights import Weights

_EXPECTED_WARNINGS = (
    "The 'train_dataloader' does not have many workers",  # packing takes milliseconds
    "GPU available but not used",
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # inside Lightning
)

OnStep = Callable[[int, dict[str, float]], None]
OnCheckpoint = Callable[[int, Path], float]


@dataclass(frozen=True)
class TrainResult:
    """What a training stage did.

    :param steps: optimizer steps; ``chosen_step`` is the one whose weights are the output
    :param rows: examples or pairs trained on; ``refused`` counts the others by reason
    :param tokens: tokens computed, shared ones once
    :param seconds: time spent, over all attempts, validation included
    :param loss: loss of the last step
    :param scores: validation score by step
    """

    steps: int
    chosen_step: int
    rows: int
    refused: dict[str, int]
    tokens: int
    seconds: float
    loss: float
    scores: dict[int, float]


def train(
    task: Task,
    rows_file: Path,
    start: Weights,
    output: Path,
    work: Path,
    optim: OptimConfig,
    loss: LossConfig,
    trainer: TrainerConfig,
    seed: int,
    stage: str,
    on_step: OnStep,
    on_checkpoint: OnCheckpoint | None = None,
    reference_file: Path | None = None,
    dtype: str = "auto",
    stop_at: float | None = None,
) -> TrainResult:
    """Train from ``start`` on a file of rows and write the weights of the chosen checkpoint to ``output``.

    The same call resumes a killed one from the last checkpoint in ``work`` and ends with the same weights; steps
    after that checkpoint are repeated and reported again.

    :param task: ``sft`` on ``Demonstration`` rows or ``dpo`` on ``Preference`` rows
    :param output: receives the adapter (PEFT format) or the full model
    :param work: checkpoints, to be removed by the caller once ``output`` is safe
    :param stage: name of the stage, used in messages and in random draws
    :param on_step: called after every step with the 1-based step and its series
    :param on_checkpoint: called with every checkpoint's step and folder; returns a score, the highest is chosen
    :param reference_file: keeps DPO's reference log-probabilities, reused by a later call with the same pairs,
        weights and packing; in ``work`` when None
    :param dtype: precision of the base weights; ``auto``: as stored
    :param stop_at: end at the first checkpoint whose score is at least this
    :raises StageError: no usable rows, a loss that is not finite, out of memory
    """
    if trainer.devices != 1:
        raise StageError(f"{stage}: training uses one device per run. Set trainer.devices=1 (now {trainer.devices}).")
    encoded = _encode(task, rows_file, start, trainer.max_tokens, stage)
    batches, per_epoch = _schedule(encoded.units, optim, seed)
    key = _key(task, start, encoded.units, optim, loss, trainer, seed, stage, dtype)
    plan = Plan(
        task, stage, batches, per_epoch, optim, loss, trainer.max_tokens, seed, start.digest,
        reference_file or work / "reference.safetensors",
    )  # fmt: skip
    checkpoints = Checkpoints(work, key)
    _score_missing(checkpoints, on_checkpoint)
    done = checkpoints.progress()
    if done is None or (done.step < len(batches) and not checkpoints.reached(stop_at)):
        recorder = _Recorder(checkpoints, start.base, on_step, on_checkpoint, stop_at)
        with _threads(trainer.threads), _quiet(), _out_of_memory(stage, trainer.max_tokens):
            _fit(plan, checkpoints, start, trainer, dtype, recorder)
    done = checkpoints.progress()
    assert done is not None and (done.step == len(batches) or checkpoints.reached(stop_at))
    chosen = checkpoints.chosen()
    checkpoints.publish(chosen, output)
    return TrainResult(
        steps=done.step,
        chosen_step=chosen,
        rows=len(encoded.units),
        refused=dict(encoded.refused),
        tokens=done.tokens,
        seconds=done.seconds,
        loss=done.loss,
        scores=checkpoints.scores(),
    )


def _encode(task: Task, rows_file: Path, start: Weights, max_tokens: int, stage: str) -> Encoded:
    rows: Sequence[Demonstration | Preference]
    rows = read_rows(rows_file, Demonstration) if task == "sft" else read_rows(rows_file, Preference)
    if not rows:
        raise StageError(f"{stage}: {rows_file} holds no rows, so there is nothing to train on.")
    config: Any = AutoConfig.from_pretrained(start.base, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(start.base, local_files_only=True)
    encoded = encode_rows(rows, tokenizer, _context(config), max_tokens)
    if not encoded.units:
        reasons = ", ".join(f"{count} {reason}" for reason, count in encoded.refused.most_common())
        need = encoded.shortest_refused
        remedy = f" Raise trainer.max_tokens to at least {need} (now {max_tokens})." if need else ""
        raise StageError(f"{stage}: all {len(rows)} rows of {rows_file} are refused: {reasons}.{remedy}")
    return encoded


def _context(config: Any) -> int:
    """Longest sequence, tokens, whose attention is the plain causal one: the context, or a sliding window."""
    text = config.get_text_config()
    limit = int(text.max_position_embeddings)
    window = getattr(text, "sliding_window", None)
    slides = "sliding_attention" in (getattr(text, "layer_types", None) or ["sliding_attention"])
    return min(limit, int(window)) if window and slides else limit


def _schedule(units: list[Unit], optim: OptimConfig, seed: int) -> tuple[list[list[Unit]], int]:
    """Units of every optimizer step, and the steps of one epoch."""
    batches = [batch for epoch in range(optim.epochs) for batch in epoch_batches(units, optim.batch_size, seed, epoch)]
    return batches[: optim.max_steps], -(-len(units) // optim.batch_size)


def _key(
    task: Task,
    start: Weights,
    units: list[Unit],
    optim: OptimConfig,
    loss: LossConfig,
    trainer: TrainerConfig,
    seed: int,
    stage: str,
    dtype: str,
) -> str:
    """Digest of all that determines the trained weights."""
    rows = digest([[unit.prompt, *unit.completions] for unit in units], 64)
    settings = {name: value for name, value in asdict(trainer).items() if name != "threads"}
    return digest([task, start.digest, rows, asdict(optim), asdict(loss), settings, seed, stage, dtype], 64)


class _Recorder(lightning.Callback):
    """Reports every step, saves checkpoints and has them scored."""

    def __init__(
        self,
        checkpoints: Checkpoints,
        base: Path,
        on_step: OnStep,
        on_checkpoint: OnCheckpoint | None,
        stop_at: float | None,
    ) -> None:
        self.checkpoints, self.base, self.stop_at = checkpoints, base, stop_at
        self.on_step, self.on_checkpoint = on_step, on_checkpoint
        done = checkpoints.progress()
        self.started = time.monotonic() - (done.seconds if done else 0.0)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        """After every optimizer step."""
        step, last = pl_module.step, len(pl_module.plan.batches)
        self.on_step(step, dict(pl_module.series))
        if step == last or step % pl_module.plan.optim.checkpoint_every == 0:
            seconds = time.monotonic() - self.started
            progress = Progress(step, pl_module.tokens, seconds, pl_module.series["loss"])
            self.checkpoints.save(progress, pl_module.model, self.base, pl_module.state())
            _score_missing(self.checkpoints, self.on_checkpoint)
            trainer.should_stop = self.checkpoints.reached(self.stop_at)


def _score_missing(checkpoints: Checkpoints, on_checkpoint: OnCheckpoint | None) -> None:
    """Score the latest checkpoint unless a run that was killed afterwards has done so."""
    steps = checkpoints.steps()
    if steps and on_checkpoint is not None and steps[-1] not in checkpoints.scores():
        checkpoints.record(steps[-1], float(on_checkpoint(steps[-1], checkpoints.folder(steps[-1]))))
    if steps:
        checkpoints.prune()


def _fit(
    plan: Plan, checkpoints: Checkpoints, start: Weights, trainer: TrainerConfig, dtype: str, recorder: _Recorder
) -> None:
    """Have Lightning run all remaining steps as one epoch."""
    model = load_model(start, trainer, dtype, draw_bits(plan.seed, plan.stage, "adapter"))
    done = checkpoints.progress()
    loop = lightning.Trainer(
        accelerator=trainer.accelerator,
        devices=1,
        max_epochs=1,
        callbacks=[recorder],
        plugins=[LightningEnvironment()],  # under SLURM the launcher alone owns requeueing
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=checkpoints.work,
    )
    loop.fit(JudgeModule(model.train(), plan, checkpoints), datamodule=Batches(plan, done.step if done else 0))


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No banners, and none of the warnings about choices made on purpose."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in _EXPECTED_WARNINGS:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _out_of_memory(stage: str, max_tokens: int) -> Iterator[None]:
    """Turn running out of memory into an error that names the settings to change."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = str(error).lower()
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "allocate memory" not in text:
            raise
        raise StageError(
            f"{stage}: out of memory. Lower trainer.max_tokens (now {max_tokens}) or use trainer.adapter=lora. "
            "Finished steps up to the last checkpoint are kept."
        ) from error
