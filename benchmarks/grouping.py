"""What grouping a prompt's pairs in batches (``trainer.group_prompts``) saves and costs on a small case.

``python -m benchmarks.grouping`` prints one JSON object a line, in a quarter of an hour on one core. A Llama of 0.1M
random weights learns by DPO to say whether the hidden weights of a prompt's 12 characters add up to more than zero;
every prompt has 20 pairs, 4 of each of 5 plans. Its accuracy is measured on 400 other prompts.
"""

from __future__ import annotations

import importlib
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from judgekit.losses.dpo import DpoLoss
from judgekit.prompts.chat import encode_prompt
from judgekit.rows import Message, Preference, write_rows
from judgekit.schema.optim import OptimConfig
from judgekit.schema.trainer import TrainerConfig
from judgekit.training.trainer import train
from judgekit.weights import Weights

SEEDS, PLANS, STEPS = 5, 5, 60
OPTIM = OptimConfig(lr=3e-3, epochs=1, batch_size=32, max_steps=STEPS, warmup_steps=10, checkpoint_every=STEPS)
PROMPTS = (1500, 96)
"""Of which the steps have room for every sixteenth pair, and for all."""
WORDS = "first tens then units whole both sums size value more less".split()
ALPHABET = [chr(code) for code in range(33, 127) if chr(code) not in "AB[]<>|"]
HIDDEN = {letter: random.Random(f"sign{letter}").gauss(0, 1) for letter in ALPHABET}


def question(drawn: random.Random) -> tuple[tuple[Message, ...], bool]:
    """A prompt, and whether A is right."""
    text = "".join(drawn.choice(ALPHABET) for _ in range(12))
    return ({"role": "user", "content": text},), sum(HIDDEN[letter] for letter in text) > 0


def pairs(prompts: int, seed: int) -> list[Preference]:
    """Right against wrong verdicts under the same plan."""
    drawn, found = random.Random(seed), list[Preference]()
    for number in range(prompts):
        prompt, first = question(drawn)
        for plan in [" ".join(drawn.sample(WORDS, 3)) for _ in range(PLANS)]:
            for _ in range(4):
                right, wrong = (f"{plan} {drawn.choice(WORDS)}\n[[{v}]]" for v in ("AB" if first else "BA"))
                found.append(Preference(f"{number}/{len(found)}", prompt, right, wrong))
    return found


def accuracy(judge: Path, tokenizer: Any, seed: int) -> float:
    """How often the likelier verdict on another prompt is right."""
    model: Any = AutoModelForCausalLM.from_pretrained(judge, dtype=torch.float32)
    model.eval()
    drawn, right = random.Random(10_000 + seed), 0
    (a,), (b,) = tokenizer.encode("A"), tokenizer.encode("B")
    for _ in range(400):
        prompt, first = question(drawn)
        begun = f"{' '.join(drawn.sample(WORDS, 3))} {drawn.choice(WORDS)}\n[["
        with torch.no_grad():
            logits = model(torch.tensor([encode_prompt(tokenizer, prompt) + tokenizer.encode(begun)])).logits[0, -1]
        right += bool(logits[a] > logits[b]) == first
    return right / 400


def main() -> None:
    """Train every combination and print what came out."""
    with tempfile.TemporaryDirectory() as scratch:
        # By name, because the tests are not held to strict types.
        base: Path = importlib.import_module("tests.training.tiny").make_model(Path(scratch, "base"))
        tokenizer = AutoTokenizer.from_pretrained(base)
        config = LlamaConfig.from_pretrained(base)
        config.hidden_size, config.intermediate_size, config.head_dim = 64, 128, 16
        torch.manual_seed(0)
        architecture: Any = LlamaForCausalLM
        architecture(config).save_pretrained(base)
        for prompts in PROMPTS:
            for seed in range(SEEDS):
                rows = Path(scratch, "rows.jsonl")
                write_rows(rows, pairs(prompts, seed))
                for grouped, spread in ((False, True), (False, False), (True, True), (True, False)):
                    trainer = TrainerConfig(
                        adapter="full", accelerator="cpu", threads=1, max_tokens=2048, group_prompts=grouped,
                        spread_prompts=spread,
                    )  # fmt: skip
                    work = Path(scratch, f"{prompts}-{seed}-{grouped}-{spread}")
                    found = train(
                        "dpo", rows, Weights(base), work / "judge", work / "work", OPTIM, DpoLoss(nll_weight=0.2),
                        trainer, seed, "bench", lambda step, values: None,
                    )  # fmt: skip
                    told = {"prompts": prompts, "seed": seed, "group_prompts": grouped, "spread_prompts": spread}
                    told |= {"prompts_reached": found.prompts, "tokens": found.tokens}
                    print(json.dumps(told | {"accuracy": accuracy(work / "judge", tokenizer, seed)}), flush=True)


if __name__ == "__main__":
    main()
