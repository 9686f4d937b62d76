"""The stage that writes new prompts (Self-Rewarding, arXiv 2401.10020 §2.3; Self-Instruct, 2212.10560)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from judgekit.data.novelty import Novelty, quality
from judgekit.errors import StageError
from judgekit.randomness import shuffled
from judgekit.recipes.self_rewarding.self_instruct import new_prompt, read_new_prompt
from judgekit.rows import Instruction, ResponsePair, write_rows
from judgekit.sampling.base import SamplingParams
from judgekit.sampling.text import TextRequest
from judgekit.stages.data import PROMPT_TOKENS, one_each
from judgekit.stages.models import Model
from judgekit.stages.stage import Made, Planned, Stage, read
from judgekit.store import Workspace


@dataclass(frozen=True, kw_only=True)
class NewPrompts(Stage):
    """New prompts by the seed, which stays the same through all iterations (``prompts.jsonl``).

    Requests go out in rounds. One shows examples from D1 and prompts kept in earlier rounds; what it gives is kept when
    it is of some quality and unlike the examples, all earlier prompts, and the held-out and validation instructions.
    """

    label = "new_prompts"
    splits: Made[Any]
    model: Model
    wanted: int = read("recipe.prompts.count")
    seed_examples: int = read("recipe.prompts.seed_examples")
    new_examples: int = read("recipe.prompts.new_examples")
    round_size: int = read("recipe.prompts.round_size")
    max_requests: int = read("recipe.prompts.max_requests")
    temperature: float = read("recipe.prompts.temperature")
    top_p: float = read("recipe.prompts.top_p")
    tokens: int = read("recipe.prompts.tokens")
    max_rouge: float = read("recipe.prompts.max_rouge")
    min_words: int = read("recipe.prompts.min_words")
    max_words: int = read("recipe.prompts.max_words")
    keywords: tuple[str, ...] = read("recipe.prompts.keywords")
    seed: int = read("seed")

    def build(self, workspace: Workspace) -> None:
        """Ask in rounds until there are enough.

        :raises StageError: nothing could be used
        """
        known = {name: one_each(self.splits.rows(name, ResponsePair)) for name in ("d1", "held_out", "validation")}
        seeds = [row.instruction for row in known["d1"]]
        novelty = Novelty(self.max_rouge, [row.instruction for rows in known.values() for row in rows])
        params = SamplingParams(self.temperature, self.top_p, self.tokens, seed=self.seed)
        kept: list[Instruction] = []
        asked = 0
        while len(kept) < self.wanted and asked < self.max_requests:
            size = min(self.round_size, self.max_requests - asked)
            written = [row.text for row in kept]
            requests = [
                TextRequest(f"new-{number}", new_prompt(self._shown(seeds, written, number)), params, (number,))
                for number in range(asked, asked + size)
            ]
            asked += size
            replies = self.model.ask(requests, workspace, "new prompts").generations
            for (name, _), reply in sorted(replies.items(), key=lambda item: item[0][1]):
                text = read_new_prompt(reply.text)
                reason = "cut at its limit" if reply.finish == "length" else self._unusable(text, novelty)
                if reason is not None:
                    workspace.drop(f"new prompt: {reason}")
                elif len(kept) < self.wanted:
                    novelty.add(text)
                    kept.append(Instruction(name, text, "self_instruct", "self_instruct"))
        if not kept:
            raise StageError("The seed wrote no prompt that can be used. Use recipe.prompts.source=data.")
        write_rows(workspace.path / "prompts.jsonl", kept)
        workspace.count(requests=asked, prompts=len(kept))

    @property
    def cost(self) -> Planned:
        """As many requests as are allowed."""
        return Planned(self.max_requests, self.max_requests * (PROMPT_TOKENS + self.tokens), "at most")

    def _shown(self, examples: Sequence[str], written: Sequence[str], number: int) -> list[str]:
        """The examples of one request; while nothing is written yet all come from D1."""
        new = shuffled(written, self.seed, "new examples", number)[: self.new_examples] if written else []
        count = self.seed_examples + self.new_examples - len(new)
        old = shuffled(examples, self.seed, "examples", number)[:count]
        return shuffled([*old, *new], self.seed, "order of examples", number)

    def _unusable(self, text: str, novelty: Novelty) -> str | None:
        reason = quality(text, self.keywords, self.min_words, self.max_words)
        if reason is None and novelty.alike(text) is not None:
            return "like an earlier one"
        return reason
