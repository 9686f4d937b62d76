"""Rejection sampling of judgments: SFT demonstrations and DPO pairs (Self-Taught Evaluators, arXiv 2408.02666).

The rules are those of the paper and of its released ``prepare_sft_data.py`` and ``prepare_dpo_data.py``. The unit they
count is a *prompt*: one response pair in one order. A judgment is correct when its verdict equals the label the pair
was constructed with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from judgekit.preferences.judgment_balance import CUT, JudgmentPair, balance_positions
from judgekit.randomness import draw_bits, pick
from judgekit.rows import ORDERS, Judgment, Order, ResponsePair

ROUNDING = 1e-9
"""Forgives the last bit of f x samples, so that a third of three is one."""


@dataclass(frozen=True, slots=True)
class SelfTaughtRules:
    """The choices that select judgments.

    :param per_order: one demonstration a prompt, as the release does; otherwise one an example, from either order
    :param majority_fraction: f: a demonstration only where at least this share of the samples is correct; None: any
    :param balance_labels: as many judgments that name the first position as name the second
    :param drop_conflicting: use an example only if every order that was judged has a correct judgment
    :param max_chars: longest chosen judgment, characters
    :param num_pairs: cap on the DPO pairs of one prompt; None: all
    :param wrong_as_negative: judgments that name the other response may be rejected ones
    :param tie_as_negative: likewise judgments that call a tie
    :param invalid_as_negative: likewise judgments without a verdict
    """

    seed: int
    per_order: bool = True
    majority_fraction: float | None = None
    balance_labels: bool = False
    drop_conflicting: bool = False
    max_chars: int | None = None
    num_pairs: int | None = 1
    wrong_as_negative: bool = True
    tie_as_negative: bool = True
    invalid_as_negative: bool = True


@dataclass
class Demonstrations:
    """Judgments to imitate in the order of the examples, and what was dropped, by reason."""

    kept: list[Judgment] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


@dataclass
class Contrasts:
    """DPO pairs in the order of the examples, and what was dropped, by reason."""

    kept: list[JudgmentPair] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Prompt:
    """The samples of one unit; ``correct`` are those that can be chosen."""

    pair: ResponsePair
    samples: list[Judgment]
    correct: list[Judgment]
    number: int


def demonstrations(
    pairs: Sequence[ResponsePair], judgments: Iterable[Judgment], rules: SelfTaughtRules
) -> Demonstrations:
    """One correct judgment, drawn at random, of every prompt (or example) that has one."""
    selection = Demonstrations()
    unit = "prompt" if rules.per_order else "example"
    for prompt in _prompts(pairs, judgments, rules, rules.per_order, selection.dropped):
        right = [row for row in prompt.samples if row.verdict == prompt.pair.label]
        if not prompt.correct:
            selection.dropped[f"{unit} without a correct judgment"] += 1
        elif len(right) < (rules.majority_fraction or 0.0) * len(prompt.samples) - ROUNDING:
            selection.dropped[f"{unit} below recipe.majority_fraction"] += 1
        else:
            selection.kept.append(pick(prompt.correct, rules.seed, prompt.pair.id, "demonstration", prompt.number))
    if rules.balance_labels:
        kept = balance_positions(selection.kept, rules.seed)
        selection.dropped[CUT] += len(selection.kept) - len(kept)
        selection.kept = kept
    selection.dropped += Counter()  # forget zero counts
    return selection


def contrasts(
    pairs: Sequence[ResponsePair],
    judgments: Iterable[Judgment],
    rules: SelfTaughtRules,
    negatives: Iterable[Judgment] = (),
) -> Contrasts:
    """Correct x incorrect judgments of every prompt that has both, at most ``num_pairs`` of them drawn at random.

    :param negatives: further judgments, for example sampled hotter; their correct ones are not used
    """
    selection = Contrasts()
    extra: dict[tuple[str, Order], list[Judgment]] = {}
    for row in sorted(negatives, key=lambda row: row.sample):
        extra.setdefault((row.id, row.order), []).append(row)
    usable: list[tuple[_Prompt, list[Judgment]]] = []
    for prompt in _prompts(pairs, judgments, rules, True, selection.dropped):
        if not prompt.correct:
            selection.dropped["prompt without a correct judgment"] += 1
            continue
        samples = prompt.samples + extra.get((prompt.pair.id, prompt.correct[0].order), [])
        wrong = [row for row in samples if _negative(row, prompt.pair, rules)]
        if wrong:
            usable.append((prompt, wrong))
        else:
            selection.dropped["prompt without an incorrect judgment"] += 1
    if rules.balance_labels:
        # Every correct judgment of a prompt names the same position, so one stands for the prompt.
        kept = {(row.id, row.order) for row in balance_positions([p.correct[0] for p, _ in usable], rules.seed)}
        found = [(p, wrong) for p, wrong in usable if (p.pair.id, p.correct[0].order) in kept]
        selection.dropped["prompt cut to balance A and B"] += len(usable) - len(found)
        usable = found
    for prompt, wrong in usable:
        selection.kept += _capped(prompt, wrong, rules, selection.dropped)
    selection.dropped += Counter()
    return selection


def _prompts(
    pairs: Sequence[ResponsePair],
    judgments: Iterable[Judgment],
    rules: SelfTaughtRules,
    per_order: bool,
    dropped: Counter[str],
) -> Iterator[_Prompt]:
    """The units in the order of the pairs; judgments over the length limit count as samples but cannot be chosen."""
    by_pair: dict[str, list[Judgment]] = {pair.id: [] for pair in pairs}
    # Draws go by place, so places must not depend on the order of the input.
    for row in sorted(judgments, key=lambda row: (ORDERS.index(row.order), row.sample)):
        by_pair[row.id].append(row)
    orders = [order for order in ORDERS if any(row.order == order for rows in by_pair.values() for row in rows)]
    for pair in pairs:
        samples = by_pair[pair.id]
        right = [row for row in samples if row.verdict is not None and row.verdict == pair.label]
        correct = [row for row in right if rules.max_chars is None or len(row.text) <= rules.max_chars]
        dropped["correct judgment over bias.max_judgment_chars"] += len(right) - len(correct)
        if rules.drop_conflicting and any(all(row.order != order for row in correct) for order in orders):
            dropped["example without a correct judgment in both orders"] += 1
            continue
        for number, chosen in enumerate([[order] for order in orders] if per_order else [orders]):
            yield _Prompt(
                pair,
                [row for row in samples if row.order in chosen],
                [row for row in correct if row.order in chosen],
                number,
            )


def _negative(row: Judgment, pair: ResponsePair, rules: SelfTaughtRules) -> bool:
    """Whether a judgment may be rejected. One without any text says nothing that could be unlearned."""
    if row.verdict == pair.label or not row.text.strip():
        return False
    if row.verdict is None:
        return rules.invalid_as_negative
    return rules.tie_as_negative if row.verdict == "tie" else rules.wrong_as_negative


def _capped(
    prompt: _Prompt, wrong: Sequence[Judgment], rules: SelfTaughtRules, dropped: Counter[str]
) -> list[JudgmentPair]:
    """The cross product of one prompt, cut to ``num_pairs``."""
    found = [JudgmentPair(chosen, rejected) for chosen in prompt.correct for rejected in wrong]
    if rules.num_pairs is None or len(found) <= rules.num_pairs:
        return found
    order = prompt.correct[0].order
    ranked = sorted(range(len(found)), key=lambda place: draw_bits(rules.seed, prompt.pair.id, order, "cap", place))
    dropped["pair over recipe.num_pairs"] += len(found) - rules.num_pairs
    return [found[place] for place in sorted(ranked[: rules.num_pairs])]
