"""The stage that writes new prompts (Self-Rewarding, arXiv 2401.10020 §2.3; Self-Instruct, 2212.10560)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from judgekit.data.novelty import Novelty, quality
from judgekit.errors import StageError
from judgekit.prompts.self_instruct import new_prompt, read_new_prompt
from judgekit.randomness import shuffled
from judgekit.recipes.lab import Handle, Lab
from judgekit.recipes.stages import PROMPT_TOKENS
from judgekit.rows import Instruction, ResponsePair, read_rows, write_rows
from judgekit.sampling.base import SamplingParams
from judgekit.sampling.text import TextRequest
from judgekit.schema.rewarding import PromptsConfig, RewardingConfig
from judgekit.store import Artifact, Workspace
from judgekit.weights import Weights


def write_prompts(lab: Lab, splits: Handle) -> Handle:
    """New prompts by the seed, which stays the same through all iterations (``prompts.jsonl``).

    Requests go out in rounds. One shows examples from D1 and prompts kept in earlier rounds; what it gives is kept when
    it is of some quality and unlike the examples, all earlier prompts, and the held-out and validation instructions.
    """
    rules, seed = lab.recipe(RewardingConfig).prompts, lab.config.seed

    def build(workspace: Workspace) -> None:
        assert isinstance(splits, Artifact)
        names = ("d1", "held_out", "validation")
        read = {name: read_rows(splits.file(f"{name}.jsonl"), ResponsePair) for name in names}
        seeds = [row.instruction for row in read["d1"]]
        novelty = Novelty(rules.max_rouge, [row.instruction for rows in read.values() for row in rows])
        params = SamplingParams(rules.temperature, rules.top_p, rules.tokens, seed=seed)
        kept: list[Instruction] = []
        asked = 0
        while len(kept) < rules.count and asked < rules.max_requests:
            size = min(rules.round_size, rules.max_requests - asked)
            written = [row.text for row in kept]
            requests = []
            for number in range(asked, asked + size):
                examples = _shown(seeds, written, rules, seed, number)
                requests.append(TextRequest(f"new-{number}", new_prompt(examples), params, (number,)))
            asked += size
            replies = lab.ask(Weights(lab.base())).ask(requests, workspace, "new prompts").generations
            for (name, _), reply in sorted(replies.items(), key=lambda item: item[0][1]):
                text = read_new_prompt(reply.text)
                reason = "cut at its limit" if reply.finish == "length" else _unusable(text, novelty, rules)
                if reason is not None:
                    workspace.drop(f"new prompt: {reason}")
                elif len(kept) < rules.count:
                    novelty.add(text)
                    kept.append(Instruction(name, text, "self_instruct", "self_instruct"))
        if not kept:
            raise StageError("The seed wrote no prompt that can be used. Use recipe.prompts.source=data.")
        write_rows(workspace.path / "prompts.jsonl", kept)
        workspace.count(requests=asked, prompts=len(kept))

    total = rules.max_requests
    settings = {name: value for name, value in asdict(rules).items() if name not in ("source", "per_iteration")}
    return lab.stage(
        "prompts", 2, settings | {"seed": seed}, [splits, lab.seed_digest()], build,
        generations=total, tokens=total * (PROMPT_TOKENS + rules.tokens), note="at most",
    )  # fmt: skip


def _shown(examples: Sequence[str], written: Sequence[str], rules: PromptsConfig, seed: int, number: int) -> list[str]:
    """The examples of one request; while nothing is written yet all come from D1."""
    new = shuffled(written, seed, "new examples", number)[: rules.new_examples] if written else []
    old = shuffled(examples, seed, "examples", number)[: rules.seed_examples + rules.new_examples - len(new)]
    return shuffled([*old, *new], seed, "order of examples", number)


def _unusable(text: str, novelty: Novelty, rules: PromptsConfig) -> str | None:
    reason = quality(text, rules.keywords, rules.min_words, rules.max_words)
    if reason is None and novelty.alike(text) is not None:
        return "like an earlier one"
    return reason
