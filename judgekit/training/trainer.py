"""Training stages: rows and starting weights in, an adapter (or a full model) out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from judgekit.errors import StageError
from judgekit.losses.base import LossConfig
from judgekit.losses.dpo import DpoLoss
from judgekit.prompts.tokenizers import load_tokenizer
from judgekit.rows import Demonstration, Preference, read_rows
from judgekit.schema.optim import OptimConfig
from judgekit.schema.trainer import TrainerConfig
from judgekit.training.batches import Encoded, encode_rows
from judgekit.training.checkpoints import Checkpoints, TrainingProgress
from judgekit.training.fitting import Listener, fit
from judgekit.training.ranks import run_ranks
from judgekit.training.training_job import Plan, Task, TrainingJob, make_plan, weights_key
from judgekit.weights import Weights

BEYOND = "row beyond max_steps"
"""What rows that no step has room for are counted under."""

OnStep = Callable[[int, dict[str, float]], None]
OnCheckpoint = Callable[[int, Path], float]


@dataclass(frozen=True)
class TrainResult:
    """What a training stage did.

    :param steps: optimizer steps; ``chosen_step`` is the one whose weights are the output
    :param rows: examples or pairs that steps were planned with, of so many ``prompts``
    :param refused: the others by reason, those that no step has room for among them
    :param tokens: tokens computed, shared ones once
    :param seconds: time spent, over all attempts, validation included
    :param loss: loss of the last step
    :param scores: validation score by step
    """

    steps: int
    chosen_step: int
    rows: int
    prompts: int
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
    reference: Weights | None = None,
    dtype: str = "auto",
    template: Mapping[str, Any] | None = None,
    stop_at: float | None = None,
    on_plan: Callable[[int, int], None] = lambda steps, done: None,
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
    :param reference_file: keeps the reference log-probabilities, reused by a later call with the same pairs and
        weights; in ``work`` when None
    :param reference: what ``reference_file`` was computed from, which then is only read; None: ``start``
    :param dtype: precision of the base weights; ``auto``: as stored
    :param template: arguments of the chat template
    :param stop_at: end at the first checkpoint whose score is at least this
    :param on_plan: called before the first step with their number and how many an earlier attempt has done
    :raises StageError: no usable rows, a loss that is not finite, out of memory
    """
    kept = reference_file or work / "reference.safetensors"
    job = TrainingJob(
        task, rows_file, start, work, optim, loss, trainer, seed, stage, dtype, kept, reference,
        template=dict(template or {}),
    )  # fmt: skip
    plan, encoded = prepare(job)
    checkpoints = Checkpoints(work, weights_key(job, encoded.units))

    def saved(_: int) -> bool:
        _score_missing(checkpoints, on_checkpoint)
        return checkpoints.reached(stop_at)

    _score_missing(checkpoints, on_checkpoint)
    done = checkpoints.progress()
    if done is None or (done.step < len(plan.batches) and not checkpoints.reached(stop_at)):
        on_plan(len(plan.batches), done.step if done else 0)
        _run(plan, checkpoints, Listener(on_step, saved))
    done = checkpoints.progress()
    assert done is not None and (done.step == len(plan.batches) or checkpoints.reached(stop_at))
    checkpoints.publish(checkpoints.chosen(), output)
    return _result(plan, encoded, checkpoints, done)


def _result(plan: Plan, encoded: Encoded, checkpoints: Checkpoints, done: TrainingProgress) -> TrainResult:
    reached = plan.reached
    refused = encoded.refused + Counter({BEYOND: len(encoded.units) - len(reached)})
    return TrainResult(
        done.step, checkpoints.chosen(), len(reached), len({unit.prompt for unit in reached}), dict(refused),
        done.tokens, done.seconds, done.loss, checkpoints.scores(),
    )  # fmt: skip


def compute_reference(
    rows_file: Path,
    start: Weights,
    output: Path,
    work: Path,
    optim: OptimConfig,
    trainer: TrainerConfig,
    seed: int,
    stage: str,
    dtype: str = "auto",
    template: Mapping[str, Any] | None = None,
) -> int:
    """Write the reference log-probabilities that ``train`` with the same arguments takes as ``reference_file``.

    They are computed with the code of training, so with its packing and processes they are the same to the last bit.
    Neither the loss nor the learning rate plays a part.

    :param rows_file: ``Preference`` rows
    :param start: the reference
    :param output: the file to write
    :param work: records of the processes, when there are several
    :return: pairs, each with the log-probabilities of its chosen and its rejected reply
    :raises StageError: as ``train``
    """
    job = TrainingJob("dpo", rows_file, start, work, optim, DpoLoss(), trainer, seed, stage, dtype, output)
    plan, _ = prepare(replace(job, reference_only=True, template=dict(template or {})))
    _run(plan, Checkpoints(work, "reference"), Listener(lambda step, series: None, lambda step: False))
    return sum(len(batch) for batch in plan.reference_batches)


def prepare(job: TrainingJob) -> tuple[Plan, Encoded]:
    """Read and encode a job's rows and plan its steps.

    :raises StageError: no usable rows
    """
    encoded = _encode(job)
    return make_plan(job, encoded.units), encoded


def _run(plan: Plan, checkpoints: Checkpoints, listener: Listener) -> None:
    """Train here, or in processes of their own when several are asked for."""
    if plan.job.processes == 1:
        fit(plan, checkpoints, listener)
    else:
        run_ranks(plan.job, listener)


def _encode(job: TrainingJob) -> Encoded:
    rows: Sequence[Demonstration | Preference]
    rows = read_rows(job.rows_file, Demonstration) if job.task == "sft" else read_rows(job.rows_file, Preference)
    if not rows:
        raise StageError(f"{job.stage}: {job.rows_file} holds no rows, so there is nothing to train on.")
    config: Any = AutoConfig.from_pretrained(job.start.base, local_files_only=True)
    tokenizer = load_tokenizer(job.start.base, template=job.template)
    encoded = encode_rows(rows, tokenizer, _context(config), job.trainer.max_tokens)
    if not encoded.units:
        reasons = ", ".join(f"{count} {reason}" for reason, count in encoded.refused.most_common())
        need, now = encoded.shortest_refused, job.trainer.max_tokens
        remedy = f" Raise trainer.max_tokens to at least {need} (now {now})." if need else ""
        raise StageError(f"{job.stage}: all {len(rows)} rows of {job.rows_file} are refused: {reasons}.{remedy}")
    return encoded


def _context(config: Any) -> int:
    """Longest sequence, tokens, whose attention is the plain causal one: the context, or a sliding window."""
    text = config.get_text_config()
    limit = int(text.max_position_embeddings)
    window = getattr(text, "sliding_window", None)
    slides = "sliding_attention" in (getattr(text, "layer_types", None) or ["sliding_attention"])
    return min(limit, int(window)) if window and slides else limit


def _score_missing(checkpoints: Checkpoints, on_checkpoint: OnCheckpoint | None) -> None:
    """Score the latest checkpoint unless a run that was killed afterwards has done so."""
    steps = checkpoints.steps()
    if steps and on_checkpoint is not None and steps[-1] not in checkpoints.scores():
        checkpoints.record(steps[-1], float(on_checkpoint(steps[-1], checkpoints.folder(steps[-1]))))
    if steps:
        checkpoints.prune()
