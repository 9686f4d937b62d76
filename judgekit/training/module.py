"""The LightningModule: one optimizer step on one batch of packed sequences.

Optimisation is manual because a step takes as many backward passes as packing gave sequences, and its loss is the
mean over the batch's examples or pairs however they were packed and whichever process computed them.
"""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from judgekit.errors import StageError
from judgekit.randomness import draw_bits
from judgekit.schema.optim import OptimConfig
from judgekit.training import reference
from judgekit.training.batches import Packed, Share, share
from judgekit.training.checkpoints import Checkpoints
from judgekit.training.distributed import WholeModel, add_up, drop_gathered, gathered, placed_like, shard
from judgekit.training.logprobs import check_head, token_logps
from judgekit.training.objective import PREFERENCE_SERIES, preference_part, sft_part
from judgekit.training.training_job import Plan, reference_key


class Batches(lightning.LightningDataModule):
    """This process's shares of all steps from ``first`` on, packed when their turn comes."""

    def __init__(self, plan: Plan, first: int) -> None:
        super().__init__()
        self.plan, self.first = plan, first

    def train_dataloader(self) -> DataLoader[Share]:
        """One item per optimizer step."""
        assert self.trainer is not None
        steps = _Steps(self.plan, self.first, self.trainer.global_rank)
        return DataLoader(steps, batch_size=None, collate_fn=lambda item: item)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Leave token lists alone: each packed sequence becomes tensors when it is used."""
        return batch


class _Steps(Dataset[Share]):
    def __init__(self, plan: Plan, first: int, rank: int) -> None:
        self.plan, self.first, self.rank = plan, first, rank

    def __len__(self) -> int:
        return len(self.plan.batches) - self.first

    def __getitem__(self, index: int) -> Share:
        job = self.plan.job
        batch = self.plan.batches[self.first + index]
        return share(batch, job.trainer.max_tokens, self.rank, job.processes, job.sharded)


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
    """A model under SFT or preference training.

    After each step ``series`` holds its numbers, ``step`` the number of steps done and ``tokens`` the packed tokens
    of all processes.
    """

    def __init__(self, model: Any, plan: Plan, checkpoints: Checkpoints) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.whole, self.plan, self.checkpoints = WholeModel(model), plan, checkpoints
        self.step, self.tokens = 0, 0
        self.series: dict[str, float] = {}
        self._masters: list[tuple[str, Tensor, Tensor]] = []
        self._reference: dict[int, Tensor] = {}

    @property
    def model(self) -> Any:
        """The model itself, for saving it."""
        return self.whole.model

    def configure_model(self) -> None:
        """Shard the weights where that is asked for; an adapter is small and every process keeps it."""
        if self.plan.job.sharded:
            full = self.plan.job.trainer.adapter == "full"
            replicated = set() if full else {value for value in self.parameters() if value.requires_grad}
            mesh: Any = self.device_mesh
            shard(self.whole, mesh["data_parallel"], replicated, self.trainer.strategy.root_device)

    def configure_optimizers(self) -> torch.optim.Optimizer | None:
        """AdamW on fp32 tensors: the parameters themselves, or fp32 copies of those in lower precision."""
        if self.plan.job.reference_only:
            return None
        self._masters = [
            (name, value, value if value.dtype == torch.float32 else value.detach().float().requires_grad_())
            for name, value in self.model.named_parameters()
            if value.requires_grad
        ]
        optim = self.plan.job.optim
        masters = [master for _, _, master in self._masters]
        # One kernel instead of many: the others need one more copy of all trained values on a GPU, and wait for each
        # parameter's count of steps once a checkpoint has brought it there.
        fused = True if all(master.is_cuda for master in masters) else None
        return torch.optim.AdamW(masters, optim.lr, optim.betas, weight_decay=optim.weight_decay, fused=fused)

    def on_train_start(self) -> None:
        """Take the reference from its file or the starting weights, then go on from the last checkpoint, if any."""
        self.whole.eval()  # dropout would draw other units for each of the passes that are compared
        self.whole(check_head, self.device)
        self.whole.train()
        if self.plan.job.task == "dpo":
            self._take_reference()
        if self.plan.job.reference_only:
            self.trainer.should_stop = True
            return
        state = self.checkpoints.load(self.device)
        if state is not None:
            self._restore(state.tensors)
            drop_gathered(self.whole)
            self.step, self.tokens = state.step, state.tokens

    def training_step(self, batch: Share, batch_idx: int) -> None:
        """One optimizer step."""
        job = self.plan.job
        totals = dict.fromkeys(("loss", *(PREFERENCE_SERIES if job.task == "dpo" else ())), 0.0)
        # Sharded gradients come back as a mean over the processes, each of which has a part of the batch's mean.
        scale = job.processes if job.sharded and job.trainer.adapter == "full" else 1
        place = (self.step, self.global_rank) if job.processes > 1 else (self.step,)
        with torch.random.fork_rng(enabled=self.device.type == "cpu"):
            torch.manual_seed(draw_bits(job.seed, job.stage, "dropout", *place))
            for packed in batch.packs:
                loss, parts = self._loss(packed, batch)
                self.manual_backward(loss * scale)
                # All at once: every number asked for by itself makes a GPU wait.
                values = torch.stack([loss.detach(), *parts.values()]).tolist()
                for name, value in zip(("loss", *parts), values, strict=True):
                    totals[name] += value
            for packed in batch.idle:
                self.manual_backward(self.whole(token_logps, packed, self.device).sum() * 0.0)
        tokens = self._add_up_totals(totals, sum(len(packed.ids) for packed in batch.packs))
        rate = learning_rate(job.optim, self.step, len(self.plan.batches))
        norm = self._update(rate, totals["loss"])
        self.step += 1
        self.tokens += tokens
        self.series = {**totals, "lr": rate, "grad_norm": norm}

    def snapshot(self, keep: bool) -> tuple[dict[str, Tensor], dict[str, Tensor] | None]:
        """Trained values and optimizer state by name; and all weights where they are sharded, None elsewhere.

        All processes must call it together.

        :param keep: hold on to the tensors; only the process that writes them does
        """
        optimizer = self._optimizer()
        tensors: dict[str, Tensor] = {}
        for name, _, master in self._masters:
            state = {f"{key}/{name}": value for key, value in optimizer.state[master].items()}
            for key, value in {f"value/{name}": master.detach(), **state}.items():
                whole = gathered(value)
                if keep:
                    tensors[key] = whole.cpu()
        if not self.plan.job.sharded or self.plan.job.trainer.adapter != "full":
            return tensors, None
        weights = {name: gathered(value.detach()) for name, value in self.model.named_parameters()}
        return tensors, {name: value.cpu() for name, value in weights.items()} if keep else None

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        optimizer = self._optimizer()
        states = {}
        for index, (name, parameter, master) in enumerate(self._masters):
            with torch.no_grad():
                master.copy_(placed_like(tensors[f"value/{name}"], master))
                parameter.copy_(master)
            moments = {key: placed_like(tensors[f"{key}/{name}"], master) for key in ("exp_avg", "exp_avg_sq")}
            states[index] = {"step": tensors[f"step/{name}"], **moments}
        optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})

    def _optimizer(self) -> torch.optim.Optimizer:
        return self.optimizers(use_pl_optimizer=False)  # type: ignore[return-value]

    def _take_reference(self) -> None:
        plan, job = self.plan, self.plan.job
        key = reference_key(plan)
        logps = reference.load_reference(job.reference_file, key)
        units = [unit for batch in plan.reference_batches for unit in batch]
        if not self._everywhere(logps is not None):
            if job.reference is not None:
                raise StageError(
                    f"{job.stage}: {job.reference_file} does not hold the reference log-probabilities of these pairs "
                    "under the reference model. Nothing was changed; report this as a bug."
                )
            shares = [
                share(batch, job.trainer.max_tokens, self.global_rank, job.processes, job.sharded)
                for batch in plan.reference_batches
            ]
            self.whole.eval()
            logps = reference.reference_logps(self.whole, shares, units, self.device, job.processes)
            self.whole.train()
            if self.global_rank == 0:
                reference.save_reference(job.reference_file, key, logps)
        assert logps is not None
        self._reference = {unit.index: row for unit, row in zip(units, logps.to(self.device), strict=True)}

    def _everywhere(self, here: bool) -> bool:
        """Whether something holds in all processes; a file on a network need not be seen by all at the same time."""
        count = torch.tensor([float(here)], device=self.device)
        if self.plan.job.processes > 1:
            add_up([count])
        return int(count) == self.plan.job.processes

    def _loss(self, packed: Packed, batch: Share) -> tuple[Tensor, dict[str, Tensor]]:
        """This packed sequence's part of the batch's mean loss, and of the other series."""
        logps_M = self.whole(token_logps, packed, self.device)
        if self.plan.job.task == "sft":
            return sft_part(logps_M, packed, batch, self.plan.job.loss)
        return preference_part(logps_M, packed, batch, self.plan.job.loss, self._reference)

    def _add_up_totals(self, totals: dict[str, float], tokens: int) -> int:
        """Add up the series, in place, and tokens over all processes; returns the tokens."""
        if self.plan.job.processes == 1:
            return tokens
        numbers = torch.tensor([*totals.values(), float(tokens)], dtype=torch.float64, device=self.device)
        add_up([numbers])
        *values, tokens_sum = numbers.tolist()
        totals.update(zip(totals, values, strict=True))
        return int(tokens_sum)

    def _update(self, rate: float, loss: float) -> float:
        """Add up gradients over the processes, clip, step and return the gradient norm before clipping.

        :raises StageError: loss or gradient are not finite; the weights are left as they were
        """
        job, optimizer = self.plan.job, self.optimizers()
        masters = [master for _, _, master in self._masters]
        for _, parameter, master in self._masters:
            if master is not parameter and parameter.grad is not None:
                master.grad, parameter.grad = parameter.grad.float(), None
        if job.processes > 1 and not (job.sharded and job.trainer.adapter == "full"):
            add_up([_gradient(master) for master in masters])
        limit = job.optim.clip_norm
        norm = float(gathered(torch.nn.utils.clip_grad_norm_(masters, math.inf if limit is None else limit)))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise StageError(
                f"{job.stage}: the loss ({loss}) or its gradient norm ({norm}) at step {self.step + 1} is not a "
                f"finite number. Lower this stage's lr (now {job.optim.lr:g}) or clip_norm, or set "
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


def _gradient(master: Tensor) -> Tensor:
    """The gradient of a master; zero in a process that had nothing to compute."""
    if master.grad is None:
        master.grad = torch.zeros_like(master)
    return master.grad
