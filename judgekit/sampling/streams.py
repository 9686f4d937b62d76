"""The random stream of one sample: a function of seed, prompt and sample index alone."""

from __future__ import annotations

import numpy as np

from judgekit.randomness import draw_bits
from judgekit.sampling.base import Request


def stream_key(request: Request, sample: int) -> int:
    """64 bits that name the stream."""
    return draw_bits("sample", request.params.seed, ",".join(map(str, request.prompt)), sample)


def uniforms(request: Request, sample: int) -> np.ndarray:
    """Numbers in [0, 1), one for each token the sample may have; zeros for greedy decoding."""
    length = max(1, request.params.max_new_tokens)
    if request.params.temperature == 0:
        return np.zeros(length, dtype=np.float32)
    return np.random.Generator(np.random.Philox(stream_key(request, sample))).random(length, dtype=np.float32)
