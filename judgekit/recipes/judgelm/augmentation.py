"""JudgeLM's three augmentations (arXiv 2310.17631, section 4): swap augmentation, reference support, reference drop.

All are pure functions of (row, epoch, seed): a row is never edited, so that what one epoch showed leaves no trace in
the next, and no draw depends on the worker, process or batch a row falls to. Shown in the other order, a pair takes the
*swapped* review with it: scores and mentions of the assistants change places together. Shown with its reference, it
takes the review that was written with the reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from judgekit.prompts.mentions import swap_mentions
from judgekit.randomness import draw_uniform
from judgekit.rows import Order, ResponsePair


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A pair with the teacher's reviews, each written with response_a as Assistant 1.

    :param pair: with its reference answer, where there is one
    :param plain: review written without the reference: the score line, then the reasons
    :param referenced: review written with it; None: there is none
    """

    pair: ResponsePair
    plain: str
    referenced: str | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """How often each augmentation is drawn.

    :param swap: probability of showing response_b first
    :param reference: probability of showing the reference, of a row that has one with its review; 0: reference drop of
        all, 1: of none. The release calls it ``ref_drop_ratio``, though it is the probability of *keeping* it
    :param ordinals: also exchange "the first assistant" and "the second answer", which the release leaves as they are
    """

    swap: float = 0.5
    reference: float = 0.5
    ordinals: bool = True


@dataclass(frozen=True, slots=True)
class Shown:
    """What a judge is trained on once: the pair as shown (without reference where that is dropped) and its target."""

    pair: ResponsePair
    order: Order
    target: str


def augment(row: Reviewed, epoch: int, seed: int, rates: Rates) -> Shown:
    """The row as one epoch shows it; the two draws are independent of each other and of other epochs.

    :param epoch: 0-based
    """
    seen = support(row) if draws_reference(row, epoch, seed, rates.reference) else drop(row)
    return swap(seen, rates.ordinals) if draws_swap(row, epoch, seed, rates.swap) else seen


def augmented(rows: Sequence[Reviewed], epochs: int, seed: int, rates: Rates) -> Iterator[tuple[int, Shown]]:
    """All rows of every epoch, each with its epoch."""
    for epoch in range(epochs):
        for row in rows:
            yield epoch, augment(row, epoch, seed, rates)


def draws_swap(row: Reviewed, epoch: int, seed: int, rate: float) -> bool:
    """Whether an epoch shows a row's responses in the other order."""
    return draw_uniform(seed, row.pair.id, "swap", epoch) < rate


def draws_reference(row: Reviewed, epoch: int, seed: int, rate: float) -> bool:
    """Whether an epoch shows a row's reference."""
    return row.referenced is not None and draw_uniform(seed, row.pair.id, "reference", epoch) < rate


def support(row: Reviewed) -> Shown:
    """Reference support: the reference is shown, and the target was written with it.

    :raises ValueError: for a row without a reference or its review
    """
    if row.referenced is None or row.pair.reference is None:
        raise ValueError(f"row '{row.pair.id}' has no reference with a review of its own")
    return Shown(row.pair, "ab", row.referenced)


def drop(row: Reviewed) -> Shown:
    """Reference drop: no reference is shown, and the target was written without one."""
    return Shown(replace(row.pair, reference=None), "ab", row.plain)


def swap(seen: Shown, ordinals: bool = True) -> Shown:
    """Swap augmentation: the responses change places, and the target with them. Done twice it changes nothing."""
    return Shown(seen.pair, "ba" if seen.order == "ab" else "ab", swap_review(seen.target, ordinals))


_SCORES = re.compile(r"([\s,]*)([^\s,]+)([\s,]+)([^\s,]+)([\s,]*)")
_ORDINAL = re.compile(
    r"\b(first|First|FIRST|second|Second|SECOND)(?=\s+(?i:(?:AI\s+)?(?:assistant|answer|response))\b)"
)
_OTHER: Mapping[str, str] = {
    "first": "second", "First": "Second", "FIRST": "SECOND", "second": "first", "Second": "First", "SECOND": "FIRST",
}  # fmt: skip


def swap_review(text: str, ordinals: bool = True) -> str:
    """A review of the same answers in the other order.

    The two scores of the first line change places as they are written, and in the lines after it "Assistant 1" and
    "Assistant 2" (``swap_mentions``). Text that is no number keeps its place, so done twice nothing changes.

    :param ordinals: also "first assistant", "second answer" and the like
    :raises ValueError: when the first line does not hold two things to exchange
    """
    line, newline, reasons = text.partition("\n")
    found = _SCORES.fullmatch(line)
    if found is None:
        raise ValueError("the first line does not hold two scores")
    before, first, between, second, after = found.groups()
    swapped = swap_mentions(reasons)
    if ordinals:
        swapped = _ORDINAL.sub(lambda match: _OTHER[match[1]], swapped)
    return f"{before}{second}{between}{first}{after}{newline}{swapped}"
