"""Packing and batch order."""

from __future__ import annotations

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
    assert all(len({unit.prompt for unit in batch}) > 1 for batch in first)
    neighbours = sum(a.prompt == b.prompt for batch in first for a, b in zip(batch, batch[1:], strict=False))
    assert neighbours >= 18


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
