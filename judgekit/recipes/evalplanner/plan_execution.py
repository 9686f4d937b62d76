"""From sampled plan-execution chains to SFT demonstrations and DPO pairs (EvalPlanner, arXiv 2501.18099 §3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from judgekit.preferences.judgment_balance import CUT, JudgmentPair, balance_positions
from judgekit.randomness import draw_bits, pick
from judgekit.rows import ORDERS, Judgment, Order, ResponsePair


@dataclass
class Selection:
    """What was selected and what was dropped, by reason.

    :ivar pairs: DPO pairs in the order of instructions, orders, plans
    :ivar demonstrations: chains to imitate
    """

    pairs: list[JudgmentPair] = field(default_factory=list)
    demonstrations: list[Judgment] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class ChainRules:
    """The choices that select chains; those the paper leaves open are config fields of the recipe.

    :param pairs_per_instruction: cap on the DPO pairs of one instruction
    :param per_order: one demonstration per order instead of per instruction
    :param invalid_as_negative: chains without a verdict may be rejected ones
    :param drop_conflicting: use an instruction only if every order that was judged has a correct chain
    :param balance_labels: as many demonstrations that end in A as in B (position named)
    :param max_chars: longest chosen chain, characters
    """

    seed: int
    pairs_per_instruction: int | None = None
    per_order: bool = False
    invalid_as_negative: bool = False
    drop_conflicting: bool = False
    balance_labels: bool = False
    max_chars: int | None = None


def select(pairs: Sequence[ResponsePair], chains: Iterable[Judgment], rules: ChainRules) -> Selection:
    """DPO pairs and demonstrations from all chains of some response pairs.

    A chain is correct when its verdict equals the label. DPO pairs are all correct x incorrect chains under the same
    plan *and* order. An instruction without any correct chain is dropped; one whose plans never disagree gives a
    demonstration but no pair.
    """
    by_pair: dict[str, list[Judgment]] = {pair.id: [] for pair in pairs}
    # Draws go by place, so places must not depend on the order of the input.
    for chain in sorted(chains, key=lambda chain: (chain.order, chain.plan_index or 0, chain.sample)):
        by_pair[chain.id].append(chain)
    orders = [order for order in ORDERS if any(chain.order == order for found in by_pair.values() for chain in found)]
    selection = Selection()
    for pair in pairs:
        _select_one(pair, by_pair[pair.id], orders, rules, selection)
    if rules.balance_labels:
        _balance(selection, rules.seed)
    return selection


def _select_one(
    pair: ResponsePair, chains: list[Judgment], orders: Sequence[Order], rules: ChainRules, selection: Selection
) -> None:
    correct = [chain for chain in chains if chain.verdict is not None and chain.verdict == pair.label]
    usable = [chain for chain in correct if rules.max_chars is None or len(chain.text) <= rules.max_chars]
    selection.dropped["correct chain over bias.max_judgment_chars"] += len(correct) - len(usable)
    selection.dropped += Counter()  # forget zero counts
    if not usable:
        selection.dropped["instruction without a correct chain"] += 1
        return
    if rules.drop_conflicting and any(all(chain.order != order for chain in usable) for order in orders):
        selection.dropped["instruction without a correct chain in both orders"] += 1
        return
    groups = [[chain for chain in usable if chain.order == order] for order in orders] if rules.per_order else [usable]
    for number, group in enumerate(groups):
        if group:
            selection.demonstrations.append(pick(group, rules.seed, pair.id, "demonstration", number))
    found = _contrasts(pair, chains, usable, rules)
    if not found:
        selection.dropped["instruction whose plans never gave both a right and a wrong chain"] += 1
    cap = rules.pairs_per_instruction
    if cap is not None and len(found) > cap:
        selection.dropped["pair over recipe.pairs_per_instruction"] += len(found) - cap
        order = sorted(range(len(found)), key=lambda i: draw_bits(rules.seed, pair.id, "cap", i))
        found = [found[index] for index in sorted(order[:cap])]
    selection.pairs += found


def _contrasts(
    pair: ResponsePair, chains: Sequence[Judgment], correct: Sequence[Judgment], rules: ChainRules
) -> list[JudgmentPair]:
    """All correct x incorrect chains that share plan and order."""
    wrong = [
        chain
        for chain in chains
        if chain.verdict != pair.label and (chain.verdict is not None or rules.invalid_as_negative)
    ]
    cells: dict[tuple[Order, int | None], list[Judgment]] = {}
    for chain in wrong:
        cells.setdefault((chain.order, chain.plan_index), []).append(chain)
    found = []
    for chosen in correct:
        for rejected in cells.get((chosen.order, chosen.plan_index), []):
            if rejected.text != chosen.text:
                found.append(JudgmentPair(chosen, rejected))
    return found


def _balance(selection: Selection, seed: int) -> None:
    """Cut the more frequent of A and B among the demonstrations."""
    kept = balance_positions(selection.demonstrations, seed)
    if len(kept) < len(selection.demonstrations):
        selection.dropped[CUT] += len(selection.demonstrations) - len(kept)
    selection.demonstrations = kept
