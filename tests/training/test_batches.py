"""Packing and batch order."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from judgekit.rows import Preference
from judgekit.training.attention import tree_mask
from judgekit.training.batches import Unit, encode_rows, epoch_batches, pack, share
from tests.training.tiny import make_model, preferences

SHORT = st.lists(st.integers(0, 2), min_size=1, max_size=5).map(tuple)
UNITS = st.lists(st.tuples(SHORT, SHORT, SHORT), min_size=1, max_size=6).map(
    lambda rows: [Unit(index, prompt, (one, two)) for index, (prompt, one, two) in enumerate(rows)]
)


@settings(max_examples=200, deadline=None)
@given(UNITS, st.integers(14, 40))
def test_every_completion_sees_exactly_its_own_past(units: list[Unit], budget: int) -> None:
    """Following the mask back from each prediction must spell the unpacked sequence, at its unpacked positions."""
    seen = []
    for packed in pack(units, budget):
        assert len(packed.ids) <= budget
        assert packed.owners == sorted(packed.owners), "a completion's tokens follow one another"
        mask = tree_mask(torch.tensor(packed.ends), torch.float32)[0, 0] == 0
        for unit, names in zip(packed.units, packed.completions, strict=True):
            seen.append(unit.index)
            for completion, name in zip(unit.completions, names, strict=True):
                entries = [e for e, owner in zip(packed.entries, packed.owners, strict=True) if owner == name]
                assert [packed.targets[entry] for entry in entries] == list(completion)
                for length, entry in enumerate(entries):
                    past = mask[packed.sources[entry]].nonzero()[:, 0].tolist()
                    assert [packed.ids[node] for node in past] == list(unit.prompt + completion[:length])
                    assert [packed.positions[node] for node in past] == list(range(len(past)))
    assert sorted(seen) == [unit.index for unit in units]


@settings(max_examples=100, deadline=None)
@given(UNITS)
def test_nothing_is_computed_twice(units: list[Unit]) -> None:
    (packed,) = pack(units, 10_000)
    nodes = {sequence[:end] for unit in units for sequence in unit.sequences for end in range(1, len(sequence))}
    assert len(packed.ids) == len(nodes)
    assert len(set(zip(packed.sources, packed.targets, strict=True))) == len(packed.sources)


def test_a_unit_over_the_budget_is_not_packed() -> None:
    with pytest.raises(ValueError, match="more than 5"):
        pack([Unit(0, (1, 2, 3), ((4, 5, 8), (6, 7)))], 5)


def test_order_depends_on_seed_and_epoch_only() -> None:
    units = [Unit(index, (index // 6,), ((index % 3,), (9, index % 2))) for index in range(30)]
    first = epoch_batches(units, 8, 2, 0)
    assert first == epoch_batches(list(units), 8, 2, 0)
    assert first != epoch_batches(units, 8, 2, 1) and first != epoch_batches(units, 8, 3, 0)
    assert sorted(unit.index for batch in first for unit in batch) == list(range(30))
    assert [len(batch) for batch in first] == [8, 8, 8, 6]


def test_pairs_are_shuffled_one_by_one() -> None:
    """Of 512 pairs of 64 prompts, 8 each, a random batch of 32 holds 64 x (1 - C(504, 32) / C(512, 32)) = 25.8."""
    units = [Unit(index, (index // 8,), ((index, 0), (index, 1))) for index in range(512)]
    held = [len({unit.prompt for unit in batch}) for batch in epoch_batches(units, 32, 2, 0)]
    assert len(held) == 16 and min(held) >= 20 and 24.5 < sum(held) / 16 < 27


def test_grouping_keeps_runs_of_half_a_batch() -> None:
    units = [Unit(index, (index // 6,), ((index % 3,), (9, index % 2))) for index in range(30)]
    batches = epoch_batches(units, 8, 2, 0, grouped=True)
    assert sorted(unit.index for batch in batches for unit in batch) == list(range(30))
    assert all(len({unit.prompt for unit in batch}) > 1 for batch in batches)
    neighbours = sum(a.prompt == b.prompt for batch in batches for a, b in zip(batch, batch[1:], strict=False))
    assert neighbours >= 18


def test_steps_reach_all_prompts_and_take_equally_of_each() -> None:
    sizes = (1, 2, 3, 10, 40)
    units = [Unit(0, (prompt,), ((number,), (9,))) for prompt, size in enumerate(sizes) for number in range(size)]
    units = [Unit(index, unit.prompt, unit.completions) for index, unit in enumerate(units)]

    def taken(steps: int, **choice: bool) -> list[int]:
        batches = epoch_batches(units, 4, 2, 0, steps, **choice)
        assert len(batches) == steps and all(len(batch) == 4 for batch in batches)
        indices = [unit.index for batch in batches for unit in batch]
        assert len(set(indices)) == len(indices)
        return [sum(unit.prompt == (prompt,) for batch in batches for unit in batch) for prompt in range(5)]

    # 20 of 56 pairs: one, two, three, and seven of either large prompt; 8 of 56: one of each and three second ones.
    assert taken(5) == [1, 2, 3, 7, 7] and taken(5, grouped=True) == [1, 2, 3, 7, 7]
    assert sum(taken(2)) == 8 and sorted(taken(2)) == [1, 1, 2, 2, 2]
    assert taken(14) == taken(14, spread=False) == [1, 2, 3, 10, 40]
    assert taken(5, spread=False)[4] > 10


def _chain_pairs(instructions: int, executions: int) -> list[Unit]:
    """DPO pairs as EvalPlanner makes them: right x wrong executions of 5 plans in 2 orders, of judges of any skill."""
    drawn, units = random.Random(0), list[Unit]()
    for instruction in range(instructions):
        skill = drawn.betavariate(3, 1)
        for order in range(2):
            prompt = (instruction, order)
            for plan in range(5):
                right = sum(drawn.random() < skill for _ in range(executions))
                units += [
                    Unit(len(units) + right * wrong + place, prompt, ((0, plan, place), (1, plan, wrong)))
                    for wrong in range(executions - right)
                    for place in range(right)
                ]
    return units


@pytest.mark.parametrize(("executions", "share"), [(4, 1), (8, 8)])
def test_a_thousand_steps_reach_the_instructions_of_the_papers_second_round(executions: int, share: int) -> None:
    """16,429 instructions of D2, 1,000 steps of 32 pairs; with 8 executions an eighth of everything, for time."""
    units = _chain_pairs(16_429 // share, executions)
    batches = epoch_batches(units, 32, 2, 0, 1000 // share)
    assert len(batches) == 1000 // share and all(len(batch) == 32 for batch in batches)
    instructions = [{unit.prompt[0] for unit in batch} for batch in batches]
    assert min(map(len, instructions)) >= 30 and sum(map(len, instructions)) / len(batches) > 31.5
    assert len(set().union(*instructions)) > 13_000 / share


def test_rows_that_do_not_fit_are_refused_by_reason(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(make_model(tmp_path))
    user = ({"role": "user", "content": "x"},)
    good = preferences(1, 2)
    bad = [
        Preference("context", user, "a" * 300, "b"),
        Preference("budget", user, "a" * 150, "b" * 120),
        Preference("empty", user, "a", " \n"),
        Preference("surrogate", user, "a", "\udc00"),
    ]
    encoded = encode_rows([*bad, *good], tokenizer, context=256, max_tokens=250)
    assert [unit.index for unit in encoded.units] == [0, 1]
    assert encoded.refused == Counter(
        {
            "longer than the model's context": 1,
            "longer than trainer.max_tokens": 1,
            "empty reply": 1,
            "text holds a lone surrogate": 1,
        }
    )
    prompt = len(tokenizer.encode("<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\n"))
    assert encoded.shortest_refused == prompt + 150 + 120


def test_units_of_single_epochs_are_the_same_over_any_number_of_processes() -> None:
    units = [Unit(index, (index % 7, 3), ((index,),), index % 3) for index in range(60)]
    for epoch in range(3):
        batches = epoch_batches(units, 8, 2, epoch)
        assert sorted(unit.index for batch in batches for unit in batch) == list(range(epoch, 60, 3))
        for batch in batches:
            for processes in (1, 2, 3):
                shares = [share(batch, 100, rank, processes) for rank in range(processes)]
                found = [unit.index for part in shares for packed in part.packs for unit in packed.units]
                assert sorted(found) == sorted(unit.index for unit in batch)


def test_pairs_under_a_template_that_opens_a_thought_close_it(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(make_model(tmp_path / "model"))
    tokenizer.chat_template = tokenizer.chat_template.replace("assistant\n{%", "assistant\n<think>\n{%")
    row = Preference("one", ({"role": "user", "content": "Which?"},), "<think>\nwhy\n</think>\n\n[[A]]", "[[B]]")
    (unit,) = encode_rows([row], tokenizer, 512, 1024).units
    assert tokenizer.decode(unit.prompt).endswith("<|im_start|>assistant\n<think>\n")
    assert [tokenizer.decode(ids) for ids in unit.completions] == [
        "why\n</think>\n\n[[A]]<|im_end|>", "\n</think>\n\n[[B]]<|im_end|>"
    ]  # fmt: skip
