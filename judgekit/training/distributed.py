"""What several processes do together: gradients added up, weights sharded (FSDP2), tensors made whole again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from judgekit.randomness import draw_bits

T = TypeVar("T")

BUCKET = 2**25
"""Numbers sent at once."""


class WholeModel(nn.Module):
    """A model that functions are called with, so that all of its weights are at hand while they run.

    FSDP gathers weights when the ``forward`` of a module is called. A loss that reads hidden states and the output
    layer's weights is no method of the model, so it runs inside this one's ``forward``.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, function: Callable[..., T], *arguments: Any) -> T:
        """``function(model, *arguments)``."""
        return function(self.model, *arguments)


def shard(whole: WholeModel, mesh: Any, replicated: set[nn.Parameter], device: torch.device) -> None:
    """Shard the weights of the first process over a mesh's processes, decoder layer by decoder layer.

    The other processes' models need no values and may lie on the meta device, so that a node holds one copy at most.

    :param replicated: parameters every process keeps (an adapter's); their gradients are left to ``add_up``
    :param device: where the shards belong
    """
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    values = {name: value.detach() for name, value in whole.named_parameters()} if dist.get_rank() == 0 else None
    model: Any = whole.model
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    layers = [module for module in base.modules() if type(module).__name__ in set(base._no_split_modules or ())]
    policy = MixedPrecisionPolicy(reduce_dtype=torch.float32)
    for module in [*layers, whole]:
        fully_shard(module, mesh=mesh, mp_policy=policy, ignored_params=replicated)
    _send(whole, values, device)


def _send(whole: WholeModel, values: dict[str, Tensor] | None, device: torch.device) -> None:
    """Give every process its shards of ``values``, which only the first one has."""
    buffers = dict(whole.named_buffers())
    whole.to_empty(device=device)
    for name, buffer in buffers.items():  # rotary frequencies and the like, which every process has computed
        owner, _, key = name.rpartition(".")
        setattr(whole.get_submodule(owner), key, buffer.to(device))
    _check_same([name for name, _ in whole.named_parameters()], device)
    for name, parameter in whole.named_parameters():
        if values is None:
            value = torch.empty(parameter.shape, dtype=parameter.dtype, device=device)
        else:
            value = values.pop(name).to(device)
        if not is_sharded(parameter):
            dist.broadcast(value, 0)
        with torch.no_grad():
            parameter.copy_(placed_like(value, parameter))


def _check_same(names: list[str], device: torch.device) -> None:
    """Fail, rather than wait for one another for ever, where processes disagree on what is to be sent."""
    here = torch.tensor([draw_bits(*names) >> 2], device=device)
    first = here.clone()
    dist.broadcast(first, 0)
    assert torch.equal(here, first), "processes built models with different parameters"


def add_up(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by its sum over all processes, in place and in the tensors' precision."""
    for bucket in _buckets(tensors):
        flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
        dist.all_reduce(flat)
        for tensor, part in zip(bucket, torch.split(flat, [tensor.numel() for tensor in bucket]), strict=True):
            tensor.copy_(part.view_as(tensor))


def _buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    for tensor in tensors:
        if bucket and sum(held.numel() for held in bucket) + tensor.numel() > BUCKET:
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket


def is_sharded(tensor: Tensor) -> bool:
    """Whether this process holds only a shard of the tensor."""
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)


def gathered(tensor: Tensor) -> Tensor:
    """The whole of a tensor; all processes must ask for it together."""
    held: Any = tensor
    whole: Tensor = held.full_tensor() if is_sharded(tensor) else tensor
    return whole


def drop_gathered(whole: WholeModel) -> None:
    """Let go of weights that a forward pass gathered and no backward pass has let go: their shards have changed."""
    from torch.distributed.fsdp import FSDPModule

    for module in whole.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def placed_like(whole: Tensor, like: Tensor) -> Tensor:
    """A whole tensor as ``like`` is held: this process's shard of it, or all of it."""
    if not is_sharded(like):
        return whole
    from torch.distributed.tensor import distribute_tensor

    held: Any = like
    return distribute_tensor(whole, held.device_mesh, held.placements)
