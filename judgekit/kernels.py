"""Which of torch's kernels are taken, where its own choice is a bad one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def no_cudnn_attention() -> Iterator[None]:
    """Keep scaled dot-product attention off cuDNN.

    On Hopper torch prefers cuDNN for attention with a mask. cuDNN prepares every new shape for 2 seconds or more, and
    here almost every packed sequence, and every decoded token, makes a new shape.
    """
    before = torch.backends.cuda.cudnn_sdp_enabled()  # type: ignore[no-untyped-call]
    torch.backends.cuda.enable_cudnn_sdp(False)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)
