"""A tiny random Llama with a byte-level tokenizer, and rows for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from judgekit.rows import Demonstration, Preference

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_model(folder: Path, dtype: torch.dtype = torch.float32, **settings: Any) -> Path:
    """Write the model and return its folder."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate(["<|im_start|>", "<|im_end|>", *alphabet])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<|im_start|>", eos_token="<|im_end|>")
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(folder)
    settings.setdefault("max_position_embeddings", 512)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        bos_token_id=0,
        eos_token_id=1,
        **settings,
    )
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = LlamaForCausalLM(config)
        for parameter in model.parameters():  # the default scale leaves logits flat and hides mistakes
            parameter.data.mul_(4.0 if parameter.dim() > 1 else 1.0)
    model.to(dtype).save_pretrained(folder)
    return folder


def preferences(prompts: int = 4, pairs: int = 4) -> list[Preference]:
    """Pairs that share prompts, plans and completions, as real ones do."""
    rows = []
    for prompt in range(prompts):
        message = ({"role": "user", "content": f"Which answer is better? Question {prompt}: {'why ' * prompt}?"},)
        for pair in range(pairs):
            chosen = f"Plan: check each.\nA fits {prompt}{pair // 2}.\n[[A]]"
            rejected = f"Plan: check each.\nB is long {prompt}{pair % 2} {'x' * pair}.\n[[B]]"
            rows.append(Preference(f"{prompt}-{pair}", message, chosen, rejected))
    return rows


def demonstrations(prompts: int = 12) -> list[Demonstration]:
    """One target per prompt."""
    return [Demonstration(str(row.id), row.prompt, row.chosen) for row in preferences(prompts, 1)]
