"""One process's part of a training stage, run by Lightning."""

from __future__ import annotations

import contextlib
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy

from judgekit.errors import StageError
from judgekit.kernels import no_cudnn_attention
from judgekit.randomness import draw_bits
from judgekit.training.checkpoints import Checkpoints, TrainingProgress
from judgekit.training.lora import add_dropout, load_model, save_model
from judgekit.training.module import Batches, JudgeModule
from judgekit.training.training_job import Plan, TrainingJob

PATIENCE = timedelta(hours=6)
"""How long processes wait for one another before they give up."""

_EXPECTED_WARNINGS = (
    "The 'train_dataloader' does not have many workers",  # packing takes milliseconds
    "GPU available but not used",
    "The `srun` command is available on your system but is not used",
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # inside Lightning
    r".*: copying from a non-meta parameter",  # an adapter onto an empty base, which is then sent its values
    "`training_step` returned `None`",
    "`LightningModule.configure_optimizers` returned `None`",  # reference log-probabilities alone
)


@dataclass(frozen=True)
class Listener:
    """Who hears of a stage's progress.

    :param on_step: called after every optimizer step with the 1-based step and its series
    :param on_saved: called when a checkpoint is whole; returns whether training should end with it
    """

    on_step: Callable[[int, dict[str, float]], None]
    on_saved: Callable[[int], bool]


def fit(plan: Plan, checkpoints: Checkpoints, listener: Listener) -> None:
    """Run all remaining steps, as one epoch of Lightning; in each process of the job.

    :raises StageError: out of memory, a loss that is not finite, or devices that are not there
    """
    job = plan.job
    done = checkpoints.progress()
    with _threads(_thread_count(job)), _quiet(), _out_of_memory(job), _misconfigured(job), no_cudnn_attention():
        module = JudgeModule(_load(job).train(), plan, checkpoints)
        loop = lightning.Trainer(
            accelerator=job.trainer.accelerator,
            devices=job.trainer.devices,
            num_nodes=job.trainer.nodes,
            strategy=_strategy(job),
            max_epochs=1,
            callbacks=[_Recorder(job, checkpoints, listener)],
            plugins=[_environment(job)],
            use_distributed_sampler=False,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=job.work,
        )
        loop.fit(module, datamodule=Batches(plan, done.step if done else 0))


def _load(job: TrainingJob) -> Any:
    seed = draw_bits(job.seed, job.stage, "adapter")
    place = _environment(job)
    empty = job.sharded and (place.node_rank(), place.local_rank()) != (0, 0)
    model = load_model(job.start, job.trainer, job.dtype, seed, training_device(job), empty)
    if job.optim.dropout:
        add_dropout(model, job.optim.dropout)
    return model


def training_device(job: TrainingJob) -> torch.device:
    """The device this process is going to train on."""
    kind = job.trainer.accelerator
    if kind == "mps" or (kind == "auto" and not torch.cuda.is_available() and torch.backends.mps.is_available()):
        return torch.device("mps")
    if kind == "gpu" or (kind == "auto" and torch.cuda.is_available()):
        return torch.device("cuda", _environment(job).local_rank())
    return torch.device("cpu")


def _environment(job: TrainingJob) -> ClusterEnvironment:
    """Where this process learns its rank. Under SLURM the launcher of the whole run alone owns requeueing."""
    if job.trainer.nodes > 1:
        return SLURMEnvironment(auto_requeue=False)
    return LightningEnvironment()


class _Replicas(DDPStrategy):
    """Whole copies of the model; the module adds up their gradients itself, once a step and in fp32.

    Lightning's wrapper would send them in every backward pass, of which a step has as many as packing gave sequences
    and one process may have more than another.
    """

    def configure_ddp(self) -> None:
        """Leave the module as it is."""


def _strategy(job: TrainingJob) -> Any:
    if job.processes == 1:
        return "auto"
    if job.sharded:
        return ModelParallelStrategy(data_parallel_size=job.processes, tensor_parallel_size=1, timeout=PATIENCE)
    return _Replicas(timeout=PATIENCE)


class _Recorder(lightning.Callback):
    """Reports every step and saves checkpoints; in a group of processes the first one does."""

    def __init__(self, job: TrainingJob, checkpoints: Checkpoints, listener: Listener) -> None:
        self.job, self.checkpoints, self.listener = job, checkpoints, listener
        done = checkpoints.progress()
        self.started = time.monotonic() - (done.seconds if done else 0.0)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        """After every optimizer step."""
        first = trainer.global_rank == 0
        step, last = pl_module.step, len(pl_module.plan.batches)
        if first:
            self.listener.on_step(step, dict(pl_module.series))
        if step == last or step % self.job.optim.checkpoint_every == 0:
            tensors, weights = pl_module.snapshot(keep=first)
            if first:
                progress = TrainingProgress(
                    step, pl_module.tokens, time.monotonic() - self.started, pl_module.series["loss"]
                )
                base = self.job.start.base
                self.checkpoints.save(
                    progress, tensors, lambda folder: save_model(pl_module.model, folder, base, weights)
                )
            trainer.should_stop = self.listener.on_saved(step)


def _thread_count(job: TrainingJob) -> int | None:
    """CPU threads of this process; several on one node share what there is."""
    if job.trainer.threads is not None or job.trainer.devices == 1:
        return job.trainer.threads
    return max(1, len(os.sched_getaffinity(0)) // job.trainer.devices)


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
def _out_of_memory(job: TrainingJob) -> Iterator[None]:
    """Turn running out of memory into an error that names the settings to change."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = str(error).lower()
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "allocate memory" not in text:
            raise
        remedies = [f"Lower trainer.max_tokens (now {job.trainer.max_tokens})"]
        if not job.trainer.gradient_checkpointing:
            remedies.append("set trainer.gradient_checkpointing=true")
        if job.trainer.adapter == "full":
            remedies.append("use trainer.adapter=lora")
        if not job.sharded:
            remedies.append("shard the model with trainer=fsdp")
        raise StageError(
            f"{job.stage}: out of memory. {', or '.join(remedies)}. Finished steps up to the last checkpoint are kept."
        ) from error


@contextlib.contextmanager
def _misconfigured(job: TrainingJob) -> Iterator[None]:
    """Turn Lightning's refusal of devices into an error that names our settings."""
    try:
        yield
    except MisconfigurationException as error:
        trainer = job.trainer
        raise StageError(
            f"{job.stage}: {' '.join(str(error).split())} Check trainer.accelerator (now {trainer.accelerator}) and "
            f"trainer.devices (now {trainer.devices})."
        ) from error
