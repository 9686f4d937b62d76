"""The LightningModule: one optimizer step on one batch of packed sequences.

Optimisation is manual because a step takes as many backward passes as packing gave sequences, and its loss is the
mean over the batch's examples or pairs however they were packed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from judgekit.errors import StageError
from judgekit.randomness import draw_bits
from judgekit.schema.config import LossConfig, OptimConfig
from judgekit.training import reference
from judgekit.training.batches import Packed, Unit, pack
from judgekit.training.checkpoints import Checkpoints
from judgekit.training.logprobs import check_head, completion_logps, token_logps
from judgekit.training.losses import dpo_loss, nll_term, sft_loss

Task = Literal["sft", "dpo"]


@dataclass(frozen=True)
class Plan:
    """Everything one training stage is going to do.

    :param batches: the units of every optimizer step, in order
    :param per_epoch: steps of one epoch
    :param max_tokens: longest packed sequence
    :param start: digest of the weights the stage starts from
    :param reference_file: where reference log-probabilities are kept (DPO)
    """

    task: Task
    stage: str
    batches: list[list[Unit]]
    per_epoch: int
    optim: OptimConfig
    loss: LossConfig
    max_tokens: int
    seed: int
    start: str
    reference_file: Path


class Batches(lightning.LightningDataModule):
    """The packed batches of all steps from ``first`` on, packed when their turn comes."""

    def __init__(self, plan: Plan, first: int) -> None:
        super().__init__()
        self.plan, self.first = plan, first

    def train_dataloader(self) -> DataLoader[list[Packed]]:
        """One item per optimizer step."""
        return DataLoader(_Steps(self.plan, self.first), batch_size=None, collate_fn=lambda batch: batch)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Leave token lists alone: each packed sequence becomes tensors when it is used."""
        return batch


class _Steps(Dataset[list[Packed]]):
    def __init__(self, plan: Plan, first: int) -> None:
        self.plan, self.first = plan, first

    def __len__(self) -> int:
        return len(self.plan.batches) - self.first

    def __getitem__(self, index: int) -> list[Packed]:
        return pack(self.plan.batches[self.first + index], self.plan.max_tokens)


def learning_rate(optim: OptimConfig, step: int, steps: int) -> float:
    """Learning rate of a 0-based step out of ``steps``: linear warm-up, then the schedule down to the final ratio."""
    if step < optim.warmup_steps:
        return optim.lr * (step + 1) / optim.warmup_steps
    progress = (step - optim.warmup_steps) / max(1, steps - 1 - optim.warmup_steps)
    shape = {"constant": 1.0, "linear": 1.0 - progress, "cosine": 0.5 * (1.0 + math.cos(math.pi * progress))}
    if optim.schedule == "constant":
        return optim.lr
    return optim.lr * (optim.final_lr_ratio + (1.0 - optim.final_lr_ratio) * shape[optim.schedule])


