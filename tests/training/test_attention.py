"""Both forms of the tree mask, and the rule that chooses between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention.flex_attention import create_mask, flex_attention
from transformers import AutoTokenizer
from transformers.integrations.flex_attention import WrappedFlexAttention

from judgekit.schema.trainer import TrainerConfig
from judgekit.training.attention import block_mask, choose_attention, tree_mask
from judgekit.training.batches import encode_rows, pack
from judgekit.training.logprobs import token_logps
from judgekit.training.lora import load_model
from judgekit.weights import Weights
from tests.training.tiny import make_model, preferences

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("setting", "device", "tokens", "expected"),
    [
        ("auto", CPU, 8192, "judgekit_tree"),
        ("auto", torch.device("mps"), 8192, "sdpa"),
        ("tree", CPU, 64, "judgekit_tree"),
        ("sdpa", CPU, 64, "sdpa"),
        ("auto", GPU, 1024, "sdpa"),
        ("auto", GPU, 2048, "flex_attention"),
        ("sdpa", GPU, 8192, "sdpa"),
        ("flex", GPU, 64, "flex_attention"),
    ],
)
def test_the_rule(setting: str, device: torch.device, tokens: int, expected: str) -> None:
    assert choose_attention(setting, device, tokens) == expected


def test_the_block_mask_is_the_tree_mask(tmp_path: Path) -> None:
    units = encode_rows(preferences(), AutoTokenizer.from_pretrained(make_model(tmp_path)), 512, 512).units
    for packed in pack(units, 400):
        ends = torch.tensor(packed.ends)
        mask = block_mask(ends)
        dense = create_mask(mask.mask_mod, 1, 1, len(ends), len(ends), device="cpu")
        assert torch.equal(dense, tree_mask(ends, torch.float32) == 0)
        assert mask.shape == (1, 1, len(ends), len(ends))


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_all_forms_give_the_same_log_probabilities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FlexAttention uncompiled and forward only: on a CPU it does no more."""
    eager = {"_compiled_flex_attention": staticmethod(flex_attention), "_is_flex_compiled": True, "training": False}
    for name, value in eager.items():
        monkeypatch.setattr(WrappedFlexAttention, name, value, raising=False)
    start = Weights(make_model(tmp_path))
    (packed, *_) = pack(encode_rows(preferences(), AutoTokenizer.from_pretrained(tmp_path), 512, 512).units, 400)
    found: dict[str, Any] = {}
    for setting in ("sdpa", "flex", "tree"):
        model = load_model(start, TrainerConfig(adapter="full", attention=setting), "auto", 0).eval()  # type: ignore[arg-type]
        with torch.no_grad():
            found[model.config._attn_implementation] = token_logps(model, packed, CPU)
    assert len(found) == 3
    for logps in found.values():
        torch.testing.assert_close(logps, found["sdpa"], rtol=1e-5, atol=1e-5)
