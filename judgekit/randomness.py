"""Randomness as a pure function of (seed, row id, purpose).

No global generator: a draw does not depend on batch, shard, worker or the order in which rows are visited.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def digest(value: Any, length: int = 16) -> str:
    """First ``length`` hex characters of the SHA-256 of a JSON value, independent of dictionary order."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


def draw_bits(*key: str | int) -> int:
    """64 uniform bits determined by the key."""
    text = "\x1f".join(str(part) for part in key)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")


def draw_uniform(*key: str | int) -> float:
    """A uniform number in [0, 1) determined by the key."""
    return (draw_bits(*key) >> 11) * 2.0**-53


def pick(items: Sequence[T], *key: str | int) -> T:
    """One of ``items``, determined by the key.

    :raises IndexError: when ``items`` is empty
    """
    return items[int(draw_uniform(*key) * len(items))]


def shuffled(items: Sequence[T], *key: str | int) -> list[T]:
    """``items`` in an order determined by the key."""
    order = sorted(range(len(items)), key=lambda index: draw_bits(*key, index))
    return [items[index] for index in order]