class JudgeModule(lightning.LightningModule):
    """A model under SFT or DPO.

    After each step ``series`` holds its numbers, ``step`` the number of steps done and ``tokens`` the packed tokens.
    """

    def __init__(self, model: Any, plan: Plan, checkpoints: Checkpoints) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model, self.plan, self.checkpoints = model, plan, checkpoints
        self.step, self.tokens = 0, 0
        self.series: dict[str, float] = {}
        self._masters: list[tuple[str, Tensor, Tensor]] = []
        self._reference: dict[int, Tensor] = {}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW on fp32 tensors: the parameters themselves, or fp32 copies of those in lower precision."""
        self._masters = [
            (name, value, value if value.dtype == torch.float32 else value.detach().float().requires_grad_())
            for name, value in self.model.named_parameters()
            if value.requires_grad
        ]
        optim = self.plan.optim
        return torch.optim.AdamW(
            [master for _, _, master in self._masters], optim.lr, optim.betas, weight_decay=optim.weight_decay
        )

    def on_train_start(self) -> None:
        """Take the reference from the starting weights, then continue from the last checkpoint, if there is one."""
        check_head(self.model, self.device)
        if self.plan.task == "dpo":
            self._take_reference()
        state = self.checkpoints.load(self.device)
        if state is not None:
            self._restore(state.tensors)
            self.step, self.tokens = state.step, state.tokens

    def training_step(self, batch: list[Packed], batch_idx: int) -> None:
        """One optimizer step."""
        totals: dict[str, float] = {}
        with torch.random.fork_rng(enabled=self.device.type == "cpu"):
            torch.manual_seed(draw_bits(self.plan.seed, self.plan.stage, "dropout", self.step))
            for packed in batch:
                loss, parts = self._loss(packed, batch)
                self.manual_backward(loss)
                for name, value in {"loss": loss.detach(), **parts}.items():
                    totals[name] = totals.get(name, 0.0) + float(value)
        rate = learning_rate(self.plan.optim, self.step, len(self.plan.batches))
        norm = self._update(rate, totals["loss"])
        self.step += 1
        self.tokens += sum(len(packed.ids) for packed in batch)
        self.series = {**totals, "lr": rate, "grad_norm": norm}

    def state(self) -> dict[str, Tensor]:
        """Trained values and optimizer state, by name."""
        optimizer = self._optimizer()
        tensors: dict[str, Tensor] = {}
        for name, _, master in self._masters:
            tensors[f"value/{name}"] = master.detach()
            tensors |= {f"{key}/{name}": value for key, value in optimizer.state[master].items()}
        return tensors

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        optimizer = self._optimizer()
        keys = ("step", "exp_avg", "exp_avg_sq")
        states = {}
        for index, (name, parameter, master) in enumerate(self._masters):
            with torch.no_grad():
                master.copy_(tensors[f"value/{name}"])
                parameter.copy_(master)
            states[index] = {key: tensors[f"{key}/{name}"] for key in keys}
        optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})

    def _optimizer(self) -> torch.optim.Optimizer:
        return self.optimizers(use_pl_optimizer=False)  # type: ignore[return-value]

    def _take_reference(self) -> None:
        plan = self.plan
        batches = plan.batches[: plan.per_epoch]
        key = reference.reference_key(plan.start, batches, plan.max_tokens)
        logps = reference.load_reference(plan.reference_file, key)
        if logps is None:
            self.model.eval()
            logps = reference.reference_logps(self.model, batches, plan.max_tokens, self.device)
            self.model.train()
            reference.save_reference(plan.reference_file, key, logps)
        units = [unit for batch in batches for unit in batch]
        self._reference = {unit.index: row for unit, row in zip(units, logps.to(self.device), strict=True)}

    def _loss(self, packed: Packed, batch: Sequence[Packed]) -> tuple[Tensor, dict[str, Tensor]]:
        """This packed sequence's share of the batch's mean loss, and of the other series."""
        logps_M = token_logps(self.model, packed, self.device)
        sums_K, lengths_K = completion_logps(logps_M, packed)
        if self.plan.task == "sft":
            tokens = sum(len(unit.completions[0]) for part in batch for unit in part.units)
            chosen_U = torch.tensor([names[0] for names in packed.completions], device=self.device)
            return sft_loss(sums_K[chosen_U], tokens), {}
        pairs = sum(len(part.units) for part in batch)
        names_B2 = torch.tensor(packed.completions, device=self.device)
        policy_B2 = sums_K[names_B2]
        reference_B2 = torch.stack([self._reference[unit.index] for unit in packed.units])
        settings = self.plan.loss
        losses_B, margins_B = dpo_loss(
            policy_B2[:, 0],
            policy_B2[:, 1],
            reference_B2[:, 0],
            reference_B2[:, 1],
            settings.beta,
            settings.label_smoothing,
        )
        nll_B = nll_term(policy_B2[:, 0], lengths_K[names_B2[:, 0]])
        loss = (losses_B + settings.nll_weight * nll_B).sum() / pairs
        means = {
            "margin": margins_B,
            "accuracy": (margins_B > 0).float(),
            "chosen_logp": policy_B2[:, 0],
            "rejected_logp": policy_B2[:, 1],
            "nll": nll_B,
        }
        return loss, {name: value.detach().sum() / pairs for name, value in means.items()}

    def _update(self, rate: float, loss: float) -> float:
        """Clip, step and return the gradient norm before clipping.

        :raises StageError: loss or gradient are not finite; the weights are left as they were
        """
        optimizer = self.optimizers()
        masters = [master for _, _, master in self._masters]
        for _, parameter, master in self._masters:
            if master is not parameter and parameter.grad is not None:
                master.grad, parameter.grad = parameter.grad.float(), None
        limit = self.plan.optim.clip_norm
        norm = float(torch.nn.utils.clip_grad_norm_(masters, math.inf if limit is None else limit))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise StageError(
                f"{self.plan.stage}: the loss ({loss}) or its gradient norm ({norm}) at step {self.step + 1} is not a "
                f"finite number. Lower this stage's lr (now {self.plan.optim.lr:g}) or clip_norm, or set "
                "model.dtype=float32."
            )
        for group in optimizer.param_groups:  # type: ignore[union-attr]
            group["lr"] = rate
        optimizer.step()  # type: ignore[union-attr]
        optimizer.zero_grad()  # type: ignore[union-attr]
        with torch.no_grad():
            for _, parameter, master in self._masters:
                if master is not parameter:
                    parameter.copy_(master)
        return norm
