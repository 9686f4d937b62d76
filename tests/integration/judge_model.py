"""A tiny random model that ends its plans and reasoning by chance, so that every stage of a run has work to do.

Its vocabulary holds the protocol's tags as single tokens, which it favours a little; a verdict is then constrained.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tests.training.tiny import make_model

TAGS = {"[End of Evaluation Plan]": 4.5, "[Final Verdict]": 5.0}
"""Tags and by how much their logits stand out."""


def make_judge_model(folder: Path) -> Path:
    """Write the model and return its folder."""
    make_model(folder, max_position_embeddings=2048, tie_word_embeddings=False)
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    # Without merges no text is ever encoded to these tokens; they can only be generated.
    vocabulary = tokenizer["model"]["vocab"]
    old = len(vocabulary)
    vocabulary |= {tag.replace(" ", "\u0120"): old + index for index, tag in enumerate(TAGS)}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": len(vocabulary)}), encoding="utf-8")
    weights = load_file(folder / "model.safetensors")
    embedding, head = weights["model.embed_tokens.weight"], weights["lm_head.weight"] * 0.25
    embedding = torch.cat([embedding, embedding[: len(TAGS)]])
    embedding[:, 0] = 8.0  # a constant of every token, through which the head favours the tags
    favoured = torch.zeros(len(TAGS), head.shape[1])
    favoured[:, 0] = torch.tensor(list(TAGS.values())) / 5.0
    weights["model.embed_tokens.weight"] = embedding
    weights["lm_head.weight"] = torch.cat([head, favoured])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
